//! Takes an object apart field by field and refuses what is left over; it fills in nothing that is missing.

use super::{Members, Value, text};
use crate::error::{Flaw, flaw};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as WordError, StrDeserializer};

/// The members of one object, some of them taken.
pub(crate) struct Fields<'v, 'a> {
    members: &'v Members<'a>,
    taken: Vec<&'static str>,
}

impl<'v, 'a> Fields<'v, 'a> {
    /// The fields of a value that must be an object.
    pub(crate) fn of(value: &'v Value<'a>) -> Result<Self, Flaw> {
        match value {
            Value::Object(members) => Ok(Self { members, taken: Vec::with_capacity(members.len()) }),
            _ => flaw("not an object"),
        }
    }

    /// A field that may be absent.
    pub(crate) fn maybe(&mut self, name: &'static str) -> Option<&'v Value<'a>> {
        let value = self.members.iter().find(|(key, _)| key == name).map(|(_, value)| value);
        if value.is_some() && !self.taken.contains(&name) {
            self.taken.push(name);
        }
        value
    }

    /// A field of any shape.
    pub(crate) fn any(&mut self, name: &'static str) -> Result<&'v Value<'a>, Flaw> {
        self.maybe(name).ok_or_else(|| Flaw(format!("field `{name}` is missing")))
    }

    /// A field that is an object; its flaws are told under its name by the caller.
    pub(crate) fn object(&mut self, name: &'static str) -> Result<Fields<'v, 'a>, Flaw> {
        Fields::of(self.any(name)?).map_err(|flaw| flaw.at(format_args!("field `{name}`")))
    }

    /// A text.
    pub(crate) fn text(&mut self, name: &'static str) -> Result<&'v str, Flaw> {
        text_of(name, self.any(name)?)
    }

    /// A text that may be absent.
    pub(crate) fn maybe_text(&mut self, name: &'static str) -> Result<Option<&'v str>, Flaw> {
        self.maybe(name).map(|value| text_of(name, value)).transpose()
    }

    /// A whole number that is not negative.
    pub(crate) fn whole(&mut self, name: &'static str) -> Result<u64, Flaw> {
        whole_of(name, self.any(name)?)
    }

    /// Such a number that may be absent.
    pub(crate) fn maybe_whole(&mut self, name: &'static str) -> Result<Option<u64>, Flaw> {
        self.maybe(name).map(|value| whole_of(name, value)).transpose()
    }

    /// True or false.
    pub(crate) fn bool(&mut self, name: &'static str) -> Result<bool, Flaw> {
        match self.any(name)? {
            Value::Bool(is) => Ok(*is),
            _ => flaw(format!("field `{name}` is not true or false")),
        }
    }

    /// A list of any items.
    pub(crate) fn list(&mut self, name: &'static str) -> Result<&'v [Value<'a>], Flaw> {
        match self.any(name)? {
            Value::List(items) => Ok(items),
            _ => flaw(format!("field `{name}` is not a list")),
        }
    }

    /// A list of texts.
    pub(crate) fn texts(&mut self, name: &'static str) -> Result<Vec<&'v str>, Flaw> {
        self.list(name)?.iter().map(|item| text_of(name, item)).collect()
    }

    /// A list of names that is left out when empty.
    pub(crate) fn names(&mut self, name: &'static str) -> Result<(), Flaw> {
        let Some(value) = self.maybe(name) else { return Ok(()) };
        let Value::List(items) = value else { return flaw(format!("field `{name}` is not a list")) };
        if items.is_empty() {
            return flaw(format!("field `{name}` is an empty list, it would be left out"));
        }
        items.iter().try_for_each(|item| text_of(name, item).map(drop))
    }

    /// A word of a closed set.
    pub(crate) fn word<T: for<'de> Deserialize<'de>>(&mut self, name: &'static str) -> Result<T, Flaw> {
        let word = self.text(name)?;
        let reader: StrDeserializer<'_, WordError> = word.into_deserializer();
        T::deserialize(reader)
            .map_err(|_| Flaw(format!("field `{name}` has the unknown word `{}`", text::short(word))))
    }

    /// A word of a closed set that may be absent.
    pub(crate) fn maybe_word<T: for<'de> Deserialize<'de>>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, Flaw> {
        self.maybe(name).map(|_| self.word(name)).transpose()
    }

    /// One of these words.
    pub(crate) fn one_of(&mut self, name: &'static str, words: &[&str]) -> Result<(), Flaw> {
        let word = self.text(name)?;
        if words.contains(&word) {
            return Ok(());
        }
        flaw(format!("field `{name}` is `{}`, allowed: {}", text::short(word), words.join(", ")))
    }

    /// Lower-case hex of `N` bytes.
    pub(crate) fn hex<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N], Flaw> {
        text::hex(self.text(name)?).map_err(|flaw| flaw.at(format_args!("field `{name}`")))
    }

    /// Refuses every field that was not taken.
    pub(crate) fn end(self) -> Result<(), Flaw> {
        if self.taken.len() == self.members.len() {
            return Ok(());
        }
        match self.members.iter().find(|(key, _)| !self.taken.iter().any(|taken| key == taken)) {
            Some((key, _)) => flaw(format!("field `{}` is unknown", text::short(key))),
            None => Ok(()),
        }
    }
}

fn text_of<'v>(name: &str, value: &'v Value<'_>) -> Result<&'v str, Flaw> {
    match value {
        Value::Text(text) => Ok(text),
        _ => flaw(format!("field `{name}` is not a text")),
    }
}

fn whole_of(name: &str, value: &Value<'_>) -> Result<u64, Flaw> {
    match value {
        Value::Whole(number) => {
            u64::try_from(*number).or_else(|_| flaw(format!("field `{name}` is negative")))
        }
        _ => flaw(format!("field `{name}` is not a whole number")),
    }
}
