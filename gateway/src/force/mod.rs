//! What is in force: a policy that was read, its signature checked, the keys of its approvers and operators made ready.
//! It never judges.

use crate::{Error, draft::PolicyCard, duty::Signer, kill::Operator, settings::Signing};
use clyra_policy::Policy;
use clyra_seal::{canonical, dsse::Envelope, key::VerifyingKey};
use clyra_spec::{Mode, media::POLICY_PAYLOAD_TYPE};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// A policy in force.
#[derive(Debug)]
pub(crate) struct Force {
    pub(crate) policy: Policy,
    pub(crate) card: Arc<PolicyCard>,
    /// Whose approvals count.
    pub(crate) signers: Vec<Signer>,
    /// Whose orders turn the kill switch.
    pub(crate) operators: Vec<Operator>,
}

/// Where a policy comes from, and what it must show; the same at every reading.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The file; `None` for the built-in starter policy.
    pub(crate) file: Option<PathBuf>,
    /// Takes the place of the file's mode.
    pub(crate) mode: Option<Mode>,
    pub(crate) signing: Signing,
}

impl Source {
    /// Reads the policy; nothing is in force yet.
    pub(crate) fn read(&self) -> Result<Force, Error> {
        let (policy, file) = match &self.file {
            None => (Policy::starter(), None),
            Some(path) => {
                let yaml = std::fs::read_to_string(path)
                    .map_err(|source| Error::PolicyFile { path: path.clone(), source })?;
                (Policy::parse(&yaml, &path.display().to_string())?, Some(path))
            }
        };
        let policy = match self.mode {
            Some(mode) => policy.with_mode(mode),
            None => policy,
        };
        if let Some(path) = file {
            self.check(path, &policy)?;
        }
        let signers = policy.approvers().iter().map(|one| {
            let key = VerifyingKey::parse(&one.key)?;
            Ok(Signer { name: one.name.clone(), key })
        });
        let signers = signers.collect::<Result<_, clyra_seal::Error>>()?;
        let operators = policy.operators().iter().map(|one| {
            let key = VerifyingKey::parse(&one.key)?;
            Ok(Operator { name: one.name.clone(), key, kind: one.kind })
        });
        let operators = operators.collect::<Result<_, clyra_seal::Error>>()?;
        let card = Arc::new(PolicyCard { digest: policy.digest().to_owned(), version: policy.version() });
        Ok(Force { policy, card, signers, operators })
    }

    /// Whether the file may be taken into use, with its signature or without.
    fn check(&self, path: &Path, policy: &Policy) -> Result<(), Error> {
        let Signing { keys, allow_unsigned, own } = &self.signing;
        let fault = |why: String| Error::Unsigned { path: path.to_owned(), why };
        if keys.is_empty() {
            if *allow_unsigned
                || !policy.enforces()
                || policy.is_starter()
                || own.as_deref() == Some(policy.digest())
            {
                return Ok(());
            }
            return Err(fault(
                "it enforces, and nothing says whose signature would do: name the owner's key with --policy-key, or say \
                 --allow-unsigned"
                    .to_owned(),
            ));
        }
        let beside = signature_file(path);
        let bytes = std::fs::read(&beside).map_err(|error| {
            fault(format!(
                "its signature `{}` cannot be read: {error}; `clyra policy sign` makes it",
                beside.display()
            ))
        })?;
        let envelope =
            Envelope::from_slice(bytes.trim_ascii_end()).map_err(|error| fault(error.to_string()))?;
        let key = keys.iter().find(|key| key.id() == envelope.keyid).ok_or_else(|| {
            let known: Vec<&str> = keys.iter().map(VerifyingKey::id).collect();
            fault(format!(
                "it is signed by `{}`; allowed: {}",
                envelope.keyid.escape_debug(),
                known.join(", ")
            ))
        })?;
        let payload = envelope.open(POLICY_PAYLOAD_TYPE, key).map_err(|error| fault(error.to_string()))?;
        if payload != signed_bytes(policy)? {
            return Err(fault(
                "the signature is for another text; sign the file again after every change".to_owned(),
            ));
        }
        Ok(())
    }
}

/// Where a policy's signature stands: beside it, with `.sig` at the end.
pub fn signature_file(policy: &Path) -> PathBuf {
    let mut name = policy.as_os_str().to_owned();
    name.push(".sig");
    PathBuf::from(name)
}

/// What a policy's owner signs: digest of the file, name, version.
///
/// # Errors
/// Never for a policy that was read.
pub fn signed_bytes(policy: &Policy) -> Result<Vec<u8>, clyra_seal::Error> {
    canonical::to_vec(
        &json!({"digest": policy.digest(), "name": policy.name(), "v": 1, "version": policy.version()}),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clyra_seal::{dsse, key::SigningKey};

    const ENFORCE: &str = "name: shop\nversion: 2\nmode: enforce\nrules: [{id: a, deny_verbs: [drop]}]\n";

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed("owner", &[seed; 32]).unwrap()
    }

    fn why(source: &Source) -> String {
        source.read().map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn what_enforces_is_signed_or_let_be_unsigned_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p.yaml");
        std::fs::write(&file, ENFORCE).unwrap();
        let source = |keys: &[u8], allow_unsigned, mode| Source {
            file: Some(file.clone()),
            mode,
            signing: Signing {
                keys: keys.iter().map(|seed| key(*seed).verifying()).collect(),
                allow_unsigned,
                own: None,
            },
        };
        assert!(why(&source(&[], false, None)).contains("--allow-unsigned"));
        assert_eq!(why(&source(&[], true, None)), "");
        assert_eq!(why(&source(&[], false, Some(Mode::Shadow))), "");
        assert_eq!(why(&Source { file: None, ..source(&[], false, Some(Mode::Enforce)) }), "");
        // With keys, no mode and no flag does without.
        assert!(why(&source(&[1], true, Some(Mode::Shadow))).contains("p.yaml.sig"));
        let policy = Policy::parse(ENFORCE, "p").unwrap();
        let sign = |seed| dsse::sign(POLICY_PAYLOAD_TYPE, &signed_bytes(&policy).unwrap(), &key(seed));
        let beside = signature_file(&file);
        std::fs::write(&beside, sign(1).to_vec().unwrap()).unwrap();
        assert_eq!(why(&source(&[1, 2], false, None)), "");
        assert!(why(&source(&[2], false, None)).contains("it is signed by"));
        std::fs::write(&file, ENFORCE.replace("drop", "call")).unwrap();
        assert!(why(&source(&[1], false, None)).contains("another text"));
    }
}
