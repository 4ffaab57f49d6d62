//! A YAML document as a tree in which everything knows its place; it never says what a policy looks like.

use crate::PolicyError;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;

/// A value and where it begins.
#[derive(Clone, Debug)]
pub(crate) struct Spot<T> {
    pub(crate) value: T,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// A value of the document.
#[derive(Clone, Debug)]
pub(crate) enum Yaml {
    Null,
    Truth(bool),
    Number(u64),
    Text(String),
    List(Vec<Spot<Self>>),
    Map(Vec<(Spot<String>, Spot<Self>)>),
}

/// Reads the one document of a file.
pub(crate) fn parse(yaml: &str, file: &str) -> Result<Spot<Yaml>, PolicyError> {
    let document: Spanned<Yaml> = serde_saphyr::from_str(yaml).map_err(|error| {
        let place = error.location();
        let number = |place: Option<u64>| place.and_then(|one| usize::try_from(one).ok()).unwrap_or(0);
        let (line, column) =
            (number(place.map(|place| place.line())), number(place.map(|place| place.column())));
        let text = error.without_snippet().to_string();
        PolicyError::new(file, yaml, line, column, in_our_words(&text))
    })?;
    Ok(spot(document))
}

/// The parser's words in ours, without the place that it adds, which ours carries by itself.
fn in_our_words(text: &str) -> String {
    let text = text.lines().next().unwrap_or_default();
    let text = text.split_once(" at line ").map_or(text, |(before, _)| before);
    match text.strip_prefix("duplicate mapping key: ").and_then(|rest| rest.split_once(',')) {
        Some((key, _)) => format!("key `{key}` stands here twice"),
        None => format!("not YAML: {text}"),
    }
}

impl Yaml {
    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Truth(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

fn spot<T>(spanned: Spanned<T>) -> Spot<T> {
    let number = |place: u64| usize::try_from(place).unwrap_or(0);
    Spot {
        line: number(spanned.referenced.line()),
        column: number(spanned.referenced.column()),
        value: spanned.value,
    }
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Yaml;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text, whole number, true, false, list or map")
    }

    fn visit_unit<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_none<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Yaml, D::Error> {
        Yaml::deserialize(inner)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Yaml, E> {
        Ok(Yaml::Truth(truth))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Yaml, E> {
        Ok(Yaml::Number(number))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Yaml, E> {
        u64::try_from(number)
            .map(Yaml::Number)
            .map_err(|_| E::custom(format!("a number below zero: `{number}`")))
    }

    // A number with a fraction is a text to us, so that the reader of the field can quote it.
    fn visit_f64<E>(self, number: f64) -> Result<Yaml, E> {
        Ok(Yaml::Text(number.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Yaml, E> {
        Ok(Yaml::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Yaml, A::Error> {
        let mut list = Vec::new();
        while let Some(one) = sequence.next_element::<Spanned<Yaml>>()? {
            list.push(spot(one));
        }
        Ok(Yaml::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Yaml, A::Error> {
        let mut map: Vec<(Spot<String>, Spot<Yaml>)> = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            if map.len() >= KEYS_MAX {
                return Err(A::Error::custom(format!("more than {KEYS_MAX} keys in one map")));
            }
            map.push((spot(key), spot(entries.next_value::<Spanned<Yaml>>()?)));
        }
        Ok(Yaml::Map(map))
    }
}

const KEYS_MAX: usize = 1_000;
