//! Ed25519 keys in the text forms of C2SP signed notes. A private key leaves its file only to sign.

use crate::Error;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::Signer as _;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// A private key and its name.
pub struct SigningKey {
    key: ed25519_dalek::SigningKey,
    public: VerifyingKey,
}

impl SigningKey {
    /// A new key.
    ///
    /// # Errors
    /// When the name is not allowed or the system gives no random bytes.
    pub fn generate(name: &str) -> Result<Self, Error> {
        Self::from_seed(name, &random()?)
    }

    /// The key that follows from a seed.
    ///
    /// # Errors
    /// When the name is not allowed.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, Error> {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let public = VerifyingKey::new(name, key.verifying_key())?;
        Ok(Self { key, public })
    }

    /// The key in a file of one line, `PRIVATE+KEY+name+hash+base64`.
    ///
    /// # Errors
    /// When the file cannot be read or is malformed.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text))
            .map_err(|source| Error::File { doing: "read", path: path.into(), source })?;
        Self::parse(&text)
            .map_err(|why| Error::malformed("private key", format!("`{}`: {why}", path.display())))
    }

    /// The key in the file, made on first use: mode 0600, named `<prefix>-<8 random hex digits>`, durable on return.
    ///
    /// # Errors
    /// When the file cannot be read or made, or is malformed.
    pub fn load_or_generate(path: &Path, name_prefix: &str) -> Result<Self, Error> {
        read_or_create(path, || {
            let [a, b, c, d, ..] = random()?;
            let key = Self::generate(&format!("{name_prefix}-{}", crate::hex(&[a, b, c, d])))?;
            Ok(format!("{}\n", key.private_text()))
        })?;
        Self::load(path)
    }

    /// A new key of this name, in a file of its own with mode 0600.
    ///
    /// # Errors
    /// When the name is none, or the file is there already or cannot be made.
    pub fn create(path: &Path, name: &str) -> Result<Self, Error> {
        let key = Self::generate(name)?;
        if path.exists() {
            let source = std::io::Error::from(ErrorKind::AlreadyExists);
            return Err(Error::File { doing: "make", path: path.into(), source });
        }
        read_or_create(path, || Ok(format!("{}\n", key.private_text())))?;
        Self::load(path)
    }

    /// The key's name.
    pub fn name(&self) -> &str {
        &self.public.name
    }

    /// `name+hash`: how entries and envelopes point at this key.
    pub fn id(&self) -> &str {
        &self.public.id
    }

    /// The public half.
    pub fn verifying(&self) -> VerifyingKey {
        self.public.clone()
    }

    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }

    fn private_text(&self) -> String {
        let mut bytes = vec![ED25519];
        bytes.extend_from_slice(self.key.as_bytes());
        format!("PRIVATE+KEY+{}+{}", self.public.id, STANDARD.encode(bytes))
    }

    /// The reason of a refusal never quotes the text: it may be most of a key.
    fn parse(text: &str) -> Result<Self, String> {
        let expected = "expected one line `PRIVATE+KEY+name+hash+base64`";
        let line = text.strip_suffix('\n').unwrap_or(text);
        let rest = line.strip_prefix("PRIVATE+KEY+").ok_or(expected)?;
        let (name, rest) = rest.split_once('+').ok_or(expected)?;
        let (hash, encoded) = rest.split_once('+').ok_or(expected)?;
        let seed = decode_key(encoded).ok_or(expected)?;
        let key = Self::from_seed(name, &seed).map_err(|fault| fault.to_string())?;
        if crate::hex(&key.public.hash()) != hash {
            return Err("the hash does not fit name and key".into());
        }
        Ok(key)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "SigningKey({}, …)", self.public.id)
    }
}

/// A public key and its name. Displays as a vkey.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    id: String,
    key: ed25519_dalek::VerifyingKey,
}

impl VerifyingKey {
    /// Reads `name+hash+base64(0x01 || key)`.
    ///
    /// # Errors
    /// When the text has another form, the hash does not fit, or the key is weak.
    pub fn parse(vkey: &str) -> Result<Self, Error> {
        let bad = |why: &str| Error::malformed("key", format!("`{}`: {why}", vkey.escape_debug()));
        let form = "expected `name+hash+base64` with an ed25519 key";
        let (name, rest) = vkey.split_once('+').ok_or_else(|| bad(form))?;
        let (hash, encoded) = rest.split_once('+').ok_or_else(|| bad(form))?;
        let bytes = decode_key(encoded).ok_or_else(|| bad(form))?;
        let point =
            ed25519_dalek::VerifyingKey::from_bytes(&bytes).map_err(|_| bad("not a point of the curve"))?;
        let key = Self::new(name, point)?;
        if crate::hex(&key.hash()) != hash {
            return Err(bad("the hash does not fit name and key"));
        }
        Ok(key)
    }

    /// The key's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `name+hash`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The first four bytes of SHA-256 over name, line feed, type and key: the key hash of signed notes.
    pub fn hash(&self) -> [u8; 4] {
        key_hash(&self.name, &self.key)
    }

    /// Checks a signature strictly: canonical, no small order.
    ///
    /// # Errors
    /// When it does not verify.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), Error> {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.key
            .verify_strict(message, &signature)
            .map_err(|_| Error::BadSignature { what: "message", key: self.id.clone() })
    }

    fn new(name: &str, key: ed25519_dalek::VerifyingKey) -> Result<Self, Error> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(allowed) {
            let why =
                format!("`{}` must be 1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 . _ - /", name.escape_debug());
            return Err(Error::malformed("key name", why));
        }
        if key.is_weak() {
            return Err(Error::WeakKey { key: name.into() });
        }
        let id = format!("{name}+{}", crate::hex(&key_hash(name, &key)));
        Ok(Self { name: name.into(), id, key })
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![ED25519];
        bytes.extend_from_slice(self.key.as_bytes());
        write!(to, "{}+{}", self.id, STANDARD.encode(bytes))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "VerifyingKey({self})")
    }
}

/// 32 bytes from the system.
pub(crate) fn random() -> Result<[u8; 32], Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(Error::NoRandomness)?;
    Ok(bytes)
}

/// Text of a secret file; where there is none, it is made, and file and folder entry are durable on return.
pub(crate) fn read_or_create(
    path: &Path,
    text: impl FnOnce() -> Result<String, Error>,
) -> Result<String, Error> {
    let fault = |doing| move |source| Error::File { doing, path: path.into(), source };
    match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        read => return read.map_err(fault("read")),
    }
    let text = text()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(fault("make the folder of"))?;
    // Whole or not at all: a crash between create and write must not leave an empty key behind.
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    let written =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft).and_then(
            |mut file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()
            },
        );
    written.map_err(fault("write"))?;
    // A hard link refuses to replace a key that somebody else made meanwhile.
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft).map_err(fault("tidy up after"))?;
    match linked {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return fs::read_to_string(path).map_err(fault("read"));
        }
        made => made.map_err(fault("make"))?,
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(fault("sync the folder of"))?;
    Ok(text)
}

fn key_hash(name: &str, key: &ed25519_dalek::VerifyingKey) -> [u8; 4] {
    let digest = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', ED25519])
        .chain_update(key.as_bytes())
        .finalize();
    let [a, b, c, d, ..] = <[u8; 32]>::from(digest);
    [a, b, c, d]
}

fn decode_key(encoded: &str) -> Option<[u8; 32]> {
    match STANDARD.decode(encoded).ok()?.split_first() {
        Some((&ED25519, key)) => key.try_into().ok(),
        _ => None,
    }
}

/// Type byte of Ed25519 in signed notes.
const ED25519: u8 = 1;
const NAME_BYTES_MAX: usize = 100;
const FILE_BYTES_MAX: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_survives_in_its_file_and_nobody_else_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/gateway.key");
        let made = SigningKey::load_or_generate(&path, "clyra-gateway").unwrap();
        let again = SigningKey::load_or_generate(&path, "other").unwrap();
        assert_eq!(made.verifying(), again.verifying());
        assert!(made.name().starts_with("clyra-gateway-"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!format!("{made:?}").contains("PRIVATE"));
        fs::write(&path, "PRIVATE+KEY+x").unwrap();
        assert!(SigningKey::load(&path).unwrap_err().to_string().contains("gateway.key"));
    }

    #[test]
    fn vkeys_round_trip_and_bad_ones_are_refused() {
        // The vkey of the Go module mirror's checksum database, a public and independent example.
        let known = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
        assert_eq!(VerifyingKey::parse(known).unwrap().to_string(), known);
        let weak = {
            let point = ed25519_dalek::VerifyingKey::from_bytes(&[0; 32]).unwrap();
            let bytes = [&[ED25519][..], &[0; 32]].concat();
            format!("weak+{}+{}", crate::hex(&key_hash("weak", &point)), STANDARD.encode(bytes))
        };
        assert!(matches!(VerifyingKey::parse(&weak), Err(Error::WeakKey { .. })));
        let other_hash = known.replace("033de0ae", "033de0af");
        for bad in ["", "a+b", "a b+033de0ae+AA==", other_hash.as_str(), &known.replace("+Ac4", "+Bc4")] {
            assert!(VerifyingKey::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn signatures_verify_only_over_their_message() {
        let key = SigningKey::generate("k").unwrap();
        let mut signature = key.sign(b"message");
        assert!(key.verifying().verify(b"message", &signature).is_ok());
        assert!(key.verifying().verify(b"massage", &signature).is_err());
        signature[63] ^= 0x10;
        assert!(key.verifying().verify(b"message", &signature).is_err());
    }
}
