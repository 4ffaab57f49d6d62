//! The one form of a JSON value: RFC 8785, narrowed to what every reader agrees on. It never changes a value.

use crate::Error;
use clyra_spec::limits::WHOLE_NUMBER_MAX;
use serde_json::{Number, Value};

/// Bytes of `value` in canonical form: keys sorted, no spaces, shortest escapes.
///
/// # Errors
/// On a float, on a whole number beyond ±(2^53−1), and on a key with a character beyond ASCII.
pub fn to_vec(value: &Value) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(256);
    write(value, &mut bytes)?;
    Ok(bytes)
}

/// Reads one value and makes sure that `bytes` are its canonical form (so no key stands twice).
///
/// # Errors
/// When `bytes` are no JSON, or not in canonical form.
pub fn from_slice(what: &'static str, bytes: &[u8]) -> Result<Value, Error> {
    let value: Value =
        serde_json::from_slice(bytes).map_err(|fault| Error::malformed(what, fault.to_string()))?;
    if to_vec(&value)? != bytes {
        return Err(Error::malformed(what, "not in canonical form (RFC 8785)"));
    }
    Ok(value)
}

fn write(value: &Value, to: &mut Vec<u8>) -> Result<(), Error> {
    match value {
        Value::Null => to.extend_from_slice(b"null"),
        Value::Bool(true) => to.extend_from_slice(b"true"),
        Value::Bool(false) => to.extend_from_slice(b"false"),
        Value::Number(number) => write_number(number, to)?,
        Value::String(text) => write_text(text, to)?,
        Value::Array(items) => {
            to.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    to.push(b',');
                }
                write(item, to)?;
            }
            to.push(b']');
        }
        Value::Object(fields) => {
            let mut sorted: Vec<(&String, &Value)> = fields.iter().collect();
            sorted.sort_unstable_by(|left, right| left.0.cmp(right.0));
            to.push(b'{');
            for (place, (key, item)) in sorted.into_iter().enumerate() {
                if place > 0 {
                    to.push(b',');
                }
                if !key.is_ascii() {
                    return Err(Error::NotCanonical { what: format!("key `{key}`") });
                }
                write_text(key, to)?;
                to.push(b':');
                write(item, to)?;
            }
            to.push(b'}');
        }
    }
    Ok(())
}

fn write_number(number: &Number, to: &mut Vec<u8>) -> Result<(), Error> {
    let size = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
    match size {
        Some(size) if size <= WHOLE_NUMBER_MAX => {
            to.extend_from_slice(number.to_string().as_bytes());
            Ok(())
        }
        _ => Err(Error::NotCanonical { what: format!("number `{number}`") }),
    }
}

fn write_text(text: &str, to: &mut Vec<u8>) -> Result<(), Error> {
    // The serialiser's escapes are those of RFC 8785: the short ones, else \u00xx in lower case.
    serde_json::to_writer(to, text).map_err(|fault| Error::NotCanonical { what: fault.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_and_escapes_shortest() {
        let value = json!({"b": [1, -2, true, null], "a": "\u{0}\u{8}\t\n\u{c}\r\"\\/\u{7f}é€😀", "_": {}});
        let bytes = to_vec(&value).unwrap();
        let expected =
            "{\"_\":{},\"a\":\"\\u0000\\b\\t\\n\\f\\r\\\"\\\\/\u{7f}é€😀\",\"b\":[1,-2,true,null]}";
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expected);
        assert_eq!(from_slice("test", &bytes).unwrap(), value);
    }

    #[test]
    fn what_readers_disagree_on_is_refused() {
        let edge = 9_007_199_254_740_991_i64;
        for good in [json!(edge), json!(-edge), json!(0)] {
            assert!(to_vec(&good).is_ok());
        }
        for bad in [json!(1.5), json!(edge + 1), json!(-edge - 1), json!(u64::MAX), json!({"é": 1})] {
            assert!(to_vec(&bad).is_err(), "{bad}");
        }
        for bad in
            [&b"{\"a\":1,\"a\":1}"[..], b"{\"b\":1,\"a\":1}", b"{ }", b"1.0", b"-0", b"\"\\u0041\"", b"{"]
        {
            assert!(from_slice("test", bad).is_err());
        }
    }
}
