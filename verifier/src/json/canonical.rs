//! The one spelling of a JSON value: RFC 8785 for whole numbers and ASCII keys; it never changes a text.

use super::Value;
use crate::error::{Flaw, flaw};

/// Reads a value that must already stand in its canonical spelling.
pub(crate) fn parse(input: &[u8]) -> Result<Value<'_>, Flaw> {
    let value = super::parse(input)?;
    let mut spelled = Vec::with_capacity(input.len());
    write(&value, &mut spelled);
    if spelled == input {
        return Ok(value);
    }
    let same = spelled.iter().zip(input).take_while(|(a, b)| a == b).count();
    flaw(format!("not canonical JSON from byte {same} on"))
}

/// Writes the canonical spelling of a value.
pub(crate) fn write(value: &Value<'_>, to: &mut Vec<u8>) {
    match value {
        Value::Null => to.extend_from_slice(b"null"),
        Value::Bool(true) => to.extend_from_slice(b"true"),
        Value::Bool(false) => to.extend_from_slice(b"false"),
        Value::Whole(number) => to.extend_from_slice(number.to_string().as_bytes()),
        Value::Text(text) => write_text(text, to),
        Value::List(items) => {
            to.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    to.push(b',');
                }
                write(item, to);
            }
            to.push(b']');
        }
        Value::Object(members) => {
            // Byte order is UTF-16 order, since the reader lets only ASCII keys in.
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
            to.push(b'{');
            for (place, (key, value)) in sorted.into_iter().enumerate() {
                if place > 0 {
                    to.push(b',');
                }
                write_text(key, to);
                to.push(b':');
                write(value, to);
            }
            to.push(b'}');
        }
    }
}

fn write_text(text: &str, to: &mut Vec<u8>) {
    to.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(place) = rest.iter().position(|b| *b < 0x20 || *b == b'"' || *b == b'\\') {
        let (plain, special) = rest.split_at(place);
        to.extend_from_slice(plain);
        if let Some((byte, after)) = special.split_first() {
            write_escape(*byte, to);
            rest = after;
        }
    }
    to.extend_from_slice(rest);
    to.push(b'"');
}

fn write_escape(byte: u8, to: &mut Vec<u8>) {
    match byte {
        b'"' => to.extend_from_slice(b"\\\""),
        b'\\' => to.extend_from_slice(b"\\\\"),
        0x08 => to.extend_from_slice(b"\\b"),
        0x09 => to.extend_from_slice(b"\\t"),
        0x0a => to.extend_from_slice(b"\\n"),
        0x0c => to.extend_from_slice(b"\\f"),
        0x0d => to.extend_from_slice(b"\\r"),
        other => to.extend_from_slice(format!("\\u{other:04x}").as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_only() {
        for good in [
            r#"{"a":1,"b":[true,false,null,"x"],"c":{}}"#,
            r#"{"a":"\b\t\n\f\r\"\\\u0001\u001f"}"#,
            "{\"a\":\"é€\u{1f600}\u{7f}/\"}",
            "[-9007199254740991,9007199254740991,0]",
        ] {
            assert!(parse(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in [
            r#"{"b":1,"a":2}"#,
            r#"{"a": 1}"#,
            r#"{"a":"\/"}"#,
            r#"{"a":"\u00e9"}"#,
            r#"{"a":"\u001F"}"#,
            r#"{"a":"\u000a"}"#,
            "{\"a\":1}\n",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_readers_could_disagree_on_is_refused() {
        let deep = "[".repeat(70) + &"]".repeat(70);
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"b":1,"a":2,"b":3}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"{"é":1}"#,
            "[1.0]",
            "[1e3]",
            "[-0]",
            "[01]",
            "[9007199254740992]",
            "[99999999999999999999]",
            "[-]",
            r#"["\ud83d"]"#,
            r#"["\ude00\ud83d"]"#,
            r#"["\ud83d\u0041"]"#,
            r#"["\x"]"#,
            r#"["\u12"]"#,
            "[\"\n\"]",
            "[1,]",
            "[1",
            "\"",
            "",
            "tru",
            "{} {}",
            &deep,
        ] {
            assert!(crate::json::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(crate::json::parse(b"\"\xff\"").is_err());
        assert!(crate::json::parse(br#"["\ud83d\ude00"]"#).is_ok());
    }
}
