//! The witness's own key: made on first use, kept in one file; it never leaves it but to sign cosignatures.

use super::{line, write};
use crate::Error;
use crate::json::text;
use crate::trust::COSIGNATURE;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// A key of type 0x04, with its name.
pub(super) struct Signer {
    name: String,
    key: SigningKey,
}

impl Signer {
    /// The key in this folder, which must have this name.
    pub(super) fn open(folder: &Path, name: &str) -> Result<Self, Error> {
        let path = folder.join("witness.key");
        let told = |why: &str| Error::Witness(format!("`{}`: {why}", path.display()));
        if !text::is_key_name(name) {
            return Err(Error::Witness(format!(
                "`{name}` is no key name, 1 to 100 of `A-Z a-z 0-9 . _ - /` are"
            )));
        }
        if !path.exists() {
            let mut seed = [0; 32];
            let from = Path::new("/dev/urandom");
            let random = File::open(from).and_then(|mut random| random.read_exact(&mut seed));
            random.map_err(|source| Error::Unreadable { path: from.to_owned(), source })?;
            let made = Self { name: name.to_owned(), key: SigningKey::from_bytes(&seed) };
            // Nobody but its owner may ever have been able to read it.
            let draft = path.with_extension("draft");
            let unwritten = |source| Error::Unwritten { path: draft.clone(), source };
            File::create(&draft).map_err(unwritten)?;
            fs::set_permissions(&draft, fs::Permissions::from_mode(0o600)).map_err(unwritten)?;
            write(folder, &path, made.private_text(&seed).as_bytes())?;
        }
        let content =
            fs::read_to_string(&path).map_err(|source| Error::Unreadable { path: path.clone(), source })?;
        let expected = "expected one line `PRIVATE+KEY+name+hash+base64`";
        let rest = content.trim_end().strip_prefix("PRIVATE+KEY+").ok_or_else(|| told(expected))?;
        let mut parts = rest.splitn(3, '+');
        let (Some(of), Some(_), Some(blob)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(told(expected));
        };
        let blob = text::base64(blob).map_err(|_| told(expected))?;
        let seed = blob.strip_prefix(&[COSIGNATURE]).and_then(|seed| <&[u8; 32]>::try_from(seed).ok());
        let key = SigningKey::from_bytes(seed.ok_or_else(|| told("it is no key of a witness"))?);
        if of != name {
            return Err(told(&format!("its key is of `{}`, not of `{name}`", text::short(of))));
        }
        Ok(Self { name: name.to_owned(), key })
    }

    /// The public half.
    pub(super) fn vkey(&self) -> String {
        format!("{}+{}+{}", self.name, text::to_hex(&self.hash()), STANDARD.encode(self.blob()))
    }

    /// The cosignature line for this message.
    pub(super) fn cosign(&self, message: &str, time: u64) -> String {
        line(&self.name, self.hash(), time, &self.key.sign(message.as_bytes()).to_bytes())
    }

    fn private_text(&self, seed: &[u8; 32]) -> String {
        let blob = [&[COSIGNATURE], seed.as_slice()].concat();
        format!("PRIVATE+KEY+{}+{}+{}\n", self.name, text::to_hex(&self.hash()), STANDARD.encode(blob))
    }

    fn hash(&self) -> [u8; 4] {
        let digest =
            Sha256::new().chain_update(&self.name).chain_update(b"\n").chain_update(self.blob()).finalize();
        digest.first_chunk::<4>().copied().unwrap_or_default()
    }

    fn blob(&self) -> Vec<u8> {
        [&[COSIGNATURE], self.key.verifying_key().as_bytes().as_slice()].concat()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Signer({}, …)", self.vkey())
    }
}
