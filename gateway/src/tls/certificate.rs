//! Reads the few fields of a certificate that logins need: common name, URI names, signature algorithm. It verifies
//! nothing; rustls has done that, or the certificate is the gateway's own.
//!
//! DER after X.690, fields after RFC 5280 §4.1 and §4.2.1.6.

use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// The common name of the subject; the last one where there are several.
pub(crate) fn common_name(certificate: &[u8]) -> Option<String> {
    let mut subject = Der(field(certificate, Field::Subject)?);
    let mut found = None;
    while let Some((SET, relative)) = subject.next() {
        let (SEQUENCE, pair) = Der(relative).next()? else { return None };
        let mut pair = Der(pair);
        let (OID, kind) = pair.next()? else { return None };
        let (tag, value) = pair.next()?;
        if kind == COMMON_NAME {
            // Only the two forms that are ASCII or UTF-8 as they stand.
            let readable = matches!(tag, UTF8_STRING | PRINTABLE_STRING) && !value.contains(&0);
            found = Some(readable.then(|| String::from_utf8(value.to_vec()).ok()).flatten()?);
        }
    }
    found
}

/// The URIs among the subject's alternative names; a workload's SPIFFE id is one.
pub(crate) fn uris(certificate: &[u8]) -> Vec<String> {
    let mut uris = Vec::new();
    let mut extensions = Der(field(certificate, Field::Extensions).unwrap_or_default());
    while let Some((SEQUENCE, extension)) = extensions.next() {
        let mut extension = Der(extension);
        if extension.next() != Some((OID, ALTERNATIVE_NAME)) {
            continue;
        }
        let value = extension.find(|(tag, _)| *tag == OCTET_STRING);
        let Some((SEQUENCE, names)) = value.and_then(|(_, value)| Der(value).next()) else { continue };
        let named = Der(names).filter(|(tag, value)| *tag == URI && value.is_ascii() && !value.contains(&0));
        uris.extend(named.map(|(_, value)| String::from_utf8_lossy(value).into_owned()));
    }
    uris
}

/// The digest that `tls-server-end-point` binds to (RFC 5929 §4.1): the certificate's, by its signature's hash, and
/// SHA-256 in place of MD5 and SHA-1. Signatures without a hash of their own (Ed25519) have none.
pub(crate) fn server_end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    match field(certificate, Field::Signature)? {
        // md5, sha1 and sha256 WithRSAEncryption; ecdsa-with-SHA1 and -SHA256
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4 | 5 | 11]
        | [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1]
        | [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2] => Some(Sha256::digest(certificate).to_vec()),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12] | [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3] => {
            Some(Sha384::digest(certificate).to_vec())
        }
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13] | [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4] => {
            Some(Sha512::digest(certificate).to_vec())
        }
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Subject,
    Extensions,
    Signature,
}

fn field(certificate: &[u8], wanted: Field) -> Option<&[u8]> {
    let (SEQUENCE, whole) = Der(certificate).next()? else { return None };
    let mut whole = Der(whole);
    let (SEQUENCE, signed) = whole.next()? else { return None };
    let mut signed = Der(signed);
    let first = signed.next()?;
    // The version stands in front, except in version 1.
    let serial = if first.0 == VERSION { signed.next()? } else { first };
    let (INTEGER, _) = serial else { return None };
    let (SEQUENCE, algorithm) = signed.next()? else { return None };
    let (_issuer, _validity) = (signed.next()?, signed.next()?);
    let (SEQUENCE, subject) = signed.next()? else { return None };
    match wanted {
        Field::Subject => Some(subject),
        Field::Signature => Der(algorithm).next().filter(|(tag, _)| *tag == OID).map(|(_, oid)| oid),
        Field::Extensions => {
            let (_, wrapped) = signed.find(|(tag, _)| *tag == EXTENSIONS)?;
            Der(wrapped).next().filter(|(tag, _)| *tag == SEQUENCE).map(|(_, list)| list)
        }
    }
}

/// Elements one after another: tag and content. It ends at the first that is not whole.
struct Der<'b>(&'b [u8]);

impl<'b> Iterator for Der<'b> {
    type Item = (u8, &'b [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut length = usize::from(first);
        if first & 0x80 != 0 {
            let bytes = usize::from(first & 0x7f);
            if !(1..=3).contains(&bytes) {
                return None;
            }
            let (number, after) = rest.split_at_checked(bytes)?;
            length = number.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte));
            rest = after;
        }
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }
}

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const URI: u8 = 0x86;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
/// 2.5.29.17
const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 17];
