//! Cosignatures of witnesses (C2SP cosignature/v1): whether a line is one, by a witness that is known. It makes none.

use crate::Error;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

/// A witness's key, as a vkey of type 0x04.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    hash: [u8; 4],
    key: ed25519_dalek::VerifyingKey,
}

impl WitnessKey {
    /// Reads `name+hash+base64(0x04 || key)`.
    ///
    /// # Errors
    /// When the text has another form, the hash does not fit, or the key is weak.
    pub fn parse(vkey: &str) -> Result<Self, Error> {
        let bad =
            |why: &str| Error::malformed("key of a witness", format!("`{}`: {why}", vkey.escape_debug()));
        let form = "expected `name+hash+base64` with an ed25519 cosignature key";
        let (name, rest) = vkey.split_once('+').ok_or_else(|| bad(form))?;
        let (digits, encoded) = rest.split_once('+').ok_or_else(|| bad(form))?;
        let blob = STANDARD.decode(encoded).map_err(|_| bad(form))?;
        let bytes: &[u8; 32] = match blob.split_first() {
            Some((&COSIGNATURE, key)) => key.try_into().map_err(|_| bad(form))?,
            _ => return Err(bad(form)),
        };
        let key =
            ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| bad("not a point of the curve"))?;
        if key.is_weak() {
            return Err(Error::WeakKey { key: name.into() });
        }
        let digest = Sha256::new().chain_update(name).chain_update(b"\n").chain_update(&blob).finalize();
        let [a, b, c, d, ..] = <[u8; 32]>::from(digest);
        if crate::hex(&[a, b, c, d]) != digits {
            return Err(bad("the hash does not fit name and key"));
        }
        Ok(Self { name: name.into(), hash: [a, b, c, d], key })
    }

    /// The witness's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this line, without its end, is this witness's signature over the text of the note.
    pub fn signed(&self, note: &str, line: &str) -> bool {
        let text = note.find("\n\n").and_then(|end| note.get(..=end));
        let blob = line.strip_prefix("— ").and_then(|rest| rest.split_once(' '));
        let (Some(text), Some((name, blob))) = (text, blob) else { return false };
        let Ok(blob) = STANDARD.decode(blob) else { return false };
        let Some((hash, rest)) = blob.split_first_chunk::<4>() else { return false };
        let Some((time, signature)) = rest.split_first_chunk::<8>() else { return false };
        let Ok(signature) = <&[u8; 64]>::try_from(signature) else { return false };
        let message = format!("cosignature/v1\ntime {}\n{text}", u64::from_be_bytes(*time));
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        name == self.name
            && *hash == self.hash
            && self.key.verify_strict(message.as_bytes(), &signature).is_ok()
    }
}

/// Type byte of an Ed25519 key of cosignatures.
const COSIGNATURE: u8 = 4;
