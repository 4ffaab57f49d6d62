//! A strict JSON reader: what two readers could understand differently is refused; it never guesses and never rounds.
//!
//! Refused are duplicate keys, keys that are not ASCII, fractions and exponents, whole numbers beyond ±(2^53−1),
//! lone surrogates, bytes after the value, and nesting beyond [`DEPTH_MAX`].

pub(crate) mod canonical;
pub(crate) mod fields;
pub(crate) mod text;

use crate::error::{Flaw, flaw};
use clyra_spec::limits::WHOLE_NUMBER_MAX;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Deepest nesting of lists and objects.
pub(crate) const DEPTH_MAX: usize = 64;

/// A JSON value; texts without escapes are borrowed from the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Whole(i64),
    Text(Cow<'a, str>),
    List(Vec<Value<'a>>),
    Object(Members<'a>),
}

/// The members of an object, in the order of the input.
pub(crate) type Members<'a> = Vec<(Cow<'a, str>, Value<'a>)>;

/// Reads exactly one value.
pub(crate) fn parse(input: &[u8]) -> Result<Value<'_>, Flaw> {
    let Ok(text) = std::str::from_utf8(input) else { return flaw("not UTF-8") };
    let mut reader = Reader { text, at: 0 };
    reader.space();
    let value = reader.value(0)?;
    reader.space();
    if reader.at == text.len() { Ok(value) } else { reader.wrong("something follows the value") }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value<'a>, Flaw> {
        if depth > DEPTH_MAX {
            return self.wrong("nested deeper than 64");
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => Ok(Value::Text(self.text()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => self.wrong("no value here"),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value<'a>, Flaw> {
        let mut members: Members<'a> = Vec::new();
        // Keys that rise cannot repeat; only an object that breaks the order pays for a set.
        let mut seen: Option<BTreeSet<Cow<'a, str>>> = None;
        self.at += 1;
        self.space();
        if self.take(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            let key = self.text()?;
            if !key.is_ascii() {
                return self.wrong("a key is not ASCII");
            }
            let rises = members.last().is_none_or(|(last, _)| *last < key);
            if seen.is_none() && !rises {
                seen = Some(members.iter().map(|(key, _)| key.clone()).collect());
            }
            if let Some(seen) = &mut seen
                && !seen.insert(key.clone())
            {
                return self.wrong("a key stands twice in one object");
            }
            self.space();
            self.must(b':')?;
            self.space();
            let value = self.value(depth + 1)?;
            members.push((key, value));
            self.space();
            if self.take(b'}') {
                return Ok(Value::Object(members));
            }
            self.must(b',')?;
            self.space();
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value<'a>, Flaw> {
        let mut items = Vec::new();
        self.at += 1;
        self.space();
        if self.take(b']') {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.take(b']') {
                return Ok(Value::List(items));
            }
            self.must(b',')?;
            self.space();
        }
    }

    fn text(&mut self) -> Result<Cow<'a, str>, Flaw> {
        self.must(b'"')?;
        let plain = self.plain();
        if self.take(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut owned = plain.to_owned();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(owned));
                }
                Some(b'\\') => {
                    self.at += 1;
                    owned.push(self.escape()?);
                }
                Some(0x20..) => owned.push_str(self.plain()),
                _ => return self.wrong("a text has a raw control character or no end"),
            }
        }
    }

    /// Everything up to the next quote, backslash or control character.
    fn plain(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let len = rest.bytes().position(|b| b < 0x20 || b == b'"' || b == b'\\').unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }

    fn escape(&mut self) -> Result<char, Flaw> {
        let Some(letter) = self.peek() else { return self.wrong("an escape has no end") };
        self.at += 1;
        Ok(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.unit()?;
                let mut units = vec![first];
                if (0xd800..0xdc00).contains(&first) && self.take(b'\\') {
                    self.must(b'u')?;
                    units.push(self.unit()?);
                }
                match char::decode_utf16(units).next() {
                    Some(Ok(c)) if !(0xd800..0xe000).contains(&first) || u32::from(c) > 0xffff => c,
                    _ => return self.wrong("a surrogate stands alone"),
                }
            }
            _ => return self.wrong("an unknown escape"),
        })
    }

    fn unit(&mut self) -> Result<u16, Flaw> {
        let digits = self.text.get(self.at..self.at + 4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        match digits.and_then(|digits| u16::from_str_radix(digits, 16).ok()) {
            Some(unit) => {
                self.at += 4;
                Ok(unit)
            }
            None => self.wrong("an escape needs four hex digits"),
        }
    }

    fn number(&mut self) -> Result<Value<'a>, Flaw> {
        let start = self.at;
        let negative = self.take(b'-');
        let leads_with_zero = self.peek() == Some(b'0');
        let first = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        let digits = self.at - first;
        if digits == 0 || (leads_with_zero && (digits > 1 || negative)) {
            return self.wrong("a number is not in its one spelling");
        }
        if matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            return self.wrong("a number is not whole");
        }
        let number = self.text.get(start..self.at).and_then(|digits| digits.parse::<i64>().ok());
        match number {
            Some(number) if number.unsigned_abs() <= WHOLE_NUMBER_MAX => Ok(Value::Whole(number)),
            _ => self.wrong("a number is beyond 2^53-1"),
        }
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, Flaw> {
        if self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            return Ok(value);
        }
        self.wrong("no value here")
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    fn must(&mut self, byte: u8) -> Result<(), Flaw> {
        if self.take(byte) { Ok(()) } else { self.wrong(&format!("`{}` is missing", char::from(byte))) }
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn wrong<T>(&self, what: &str) -> Result<T, Flaw> {
        flaw(format!("not strict JSON at byte {}: {what}", self.at))
    }
}
