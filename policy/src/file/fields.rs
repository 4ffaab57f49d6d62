//! Typed access to the fields of a YAML tree, with faults that say what is allowed; it never knows which fields.

use super::yaml::{Spot, Yaml};
use crate::policy::Glob;
use clyra_spec::limits::LABEL_BYTES_MAX;

/// What is wrong, and where.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn at<T>(place: &Spot<T>, message: impl Into<String>) -> Self {
        Self { line: place.line, column: place.column, message: message.into() }
    }
}

/// The fields of one map.
pub(crate) struct Fields<'y> {
    place: &'y Spot<Yaml>,
    map: &'y [(Spot<String>, Spot<Yaml>)],
}

impl<'y> Fields<'y> {
    /// The fields of a map whose keys are all among `allowed`.
    pub(crate) fn new(place: &'y Spot<Yaml>, allowed: &[&str]) -> Result<Self, Fault> {
        let Yaml::Map(map) = &place.value else {
            let message =
                format!("expected a map, found {}; keys: {}", place.value.kind(), allowed.join(", "));
            return Err(Fault::at(place, message));
        };
        for (at, (key, _)) in map.iter().enumerate() {
            if !allowed.contains(&key.value.as_str()) {
                return Err(Fault::at(key, unknown("key", &key.value, allowed)));
            }
            if map.iter().take(at).any(|(earlier, _)| earlier.value == key.value) {
                return Err(Fault::at(key, format!("key `{}` stands here twice", key.value)));
            }
        }
        Ok(Self { place, map })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'y Spot<Yaml>> {
        self.map.iter().find(|(key, _)| key.value == name).map(|(_, value)| value)
    }

    /// Keys that are present, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'y Spot<String>> {
        self.map.iter().map(|(key, _)| key)
    }

    pub(crate) fn optional<T>(
        &self,
        name: &str,
        read: impl FnOnce(&'y Spot<Yaml>) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        self.get(name).map(read).transpose()
    }

    pub(crate) fn required<T>(
        &self,
        name: &str,
        read: impl FnOnce(&'y Spot<Yaml>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.optional(name, read)?.ok_or_else(|| Fault::at(self.place, format!("missing key `{name}`")))
    }
}

/// A list, which must not be empty.
pub(crate) fn list(value: &Spot<Yaml>) -> Result<&[Spot<Yaml>], Fault> {
    match &value.value {
        Yaml::List(list) if list.is_empty() => {
            Err(Fault::at(value, "an empty list; give at least one entry"))
        }
        Yaml::List(list) if list.len() > ENTRIES_MAX => {
            Err(Fault::at(value, format!("a list of more than {ENTRIES_MAX} entries")))
        }
        Yaml::List(list) => Ok(list),
        other => Err(Fault::at(value, format!("expected a list, found {}", other.kind()))),
    }
}

/// One value, or a list of them.
pub(crate) fn list_of<T>(
    value: &Spot<Yaml>,
    read: impl Fn(&Spot<Yaml>) -> Result<T, Fault>,
) -> Result<Box<[T]>, Fault> {
    match value.value {
        Yaml::List(_) => list(value)?.iter().map(read).collect(),
        _ => Ok(Box::new([read(value)?])),
    }
}

/// One pattern, or a list of them.
pub(crate) fn glob_list(value: &Spot<Yaml>) -> Result<Box<[Glob]>, Fault> {
    list_of(value, |one| label(one).map(|text| Glob::new(&text)))
}

/// A text that is not empty and not longer than a label may be.
pub(crate) fn label(value: &Spot<Yaml>) -> Result<Box<str>, Fault> {
    let text = text(value)?;
    match text.len() {
        0 => Err(Fault::at(value, "an empty text")),
        length if length > LABEL_BYTES_MAX => {
            Err(Fault::at(value, format!("a text of {length} bytes; allowed: at most {LABEL_BYTES_MAX}")))
        }
        _ => Ok(text.into()),
    }
}

/// Any text.
pub(crate) fn text(value: &Spot<Yaml>) -> Result<&str, Fault> {
    match &value.value {
        Yaml::Text(text) => Ok(text),
        other => Err(Fault::at(value, format!("expected a text, found {}", other.kind()))),
    }
}

/// A whole number from 1 to `most`.
pub(crate) fn number(value: &Spot<Yaml>, most: u64) -> Result<u64, Fault> {
    match value.value {
        Yaml::Number(number) if (1..=most).contains(&number) => Ok(number),
        ref other => {
            let found = match other {
                Yaml::Number(number) => format!("`{number}`"),
                Yaml::Text(text) => format!("`{text}`"),
                other => other.kind().to_owned(),
            };
            Err(Fault::at(value, format!("expected a whole number from 1 to {most}, found {found}")))
        }
    }
}

/// `true`, where `false` would say nothing.
pub(crate) fn only_true(value: &Spot<Yaml>) -> Result<(), Fault> {
    match &value.value {
        Yaml::Truth(true) => Ok(()),
        Yaml::Truth(false) => Err(Fault::at(value, "`false` switches nothing off; leave the rule out")),
        other => Err(Fault::at(value, format!("expected true, found {}", other.kind()))),
    }
}

/// One of a closed set of words.
pub(crate) fn word<T: Copy>(value: &Spot<Yaml>, what: &str, words: &[(&str, T)]) -> Result<T, Fault> {
    let text = text(value)?;
    let allowed: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| Fault::at(value, unknown(what, text, &allowed)))
}

/// The message for a word that is none of the allowed ones.
pub(crate) fn unknown(what: &str, word: &str, allowed: &[&str]) -> String {
    let closest = allowed.iter().map(|one| (distance(word, one), *one)).min();
    let guess = match closest {
        Some((steps, one)) if steps <= 2 && steps < one.len() => format!("; did you mean `{one}`?"),
        _ => String::new(),
    };
    format!("unknown {what} `{word}`; allowed: {}{guess}", allowed.join(", "))
}

/// Single-letter changes that lead from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, letter) in from.chars().take(WORD_MAX).enumerate() {
        let mut next = vec![line + 1];
        let pairs = row.iter().zip(row.iter().skip(1)).zip(&to);
        for ((across, above), other) in pairs {
            let left = next.last().copied().unwrap_or(0);
            next.push((across + usize::from(letter != *other)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

const ENTRIES_MAX: usize = 1_000;
const WORD_MAX: usize = 64;
