//! Upper bounds that more than one room relies on. A bound that only one room knows stands in its settings.

/// Largest entry in bytes: C2SP `tlog-tiles` frames an entry with a 16-bit length.
pub const ENTRY_BYTES_MAX: usize = 65_535;

/// Largest whole number in evidence: beyond 2^53−1 JSON readers disagree.
pub const WHOLE_NUMBER_MAX: u64 = (1 << 53) - 1;

/// Most entries in one batch.
pub const BATCH_ENTRIES_MAX: usize = 4_096;

/// Most bytes of entries in one batch.
pub const BATCH_BYTES_MAX: usize = 8 << 20;

/// Longest statement that is judged; a longer one counts as not understood.
pub const STATEMENT_BYTES_MAX: usize = 4 << 20;

/// Longest name of a run, actor, application or other label that a caller may claim, in bytes.
pub const LABEL_BYTES_MAX: usize = 255;

/// Most tables, functions or tags that one receipt lists for one statement.
pub const NAMES_MAX: usize = 64;

/// Longest policy file in bytes.
pub const POLICY_BYTES_MAX: usize = 1 << 20;
