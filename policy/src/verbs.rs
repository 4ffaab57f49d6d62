//! Sets of verbs, and the group names that policies use for them; it never orders or judges verbs.

use clyra_spec::Verb;

/// A set of verbs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verbs(u32);

impl Verbs {
    /// The set of one verb.
    pub fn only(verb: Verb) -> Self {
        Self(1 << verb as u32)
    }

    /// The verbs of a word in a policy: a verb, or one of the groups `writes`, `ddl`, `reads`.
    pub fn of_word(word: &str) -> Option<Self> {
        let of = |keep: fn(Verb) -> bool| Verb::ALL.into_iter().filter(|verb| keep(*verb)).collect();
        match word {
            // Row and table locks need the right to write, and hold up those who do.
            "writes" => Some(of(|verb| verb.is_write() || verb == Verb::Lock)),
            "ddl" => Some(of(Verb::is_ddl)),
            "reads" => Some(of(|verb| matches!(verb, Verb::Select | Verb::CopyOut | Verb::Fetch))),
            _ => Verb::ALL.into_iter().find(|verb| verb.as_str() == word).map(Self::only),
        }
    }

    /// The words that [`Verbs::of_word`] knows, groups first.
    pub fn words() -> impl Iterator<Item = &'static str> {
        ["writes", "ddl", "reads"].into_iter().chain(Verb::ALL.into_iter().map(Verb::as_str))
    }

    /// Adds a verb.
    pub fn insert(&mut self, verb: Verb) {
        self.0 |= Self::only(verb).0;
    }

    /// Adds all verbs of another set.
    pub fn extend(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether `verb` is in the set.
    pub fn contains(self, verb: Verb) -> bool {
        self.0 & Self::only(verb).0 != 0
    }

    /// Whether the sets share a verb.
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The strongest verb that is not in `other`.
    pub fn strongest_beyond(self, other: Self) -> Option<Verb> {
        Self(self.0 & !other.0).strongest_shared(self)
    }

    /// The strongest verb that both sets share.
    pub fn strongest_shared(self, other: Self) -> Option<Verb> {
        let shared = Self(self.0 & other.0);
        Verb::ALL.into_iter().rev().find(|verb| shared.contains(*verb))
    }
}

impl FromIterator<Verb> for Verbs {
    fn from_iter<I: IntoIterator<Item = Verb>>(verbs: I) -> Self {
        let mut set = Self::default();
        verbs.into_iter().for_each(|verb| set.insert(verb));
        set
    }
}
