//! Keyed fingerprints: equal values are seen to be equal, and nobody without the secret can guess them. It never stores
//! a value.

use crate::{Error, Hash, sign};
use std::path::Path;

/// The secret of one gateway's fingerprints. Deleting it makes every fingerprint meaningless.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl Secret {
    /// A secret of one's own, for tests and vectors.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret in the file (64 hex digits), made on first use with mode 0600.
    ///
    /// # Errors
    /// When the file cannot be read or made, or holds something else.
    pub fn load_or_generate(path: &Path) -> Result<Self, Error> {
        let text =
            sign::key::read_or_create(path, || Ok(format!("{}\n", crate::hex(&sign::key::random()?))))?;
        match crate::unhex(text.trim_end()) {
            Some(bytes) => Ok(Self(bytes)),
            None => {
                let why = format!("`{}` must hold 64 lower-case hex digits", path.display());
                Err(Error::malformed("fingerprint secret", why))
            }
        }
    }

    /// Fingerprint of a value, for one purpose within one tenant: 32 lower-case hex digits.
    pub fn of(&self, purpose: &str, tenant: &str, value: &[u8]) -> String {
        crate::hex(&self.bytes(purpose, tenant, value))
    }

    /// Fingerprint of a value that is known by its hash only. It differs from the fingerprint of the hash's bytes as a
    /// value.
    pub fn of_hash(&self, purpose: &str, tenant: &str, hash: &Hash) -> String {
        crate::hex(&self.keyed(b"hash", purpose, tenant, hash))
    }

    /// As [`Secret::of`], as bytes.
    pub fn bytes(&self, purpose: &str, tenant: &str, value: &[u8]) -> [u8; 16] {
        self.keyed(b"value", purpose, tenant, value)
    }

    fn keyed(&self, form: &[u8], purpose: &str, tenant: &str, value: &[u8]) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in [form, purpose.as_bytes(), tenant.as_bytes(), value] {
            // Lengths keep `ab` + `c` apart from `a` + `bc`.
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let mut fingerprint = [0; 16];
        hasher.finalize_xof().fill(&mut fingerprint);
        fingerprint
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_equal_values_of_equal_purpose_and_tenant_are_equal() {
        let secret = Secret::from_bytes([7; 32]);
        let one = secret.of("actor", "acme", b"ada");
        assert_eq!(one.len(), 32);
        assert_eq!(one, secret.of("actor", "acme", b"ada"));
        for other in [
            secret.of("shape", "acme", b"ada"),
            secret.of("actor", "globex", b"ada"),
            secret.of("actor", "acme", b"bob"),
            secret.of("actora", "cme", b"ada"),
            Secret::from_bytes([8; 32]).of("actor", "acme", b"ada"),
        ] {
            assert_ne!(one, other);
        }
        assert_ne!(secret.of_hash("shape", "", &[1; 32]), secret.of("shape", "", &[1; 32]));
        assert!(!format!("{secret:?}").contains('7'));
    }

    #[test]
    fn the_secret_survives_in_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let first = Secret::load_or_generate(&path).unwrap();
        let again = Secret::load_or_generate(&path).unwrap();
        assert_eq!(first.of("a", "b", b"c"), again.of("a", "b", b"c"));
        std::fs::write(&path, "short").unwrap();
        assert!(Secret::load_or_generate(&path).is_err());
    }
}
