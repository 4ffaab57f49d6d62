//! Certificates as openssl makes them, read field by field.

use super::certificate::{common_name, server_end_point, uris};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::process::Command;

fn certificate(words: &[&str]) -> CertificateDer<'static> {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-days", "2", "-keyout", &file("key"), "-out", &file("cert")])
        .args(words)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    CertificateDer::from_pem_file(file("cert")).unwrap()
}

#[test]
fn names_are_read() {
    let elliptic = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let agent = certificate(
        &[
            &elliptic[..],
            &["-subj", "/O=Shop/CN=agent-7"],
            &["-addext", "subjectAltName=DNS:a.example,URI:spiffe://shop.example/agent/seven"],
        ]
        .concat(),
    );
    assert_eq!(common_name(&agent).as_deref(), Some("agent-7"));
    assert_eq!(uris(&agent), ["spiffe://shop.example/agent/seven"]);
    let bare = certificate(&[&elliptic[..], &["-subj", "/O=Shop"]].concat());
    assert_eq!(common_name(&bare), None);
    assert!(uris(&bare).is_empty());
    for cut in 0..agent.len() {
        let _ = (common_name(&agent[..cut]), uris(&agent[..cut]), server_end_point(&agent[..cut]));
    }
}

#[test]
fn end_points_follow_the_signature() {
    for (words, digest) in [
        (&["-newkey", "rsa:2048", "-sha256"][..], Some(32)),
        (&["-newkey", "rsa:2048", "-sha512"], Some(64)),
        (&["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-sha384"], Some(48)),
        (&["-newkey", "ed25519"], None),
    ] {
        let made = certificate(&[words, &["-subj", "/CN=gate"]].concat());
        assert_eq!(server_end_point(&made).map(|bytes| bytes.len()), digest, "{words:?}");
    }
}
