//! What dishonest makers do: headers signed otherwise, signatures that only a lenient check takes, zips built by hand. It
//! knows no story.

use super::make::Files;
use super::story::AT;
use clyra_seal::key::SigningKey;
use clyra_seal::{batch, canonical, container, dsse};
use clyra_spec::media::BATCH_PAYLOAD_TYPE;
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::{EdwardsPoint, Scalar};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};

/// A change of a text.
pub(crate) type Twist = Box<dyn Fn(&str) -> String>;

/// A change of a JSON value.
pub(crate) type Change = Box<dyn Fn(&mut Value)>;

/// How a gateway departs from the rules for one batch.
#[derive(Default)]
pub(crate) struct Forge {
    /// Changes an entry before it is hashed and logged.
    pub(crate) entry: Option<Twist>,
    /// Changes the claims before they are signed.
    pub(crate) claims: Option<Change>,
    /// Changes the spelling of the claims before they are signed.
    pub(crate) payload: Option<Twist>,
    /// Signs instead of the gateway.
    pub(crate) signer: Option<SigningKey>,
    /// Type that is signed instead of a header's.
    pub(crate) signed_type: Option<&'static str>,
    /// Changes the header before it is logged.
    pub(crate) header: Option<Twist>,
}

impl Forge {
    pub(crate) fn entry(&self, honest: &[u8]) -> Vec<u8> {
        twisted(self.entry.as_ref(), honest)
    }

    /// The header as it is logged, and as it would be with nothing but its signature and claims changed.
    pub(crate) fn header(&self, key: &SigningKey, claims: &batch::Claims, id: &str) -> (Vec<u8>, Vec<u8>) {
        let sealed = batch::seal(key, claims, AT, id).unwrap();
        let payload = canonical::to_vec(&json!({
            "count": claims.count, "epoch": claims.epoch, "final": claims.last, "first_seq": claims.first_seq,
            "gateway": claims.gateway, "previous": clyra_seal::hex(&claims.previous), "root": clyra_seal::hex(&claims.root),
        }));
        let mut payload: Value = serde_json::from_slice(&payload.unwrap()).unwrap();
        if let Some(change) = &self.claims {
            change(&mut payload);
        }
        let payload = twisted(self.payload.as_ref(), &canonical::to_vec(&payload).unwrap());
        let signer = self.signer.as_ref().unwrap_or(key);
        let signed = dsse::sign(self.signed_type.unwrap_or(BATCH_PAYLOAD_TYPE), &payload, signer);
        let header = json!({
            "at": AT,
            "dsse": {
                "payload": signed.payload, "payloadType": BATCH_PAYLOAD_TYPE,
                "signatures": [{"keyid": signed.keyid, "sig": signed.sig}],
            },
            "id": id, "kind": "batch", "maker": signer.id(), "v": 1,
        });
        let header = canonical::to_vec(&header).unwrap();
        let honest = self.claims.is_none()
            && self.payload.is_none()
            && self.signer.is_none()
            && self.signed_type.is_none();
        assert!(!honest || header == sealed, "an honest header is what the seal makes");
        (twisted(self.header.as_ref(), &header), header)
    }
}

fn twisted(twist: Option<&Twist>, bytes: &[u8]) -> Vec<u8> {
    twist.map_or_else(|| bytes.to_vec(), |twist| twist(std::str::from_utf8(bytes).unwrap()).into_bytes())
}

/// A signature that holds only where S may be as large as one likes: S + L.
pub(crate) fn with_large_s(signature: [u8; 64]) -> [u8; 64] {
    let mut forged = signature;
    let mut carry = 0u16;
    for (byte, order) in forged[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    forged
}

/// A signature that holds only where the equation is multiplied by the cofactor: R with a point of order 8 added.
pub(crate) fn with_torsion(seed: &[u8; 32], message: &[u8]) -> [u8; 64] {
    let nonce = Scalar::from_bytes_mod_order([7; 32]);
    signed_with(seed, message, ED25519_BASEPOINT_POINT * nonce + EIGHT_TORSION[1], nonce)
}

/// A signature that holds only where R may be of small order: R is the neutral point.
pub(crate) fn with_small_r(seed: &[u8; 32], message: &[u8]) -> [u8; 64] {
    signed_with(seed, message, EIGHT_TORSION[0], Scalar::ZERO)
}

fn signed_with(seed: &[u8; 32], message: &[u8], r: EdwardsPoint, nonce: Scalar) -> [u8; 64] {
    let mut secret = [0; 32];
    secret.copy_from_slice(&Sha512::digest(seed)[..32]);
    secret[0] &= 248;
    secret[31] = secret[31] & 127 | 64;
    let secret = Scalar::from_bytes_mod_order(secret);
    let public = (ED25519_BASEPOINT_POINT * secret).compress();
    let r = r.compress();
    let hash = Sha512::new().chain_update(r.as_bytes()).chain_update(public.as_bytes()).chain_update(message);
    let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(r.as_bytes());
    signature[32..].copy_from_slice((nonce + k * secret).as_bytes());
    signature
}

pub(crate) fn pack(files: &Files) -> Vec<u8> {
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
    container::write(&files).unwrap()
}

pub(crate) fn unpack(mut zip: &[u8]) -> Files {
    let mut files = Files::new();
    while zip.starts_with(b"PK\x03\x04") {
        let size = u32::from_le_bytes(zip[22..26].try_into().unwrap()) as usize;
        let start = 30 + usize::from(u16::from_le_bytes(zip[26..28].try_into().unwrap()));
        let name = String::from_utf8(zip[30..start].to_vec()).unwrap();
        files.insert(name, zip[start..start + size].to_vec());
        zip = &zip[start + size..];
    }
    files
}

/// Replaces the first place where `from` stands in a file; it must stand there.
pub(crate) fn replace(files: &mut Files, name: &str, from: &str, to: &str) {
    let text = String::from_utf8(files[name].clone()).unwrap();
    files.insert(name.into(), swap(&text, from, to).into_bytes());
}

/// Replaces the first place where `from` stands; it must stand there.
pub(crate) fn swap(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "`{from}` is not in `{text}`");
    text.replacen(from, to, 1)
}

/// The order of the base point, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];
