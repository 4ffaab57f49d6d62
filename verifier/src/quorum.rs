//! Who must have seen a checkpoint (C2SP tlog-policy): witnesses, groups of them, and the quorum; it asks nobody.

use crate::error::{Flaw, flaw};
use crate::json::text::short;
use crate::trust::Key;

/// Witnesses and groups by name, and which of them must have signed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quorum {
    nodes: Vec<(String, Node)>,
    /// What must hold; `None` while no line said so.
    needed: Option<Needed>,
}

#[derive(Clone, Debug)]
enum Node {
    Witness(Box<Key>),
    /// So many of these, which stand before it.
    Group(usize, Vec<usize>),
}

#[derive(Clone, Copy, Debug)]
enum Needed {
    Nothing,
    Node(usize),
}

impl Quorum {
    /// A `witness` line.
    pub(crate) fn witness(&mut self, name: &str, key: Key) -> Result<(), Flaw> {
        self.name(name)?;
        self.nodes.push((name.to_owned(), Node::Witness(Box::new(key))));
        Ok(())
    }

    /// A `group` line.
    pub(crate) fn group(&mut self, name: &str, needs: &str, members: &[&str]) -> Result<(), Flaw> {
        self.name(name)?;
        let mut places = Vec::with_capacity(members.len());
        for member in members {
            let place = self.find(member)?;
            let taken = |node: &Node| matches!(node, Node::Group(_, of) if of.contains(&place));
            if places.contains(&place) || self.nodes.iter().any(|(_, node)| taken(node)) {
                return flaw(format!("`{}` is in a group already", short(member)));
            }
            places.push(place);
        }
        let needs = match needs {
            "all" => places.len(),
            "any" => 1,
            number => number.parse().unwrap_or_default(),
        };
        if !(1..=places.len()).contains(&needs) {
            return flaw(format!("a group of {} needs `all`, `any`, or 1 to as many of it", places.len()));
        }
        self.nodes.push((name.to_owned(), Node::Group(needs, places)));
        Ok(())
    }

    /// The `quorum` line, of which there is one.
    pub(crate) fn needs(&mut self, name: &str) -> Result<(), Flaw> {
        if self.needed.is_some() {
            return flaw("a second `quorum` line, exactly one is needed");
        }
        self.needed = Some(if name == NONE { Needed::Nothing } else { Needed::Node(self.find(name)?) });
        Ok(())
    }

    /// Whether a `quorum` line was there.
    pub(crate) fn is_said(&self) -> bool {
        self.needed.is_some()
    }

    /// Every witness.
    pub(crate) fn witnesses(&self) -> impl Iterator<Item = &Key> {
        self.nodes.iter().filter_map(|(_, node)| match node {
            Node::Witness(key) => Some(&**key),
            Node::Group(..) => None,
        })
    }

    /// Whether the witnesses with these key ids are enough.
    pub(crate) fn is_met(&self, signed: &[&str]) -> bool {
        match self.needed {
            Some(Needed::Nothing) => true,
            Some(Needed::Node(place)) => self.holds(place, signed),
            None => false,
        }
    }

    /// What is needed, in words.
    pub(crate) fn told(&self) -> &str {
        let named = |place: usize| self.nodes.get(place).map_or(NONE, |(name, _)| name);
        match self.needed {
            Some(Needed::Node(place)) => named(place),
            _ => NONE,
        }
    }

    /// Members stand before their group, hence this ends.
    fn holds(&self, place: usize, signed: &[&str]) -> bool {
        match self.nodes.get(place) {
            Some((_, Node::Witness(key))) => signed.contains(&key.id.as_str()),
            Some((_, Node::Group(needs, members))) => {
                members.iter().filter(|member| self.holds(**member, signed)).count() >= *needs
            }
            None => false,
        }
    }

    fn find(&self, name: &str) -> Result<usize, Flaw> {
        let place = self.nodes.iter().position(|(of, _)| of == name);
        place.ok_or_else(|| Flaw(format!("`{}` names no witness and no group above", short(name))))
    }

    fn name(&self, name: &str) -> Result<(), Flaw> {
        if name == NONE || self.nodes.iter().any(|(of, _)| of == name) {
            return flaw(format!("the name `{}` is taken", short(name)));
        }
        Ok(())
    }
}

const NONE: &str = "none";
