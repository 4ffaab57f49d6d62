//! RFC 6962 trees over SHA-256. It never sees what the leaves mean.

use crate::{Error, Hash};
use sha2::{Digest, Sha256};

/// Hash of one leaf: SHA-256 of a zero byte and the leaf's bytes.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(leaf).finalize().into()
}

/// Hash of an inner node: SHA-256 of a one byte and both children.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut block = [1; 65];
    let (_, children) = block.split_at_mut(1);
    for (to, from) in children.iter_mut().zip(left.iter().chain(right)) {
        *to = *from;
    }
    Sha256::digest(block).into()
}

/// Root over these leaf hashes; of none it is SHA-256 of nothing.
pub fn root(leaves: &[Hash]) -> Hash {
    let mut level = leaves.to_vec();
    while level.len() > 1 {
        level = level_above(&level);
    }
    level.first().copied().unwrap_or_else(empty_root)
}

/// Siblings of leaf number `index`, from the leaf to the root. Empty for an index beyond the leaves.
pub fn inclusion_path(leaves: &[Hash], index: usize) -> Vec<Hash> {
    Levels::of(leaves.to_vec()).path(index)
}

/// All hashes of a small tree, for many paths out of it.
#[derive(Clone, Debug)]
pub struct Levels(Vec<Vec<Hash>>);

impl Levels {
    /// The tree over these leaf hashes.
    pub fn of(leaves: Vec<Hash>) -> Self {
        let mut levels = vec![leaves];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            let above = level_above(level);
            levels.push(above);
        }
        Self(levels)
    }

    /// Hash number `index` of the level `height` above the leaves. At the right edge, where a level is ragged, the last
    /// hash covers fewer leaves.
    pub fn hash(&self, height: usize, index: usize) -> Option<Hash> {
        self.0.get(height)?.get(index).copied()
    }

    /// Siblings of leaf number `index`, from the leaf to the root. Empty for an index beyond the leaves.
    pub fn path(&self, index: usize) -> Vec<Hash> {
        let inside = self.0.first().is_some_and(|leaves| index < leaves.len());
        let siblings = self.0.iter().enumerate().filter(|_| inside);
        siblings.filter_map(|(height, level)| level.get((index >> height) ^ 1).copied()).collect()
    }
}

/// Root that follows from a leaf hash, its place and its path (RFC 9162 §2.1.3.2); `None` where they do not fit.
pub fn root_of_path(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut place, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if place & 1 == 1 || place == last {
            hash = node_hash(sibling, &hash);
            while place & 1 == 0 && place > 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

/// A growing tree that remembers only its right edge: one hash for each one bit of its size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    /// Roots of the perfect subtrees, largest first.
    edge: Vec<Hash>,
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// A tree as it stood.
    ///
    /// # Errors
    /// When the number of hashes is not the number of one bits in `size`.
    pub fn from_edge(size: u64, edge: Vec<Hash>) -> Result<Self, Error> {
        if u32::try_from(edge.len()).ok() != Some(size.count_ones()) {
            let why = format!("size `{size}` needs {} hashes, found {}", size.count_ones(), edge.len());
            return Err(Error::malformed("edge of a tree", why));
        }
        Ok(Self { size, edge })
    }

    /// Adds the leaf with this leaf hash.
    pub fn append(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.edge.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.edge.push(hash);
        self.size += 1;
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the perfect subtrees along the right edge, largest first.
    pub fn edge(&self) -> &[Hash] {
        &self.edge
    }

    /// Root over all leaves.
    pub fn root(&self) -> Hash {
        self.edge
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| node_hash(&left, &right))
            .unwrap_or_else(empty_root)
    }
}

/// Parents of a level; a node without a sibling rises as it is.
fn level_above(level: &[Hash]) -> Vec<Hash> {
    level
        .chunks(2)
        .filter_map(|pair| match pair {
            [left, right] => Some(node_hash(left, right)),
            [alone] => Some(*alone),
            _ => None,
        })
        .collect()
}

fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known roots of the certificate transparency test data (leaves of RFC 6962's reference tests).
    const LEAVES: [&[u8]; 8] = [
        b"",
        &[0x00],
        &[0x10],
        &[0x20, 0x21],
        &[0x30, 0x31],
        &[0x40, 0x41, 0x42, 0x43],
        &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    #[test]
    fn roots_are_those_of_rfc_6962() {
        let hashes: Vec<Hash> = LEAVES.iter().map(|leaf| leaf_hash(leaf)).collect();
        let mut tree = Tree::new();
        for size in 0..=8 {
            assert_eq!(crate::hex(&root(&hashes[..size])), ROOTS[size]);
            assert_eq!(crate::hex(&tree.root()), ROOTS[size]);
            if size < 8 {
                tree.append(hashes[size]);
            }
        }
    }

    #[test]
    fn every_path_leads_to_the_root_and_no_other_place() {
        let hashes: Vec<Hash> = (0..70_u32).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        let mut tree = Tree::new();
        for size in 1..=hashes.len() {
            tree.append(hashes[size - 1]);
            let again = Tree::from_edge(tree.size(), tree.edge().to_vec()).unwrap();
            let root = root(&hashes[..size]);
            assert_eq!(again.root(), root);
            for index in 0..size {
                let path = inclusion_path(&hashes[..size], index);
                let at = |i: usize, n: usize| root_of_path(hashes[index], i as u64, n as u64, &path);
                assert_eq!(at(index, size), Some(root));
                assert!((0..size).all(|other| other == index || at(other, size) != Some(root)));
            }
        }
        assert!(Tree::from_edge(3, vec![[0; 32]]).is_err());
        assert!(inclusion_path(&hashes, 70).is_empty());
    }
}
