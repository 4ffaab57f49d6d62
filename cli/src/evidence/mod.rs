//! What is made out of a whole log for those who check it: populations and daily rollups. Nothing here talks to a running house.

pub(crate) mod export;
pub(crate) mod rollup;
