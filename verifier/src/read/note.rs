//! C2SP signed notes that carry a `tlog-checkpoint`: the log's name, size and root, and who signed them.

use super::tree::Hash;
use crate::error::{Flaw, flaw};
use crate::json::text;
use crate::trust::{Role, Trust};

/// What the log signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) origin: String,
    pub(crate) size: u64,
    pub(crate) root: Hash,
}

/// A checkpoint as it was read, with what was signed and the signatures, none of them verified yet.
#[derive(Clone, Debug)]
pub(crate) struct Note<'a> {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) signed: &'a str,
    signatures: Vec<Signature<'a>>,
}

#[derive(Clone, Debug)]
struct Signature<'a> {
    name: &'a str,
    blob: Vec<u8>,
}

/// Reads a note whose text has exactly the three lines of a checkpoint.
pub(crate) fn parse(bytes: &[u8]) -> Result<Note<'_>, Flaw> {
    if bytes.len() > NOTE_BYTES_MAX {
        return flaw(format!("the checkpoint has {} bytes, at most {NOTE_BYTES_MAX} are read", bytes.len()));
    }
    let Ok(note) = std::str::from_utf8(bytes) else { return flaw("the checkpoint is not UTF-8") };
    if note.chars().any(|c| c.is_control() && c != '\n') {
        return flaw("the checkpoint has control characters");
    }
    let Some((above, below)) = note.rsplit_once("\n\n") else {
        return flaw("the checkpoint has no blank line before its signatures");
    };
    let signed = note.get(..above.len() + 1).unwrap_or_default();
    let mut lines = above.split('\n');
    let (Some(origin), Some(size), Some(root), None) =
        (lines.next(), lines.next(), lines.next(), lines.next())
    else {
        return flaw("the checkpoint has not exactly the lines origin, size and root");
    };
    if origin.is_empty() {
        return flaw("the checkpoint has no origin");
    }
    let root = text::base64(root)?;
    let Ok(root) = Hash::try_from(root.as_slice()) else {
        return flaw("the checkpoint's root has not 32 bytes");
    };
    let Some(below) = below.strip_suffix('\n') else { return flaw("the checkpoint's last line has no end") };
    let signatures = below.split('\n').map(signature).collect::<Result<Vec<_>, Flaw>>()?;
    let checkpoint = Checkpoint { origin: origin.to_owned(), size: text::whole(size)?, root };
    Ok(Note { checkpoint, signed, signatures })
}

impl Note<'_> {
    /// Verifies against the trusted log keys, and that the quorum of witnesses has seen it; gives the ids of the log key that
    /// signed and of the witnesses.
    ///
    /// Signatures by keys that nobody trusts say nothing; one that claims a trusted key and does not hold is a flaw.
    pub(crate) fn verify(&self, trust: &Trust) -> Result<String, Flaw> {
        let by = self.by_log(trust)?;
        let witnesses = self.by_witnesses(trust)?;
        if !trust.quorum().is_met(&witnesses) {
            let (needed, seen) = (trust.quorum().told(), witnesses.len());
            return flaw(format!(
                "the quorum `{}` has not seen it, {seen} witnesses have",
                text::short(needed)
            ));
        }
        Ok(witnesses.iter().fold(by, |by, id| format!("{by}`, witness `{id}")))
    }

    /// The trusted witnesses whose cosignature it bears (C2SP cosignature/v1).
    fn by_witnesses<'t>(&self, trust: &'t Trust) -> Result<Vec<&'t str>, Flaw> {
        let mut by = Vec::new();
        for signature in &self.signatures {
            for key in trust.quorum().witnesses().filter(|key| key.name == signature.name) {
                let Some((hash, rest)) = signature.blob.split_first_chunk::<4>() else { continue };
                if *hash != key.hash {
                    continue;
                }
                let holds = rest.split_first_chunk::<8>().is_some_and(|(time, sig)| {
                    let message = cosigned(self.signed, u64::from_be_bytes(*time));
                    <&[u8; 64]>::try_from(sig).is_ok_and(|sig| key.signed(message.as_bytes(), sig))
                });
                if !holds {
                    return flaw(format!("the cosignature of `{}` does not hold", key.id));
                }
                by.push(key.id.as_str());
            }
        }
        Ok(by)
    }

    fn by_log(&self, trust: &Trust) -> Result<String, Flaw> {
        let mut by = None;
        for signature in &self.signatures {
            for key in trust.keys(Role::Log).filter(|key| key.name == signature.name) {
                let Some((hash, sig)) = signature.blob.split_first_chunk::<4>() else { continue };
                if *hash != key.hash {
                    continue;
                }
                let holds =
                    <&[u8; 64]>::try_from(sig).is_ok_and(|sig| key.signed(self.signed.as_bytes(), sig));
                if !holds {
                    return flaw(format!("the signature of `{}` does not hold", key.id));
                }
                if key.name != self.checkpoint.origin {
                    return flaw(format!(
                        "`{}` signed for a log of another name, `{}`",
                        key.id,
                        text::short(&self.checkpoint.origin)
                    ));
                }
                by = Some(key.id.clone());
            }
        }
        by.ok_or_else(|| Flaw("no log key of the trust file signed it".to_owned()))
    }
}

/// What a witness signs who saw this note text at this time.
pub(crate) fn cosigned(signed: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{signed}")
}

fn signature(line: &str) -> Result<Signature<'_>, Flaw> {
    let told = || Flaw(format!("`{}` is not a signature line", text::short(line)));
    let (name, blob) =
        line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' ')).ok_or_else(told)?;
    let blob = text::base64(blob)?;
    if name.is_empty() || blob.len() < 5 {
        return Err(told());
    }
    Ok(Signature { name, blob })
}

const NOTE_BYTES_MAX: usize = 64 << 10;
