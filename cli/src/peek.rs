//! A look into a bundle without checking anything: for showing, never for trusting.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

/// The bytes of one file of a stored-only zip container; `None` when there is no such file or no such container.
pub(crate) fn file<'a>(container: &'a [u8], wanted: &str) -> Option<&'a [u8]> {
    let mut rest = container;
    while let Some((name, bytes, after)) = first(rest) {
        if name == wanted.as_bytes() {
            return Some(bytes);
        }
        rest = after;
    }
    None
}

/// The manifest's statement.
pub(crate) fn manifest(container: &[u8]) -> Option<Value> {
    let envelope: Value = serde_json::from_slice(file(container, "manifest.dsse.json")?).ok()?;
    let payload = STANDARD.decode(envelope.get("payload")?.as_str()?).ok()?;
    serde_json::from_slice(&payload).ok()
}

/// The entries that can be read, in log order.
pub(crate) fn entries(container: &[u8]) -> Vec<Value> {
    let lines = file(container, "entries.jsonl").unwrap_or_default().split(|byte| *byte == b'\n');
    lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

/// Name and bytes of the first file, and what follows it (PKWARE APPNOTE 4.3.7, method 0).
fn first(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
    let number = |at: usize, width: usize| -> Option<usize> {
        let bytes = header.get(at..at.checked_add(width)?)?;
        bytes
            .iter()
            .rev()
            .try_fold(0_usize, |sum, byte| sum.checked_mul(256)?.checked_add(usize::from(*byte)))
    };
    if !header.starts_with(b"PK\x03\x04") || number(8, 2)? != 0 {
        return None;
    }
    let (name, rest) = rest.split_at_checked(number(26, 2)?)?;
    let (_extra, rest) = rest.split_at_checked(number(28, 2)?)?;
    let (content, rest) = rest.split_at_checked(number(18, 4)?)?;
    Some((name, content, rest))
}

const HEADER_BYTES: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(name: &str, content: &[u8]) -> Vec<u8> {
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.resize(18, 0);
        let length = u32::try_from(content.len()).unwrap().to_le_bytes();
        bytes.extend([length, length].concat());
        bytes.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend([name.as_bytes(), content].concat());
        bytes
    }

    #[test]
    fn files_are_found_by_name() {
        let payload = STANDARD.encode(br#"{"a":1}"#);
        let manifest_file = format!(r#"{{"payload":"{payload}"}}"#);
        let bytes = [
            stored("entries.jsonl", b"{\"kind\":\"receipt\"}\nnot json\n"),
            stored("manifest.dsse.json", manifest_file.as_bytes()),
        ]
        .concat();
        assert_eq!(entries(&bytes).len(), 1);
        assert_eq!(manifest(&bytes).unwrap(), serde_json::json!({"a": 1}));
        assert_eq!(file(&bytes, "checkpoint"), None);
    }

    #[test]
    fn rubbish_is_no_container() {
        assert!(file(b"", "a").is_none());
        assert!(file(b"PK\x03\x04", "a").is_none());
        let cut = stored("a", b"long enough");
        assert!(file(&cut[..cut.len() - 3], "a").is_none());
    }
}
