//! The trust file: what it may say, and what makes it worthless.

use super::maker::{House, Maker};
use crate::{Error, Trust};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

#[test]
fn each_fault_is_refused_and_told_with_its_line() {
    let house = House::new();
    let good = house.trust_text();
    assert!(good.parse::<Trust>().is_ok());
    let stranger = Maker::new("stranger", 9).vkey();
    let log = format!("log {}\n", house.log.vkey());
    let cases = [
        (good.replace("quorum none\n", ""), "quorum none"),
        (good.replace("quorum none", "quorum none\nquorum none"), "second `quorum`"),
        (good.replace("quorum none", "quorum two"), "no witness and no group"),
        (good.replace(&log, ""), "no `log` line"),
        (good.clone() + &format!("maker recorder {}\n", house.log.vkey()), "one key has one role"),
        (good.clone() + &log, "one key has one role"),
        (good.clone() + "witness w k\n", "is not a key"),
        (good.clone() + &format!("witness w {stranger}\n"), "must be 4"),
        (good.clone() + "group g any w\n", "no witness and no group"),
        (good.clone() + &format!("maker judge {stranger}\n"), "not understood"),
        (good.replace('\n', "\r\n"), "is not canonical base64"),
        (good.replace("none\n", "none\r\n"), "no witness and no group"),
        (
            good.clone() + &format!("maker gateway {}\n", stranger.replace("stranger", "stronger")),
            "its point gives",
        ),
        (good.clone() + &format!("maker gateway {}\n", stranger.replace("+A", "+A=")), "canonical base64"),
        (good.clone() + "maker gateway stranger\n", "is not a key"),
        (good.clone() + &format!("maker gateway {}\n", weak()), "is weak"),
        (good.clone() + &"#".repeat(70_000), "at most"),
        (String::new(), "no `log` line"),
    ];
    for (text, told) in cases {
        let error = text.parse::<Trust>().unwrap_err();
        assert!(matches!(error, Error::Trust { .. }));
        assert!(error.to_string().contains(told), "{error} / {told}");
    }
    let error = (good + "nonsense\n").parse::<Trust>().unwrap_err();
    assert!(error.to_string().starts_with("trust file, line 8: "), "{error}");
}

/// The neutral element: a signature that fits every message is easily made for it.
fn weak() -> String {
    let mut blob = [0; 33];
    (blob[0], blob[1]) = (1, 1);
    let digest = Sha256::digest([b"weak\n".as_slice(), &blob].concat());
    format!("weak+{}+{}", super::hex(&digest[..4]), STANDARD.encode(blob))
}
