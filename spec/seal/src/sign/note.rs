//! Checkpoints as C2SP signed notes: what the log says about itself. It never decides whether a checkpoint may be signed.

use super::key::{SigningKey, VerifyingKey};
use crate::{Error, Hash};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// What a checkpoint says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the log; equals the name of its key.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// RFC 6962 root over them.
    pub root: Hash,
}

/// Text of a signed checkpoint: origin, size, root, blank line, signature.
pub fn sign_checkpoint(origin: &str, size: u64, root: &Hash, key: &SigningKey) -> String {
    let text = format!("{origin}\n{size}\n{}\n", STANDARD.encode(root));
    let mut blob = key.verifying().hash().to_vec();
    blob.extend_from_slice(&key.sign(text.as_bytes()));
    format!("{text}\n— {} {}\n", key.name(), STANDARD.encode(blob))
}

/// Reads a checkpoint and checks the log's signature; signatures of others are passed over.
///
/// # Errors
/// When the text has another form, the origin is not the key's name, or no signature of the key verifies.
pub fn open_checkpoint(note: &str, key: &VerifyingKey) -> Result<Checkpoint, Error> {
    let (checkpoint, text, signatures) = parse(note)?;
    if checkpoint.origin != key.name() {
        let why = format!("origin `{}`, expected `{}`", checkpoint.origin.escape_debug(), key.name());
        return Err(Error::malformed("checkpoint", why));
    }
    let bad = || Error::BadSignature { what: "checkpoint", key: key.id().into() };
    let mut signed = false;
    for line in signatures.lines() {
        let (name, blob) = line
            .strip_prefix("— ")
            .and_then(|rest| rest.split_once(' '))
            .ok_or_else(|| Error::malformed("checkpoint", "a signature line is `— name base64`"))?;
        let blob = STANDARD.decode(blob).map_err(|fault| Error::malformed("base64", fault.to_string()))?;
        let Some((hash, signature)) = blob.split_at_checked(4) else { return Err(bad()) };
        if name == key.name() && hash == key.hash() {
            let signature = signature.try_into().map_err(|_| bad())?;
            key.verify(text.as_bytes(), signature).map_err(|_| bad())?;
            signed = true;
        }
    }
    if signed { Ok(checkpoint) } else { Err(bad()) }
}

/// What the note says, the text that is signed, and the signature lines.
fn parse(note: &str) -> Result<(Checkpoint, &str, &str), Error> {
    let read = || {
        let end = note.find("\n\n")?;
        let (text, rest) = note.split_at_checked(end + 1)?;
        let signatures = rest.strip_prefix('\n').filter(|lines| lines.ends_with('\n'))?;
        let mut lines = text.lines();
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        if lines.next().is_some() || origin.is_empty() {
            return None;
        }
        let number: u64 = size.parse().ok()?;
        let root = STANDARD.decode(root).ok()?.try_into().ok()?;
        let checkpoint = Checkpoint { origin: origin.into(), size: number, root };
        (number.to_string() == size).then_some((checkpoint, text, signatures))
    };
    read().ok_or_else(|| {
        Error::malformed("checkpoint", "expected origin, size and root, a blank line, signatures")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_opens_only_as_it_was_signed() {
        let key = SigningKey::from_seed("log-1", &[1; 32]).unwrap();
        let note = sign_checkpoint("log-1", 42, &[9; 32], &key);
        let expected = Checkpoint { origin: "log-1".into(), size: 42, root: [9; 32] };
        assert_eq!(open_checkpoint(&note, &key.verifying()).unwrap(), expected);
        let witnessed = format!("{note}— witness AAAAAAAA\n");
        assert_eq!(open_checkpoint(&witnessed, &key.verifying()).unwrap(), expected);
        for place in 0..note.len() {
            let mut bad = note.clone().into_bytes();
            bad[place] ^= 1;
            let opened = String::from_utf8(bad).ok().map(|bad| open_checkpoint(&bad, &key.verifying()));
            assert!(!matches!(opened, Some(Ok(_))), "byte {place}");
        }
        assert!(open_checkpoint(&note.replace("\n42\n", "\n042\n"), &key.verifying()).is_err());
    }
}
