//! Keys of people and what they sign: policies, approvals, and orders to the kill switch. A private key is read here, to
//! sign one thing, and goes nowhere.

pub(crate) mod approve;
pub(crate) mod order;

use crate::{error::Error, verbs::policy, verbs::say};
use clap::Args;
use clyra_gateway::{signature_file, signed_bytes};
use clyra_seal::{dsse, key::SigningKey, key::VerifyingKey};
use clyra_spec::media::POLICY_PAYLOAD_TYPE;
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Whose key, and where it shall stand.
#[derive(Debug, Args)]
pub struct KeygenArgs {
    /// Name in the key: letters, digits and `. _ - /`
    #[arg(long, value_name = "NAME")]
    name: String,
    /// File for the private key; it must not be there yet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What to sign.
#[derive(Debug, Args)]
pub struct SignArgs {
    /// Policy file; the signature is written beside it, with `.sig` at the end
    #[arg(value_name = "FILE")]
    policy: PathBuf,
    /// The owner's private key, from `clyra keygen`
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Makes a key pair; prints the public half.
pub(crate) fn keygen(args: &KeygenArgs) -> Result<u8, Error> {
    let key = SigningKey::create(&args.out, &args.name).map_err(|error| Error::Usage(error.to_string()))?;
    let public = key.verifying().to_string();
    say(args.json, &json!({"key": public, "file": args.out}), || public.clone())?;
    Ok(0)
}

/// Signs a policy file, once it is sound.
pub(crate) fn sign(args: &SignArgs) -> Result<u8, Error> {
    let judge = policy::read(&args.policy)?;
    let key = private(&args.key)?;
    let ours = |error: clyra_seal::Error| Error::Ours { doing: "signing", why: error.to_string() };
    let payload = signed_bytes(&judge).map_err(ours)?;
    let mut envelope = dsse::sign(POLICY_PAYLOAD_TYPE, &payload, &key).to_vec().map_err(ours)?;
    envelope.push(b'\n');
    let file = signature_file(&args.policy);
    crate::standing::write_whole(&file, &envelope)?;
    let (file, id) = (file.display().to_string(), key.id().to_owned());
    say(args.json, &json!({"digest": judge.digest(), "file": file, "key": id}), || {
        format!("{file}: {} version {}, signed by {id}", judge.name(), judge.version())
    })?;
    Ok(0)
}

/// A public key: the text itself, or a file that holds nothing else.
pub(crate) fn public(word: &str) -> Result<VerifyingKey, String> {
    let text = if Path::new(word).is_file() {
        std::fs::read_to_string(word).map_err(|error| format!("cannot read `{word}`: {error}"))?
    } else {
        word.to_owned()
    };
    VerifyingKey::parse(text.trim()).map_err(|error| error.to_string())
}

fn private(path: &Path) -> Result<SigningKey, Error> {
    SigningKey::load(path).map_err(|error| Error::Usage(error.to_string()))
}

fn rfc3339(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::MAX);
    // Whole seconds: nobody approves for fractions.
    jiff::Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// A number with a unit: `90s`, `1h`, `7d`; 30 days at most.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let allowed = || "allowed: a number and s, m, h or d, like `1h`".to_owned();
    let unit = text.chars().last().ok_or_else(allowed)?;
    let count: u64 = text.strip_suffix(unit).and_then(|count| count.parse().ok()).ok_or_else(allowed)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(allowed()),
    };
    match count.checked_mul(seconds) {
        Some(seconds) if (1..=30 * 86_400).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err("allowed: from 1s to 30d".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn spans() {
        assert_eq!(span("90m").unwrap().as_secs(), 5_400);
        for bad in ["", "h", "1", "1w", "-1h", "31d", "0s", "1é"] {
            assert!(span(bad).unwrap_err().contains("allowed"), "{bad}");
        }
    }
}
