//! The hash tree of RFC 6962, from the side of the one who checks: from a leaf up to a root; it builds no proofs.

use sha2::{Digest, Sha256};

/// A SHA-256 digest.
pub(crate) type Hash = [u8; 32];

/// The digest of a leaf: `SHA-256(0x00 || entry)`.
pub(crate) fn leaf(entry: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(entry).finalize().into()
}

/// The digest of an inner node: `SHA-256(0x01 || left || right)`.
pub(crate) fn node(left: &Hash, right: &Hash) -> Hash {
    let mut message = [1; 65];
    if let Some((first, second)) = message.get_mut(1..).and_then(|both| both.split_at_mut_checked(32)) {
        first.copy_from_slice(left);
        second.copy_from_slice(right);
    }
    Sha256::digest(message).into()
}

/// The digest of plain bytes.
pub(crate) fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// The root that a leaf at `index` of a tree of `size` leaves leads to along this path (RFC 9162, 2.1.3.2).
///
/// `None` when the index is outside the tree or the path has not exactly the length that this place needs.
pub(crate) fn climb(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    let mut last = size.checked_sub(1)?;
    let mut here = index;
    if here > last {
        return None;
    }
    let mut root = leaf;
    for sibling in path {
        if last == 0 {
            return None;
        }
        if here & 1 == 1 || here == last {
            root = node(sibling, &root);
            // A node without a right neighbour is lifted unchanged until it is one.
            while here & 1 == 0 && here != 0 {
                here >>= 1;
                last >>= 1;
            }
        } else {
            root = node(&root, sibling);
        }
        here >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(root)
}

/// Whether the tree with the first root is the beginning of the one with the second (RFC 9162, 2.1.4.2).
pub(crate) fn grew(first: (u64, Hash), second: (u64, Hash), path: &[Hash]) -> bool {
    let ((old, old_root), (new, new_root)) = (first, second);
    if old == new {
        return path.is_empty() && old_root == new_root;
    }
    if old == 0 || old > new {
        return old == 0 && path.is_empty();
    }
    // The old root itself, where it is a node of the new tree, is not in the path.
    let whole = old.is_power_of_two().then_some(old_root);
    let mut nodes = whole.iter().chain(path);
    let (mut here, mut last) = (old - 1, new - 1);
    while here & 1 == 1 {
        here >>= 1;
        last >>= 1;
    }
    let Some(start) = nodes.next() else { return false };
    let (mut before, mut after) = (*start, *start);
    for sibling in nodes {
        if last == 0 {
            return false;
        }
        if here & 1 == 1 || here == last {
            before = node(sibling, &before);
            after = node(sibling, &after);
            while here & 1 == 0 && here != 0 {
                here >>= 1;
                last >>= 1;
            }
        } else {
            after = node(&after, sibling);
        }
        here >>= 1;
        last >>= 1;
    }
    last == 0 && before == old_root && after == new_root
}

/// The right edge of a growing tree: the roots of its full subtrees, largest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edge {
    size: u64,
    roots: Vec<Hash>,
}

impl Edge {
    /// Adds one leaf digest.
    pub(crate) fn add(&mut self, leaf: Hash) {
        let mut root = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                root = node(&left, &root);
            }
        }
        self.roots.push(root);
        self.size += 1;
    }

    /// The root so far; of nothing, `SHA-256("")`.
    pub(crate) fn root(&self) -> Hash {
        let mut smaller_first = self.roots.iter().rev();
        let Some(smallest) = smaller_first.next() else { return sha256(b"") };
        smaller_first.fold(*smallest, |right, left| node(left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::text::to_hex;

    /// RFC 6962 by its definition, slow and plain.
    fn root_of(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => sha256(b""),
            [one] => *one,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node(&root_of(left), &root_of(right))
            }
        }
    }

    fn path_of(leaves: &[Hash], index: usize) -> Vec<Hash> {
        if leaves.len() < 2 {
            return Vec::new();
        }
        let half = leaves.len().next_power_of_two() / 2;
        let (left, right) = leaves.split_at(half);
        let (mut path, other) = if index < half {
            (path_of(left, index), root_of(right))
        } else {
            (path_of(right, index - half), root_of(left))
        };
        path.push(other);
        path
    }

    #[test]
    fn known_roots() {
        assert_eq!(
            to_hex(&Edge::default().root()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(to_hex(&leaf(b"")), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    }

    #[test]
    fn every_place_of_every_small_tree() {
        let leaves: Vec<Hash> = (0u8..70).map(|n| leaf(&[n])).collect();
        let mut edge = Edge::default();
        for size in 1..=leaves.len() {
            edge.add(leaves[size - 1]);
            let root = root_of(&leaves[..size]);
            assert_eq!(edge.root(), root);
            for index in 0..size {
                let path = path_of(&leaves[..size], index);
                let climbed = |path: &[Hash]| climb(leaves[index], index as u64, size as u64, path);
                assert_eq!(climbed(&path), Some(root));
                let mut longer = path.clone();
                longer.push(root);
                assert_eq!(climbed(&longer), None);
                if let Some((_, shorter)) = path.split_last() {
                    assert_eq!(climbed(shorter), None);
                }
            }
            assert_eq!(climb(leaves[0], size as u64, size as u64, &[]), None);
        }
        assert_eq!(climb(leaves[0], 0, 0, &[]), None);
    }
}
