//! Duties: carries out what a rule leaves with a message that passes. It decides nothing beyond what its duty says.

mod journal;
mod ledger;
mod meter;
#[cfg(test)]
mod tests;
