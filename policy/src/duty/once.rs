//! What a policy asks of changes that are to be done once: a key, and how long it is remembered; nothing is remembered here.

/// Changes under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Once {
    /// A change without a key is refused.
    pub required: bool,
    /// How long a key is remembered, microseconds.
    pub ttl_us: u64,
    /// How long the same change, asked for again while it is being done, waits for the first, microseconds.
    pub wait_us: u64,
}

/// Whether this is a key: 1 to 255 printable ASCII characters.
pub fn is_key(text: &str) -> bool {
    (1..=KEY_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

const KEY_BYTES_MAX: usize = 255;
