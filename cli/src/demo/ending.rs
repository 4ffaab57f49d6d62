//! The story's ending: the run is closed, its bundle cut, read, verified, and verified again with one byte flipped.

use super::{
    story::{Expect, expectations},
    table::Row,
};
use crate::{error::Error, peek, peer, standing::Standing, tell::counted, verbs::bundle::write_new};
use clyra_verifier::{Outcome, Trust, verify_bundle};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::PathBuf};

/// Plays it; the bundle and its flipped twin stay in the data folder.
pub(super) async fn play(standing: &Standing, run_id: &str, rows: &mut Vec<Row>) -> Result<(), Error> {
    let mut gate = peer::gate(standing.admin).await?;
    let closed = peer::close_run(&mut gate, run_id).await?;
    let expects = expectations();
    rows.push(Row {
        step: "run closed",
        sent: format!("CloseRun {run_id}"),
        expected: counted(u64::try_from(expects.len()).unwrap_or_default(), "receipt"),
        got: counted(closed.count, "receipt"),
        ok: u64::try_from(expects.len()) == Ok(closed.count),
    });
    peer::settled(&mut gate).await?;
    let bundle = peer::cut(&mut peer::recorder(standing.recorder).await?, run_id).await?;
    let path = place(standing, run_id, "pef.zip")?;
    write_new(&path, &bundle, false)?;
    let entries = peek::entries(&bundle);
    rows.push(Row {
        step: "bundle cut",
        sent: format!("Cut {run_id}"),
        expected: "a bundle with entries".into(),
        got: format!("{} entries, {} bytes", entries.len(), bundle.len()),
        ok: !entries.is_empty(),
    });
    rows.push(receipts(&entries, &expects));
    let trust = read_trust(standing)?;
    rows.push(verified("bundle verified", "the bundle", &bundle, &trust, Outcome::Pass));
    let flipped = flipped(bundle);
    write_new(&place(standing, run_id, "flipped.pef.zip")?, &flipped, false)?;
    rows.push(verified("one byte flipped", "the bundle, one byte changed", &flipped, &trust, Outcome::Fail));
    Ok(())
}

/// Where the demo's bundle of this run is.
pub(super) fn place(standing: &Standing, run_id: &str, ending: &str) -> Result<PathBuf, Error> {
    let folder = standing.trust.with_file_name("demo");
    fs::create_dir_all(&folder).map_err(|error| Error::file(&folder, "make it", &error))?;
    Ok(folder.join(format!("{run_id}.{ending}")))
}

/// Compares what the receipts say with what the story expects, in the order of the run.
fn receipts(entries: &[Value], expects: &[Expect]) -> Row {
    let mut said: BTreeMap<u64, &Value> = BTreeMap::new();
    for entry in entries {
        let seq = entry.pointer("/run/run_seq").and_then(Value::as_u64);
        // An intent tells the same decision as its outcome, which comes later; refused ones have no outcome.
        if let Some(seq) = seq.filter(|_| entry.pointer("/phase").and_then(Value::as_str) != Some("outcome"))
        {
            said.insert(seq, entry);
        }
    }
    let said: Vec<String> = said.into_values().map(verdict).collect();
    let wanted: Vec<&str> = expects.iter().map(|expect| wanted(*expect)).collect();
    Row {
        step: "receipts read",
        sent: "the bundle's entries".into(),
        expected: wanted.join(", "),
        got: said.join(", "),
        ok: said == wanted,
    }
}

fn verdict(entry: &Value) -> String {
    let word = entry.pointer("/decision/verdict").and_then(Value::as_str).unwrap_or("none");
    match (word, entry.pointer("/decision/enforced").and_then(Value::as_bool)) {
        ("allow", _) | (_, Some(true)) => word.to_owned(),
        _ => format!("{word} in shadow"),
    }
}

fn wanted(expect: Expect) -> &'static str {
    match expect {
        Expect::Pass => "allow",
        Expect::ShadowDeny => "deny in shadow",
        Expect::Deny => "deny",
        Expect::Kill => "kill",
    }
}

fn read_trust(standing: &Standing) -> Result<Trust, Error> {
    let path = &standing.trust;
    let text = fs::read_to_string(path).map_err(|error| Error::file(path, "read it", &error))?;
    text.parse().map_err(|error: clyra_verifier::Error| Error::Data {
        path: path.clone(),
        why: error.to_string(),
        hint: "repair it, or move it away and restart `clyra up`, which writes it anew".into(),
    })
}

fn verified(step: &'static str, sent: &str, bundle: &[u8], trust: &Trust, wanted: Outcome) -> Row {
    let report = verify_bundle(bundle, trust);
    Row {
        step,
        sent: sent.into(),
        expected: if wanted == Outcome::Fail {
            "FAIL, with the check's name".into()
        } else {
            wanted.as_str().into()
        },
        got: report.verdict(),
        ok: report.outcome() == wanted && (wanted == Outcome::Fail) == report.first_failed().is_some(),
    }
}

/// One bit of a verdict turned: the smallest lie that somebody could want.
fn flipped(mut bundle: Vec<u8>) -> Vec<u8> {
    let target = b"\"verdict\":\"deny\"";
    let at = bundle.windows(target.len()).position(|window| window == target).unwrap_or(bundle.len() / 2);
    if let Some(byte) = bundle.get_mut(at.saturating_add(target.len().saturating_sub(2))) {
        *byte ^= 1;
    }
    bundle
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn receipts_are_compared_in_the_order_of_the_run() {
        let receipt = |seq: u64, phase: &str, verdict: &str, enforced: bool| {
            json!({
                "run": {"run_id": "r", "run_seq": seq}, "phase": phase,
                "decision": {"verdict": verdict, "enforced": enforced},
            })
        };
        let entries = [
            receipt(3, "whole", "deny", true),
            receipt(1, "intent", "allow", false),
            receipt(2, "outcome", "allow", false),
            receipt(4, "whole", "deny", false),
            json!({"kind": "batch"}),
        ];
        let row = receipts(&entries, &[Expect::Pass, Expect::Deny, Expect::ShadowDeny]);
        assert!(row.ok, "{}", row.got);
        assert!(!receipts(&entries, &[Expect::Pass, Expect::Deny, Expect::Deny]).ok);
        assert!(!receipts(&entries, &[Expect::Pass]).ok);
    }

    #[test]
    fn exactly_one_bit_is_flipped() {
        let before = br#"xx"verdict":"deny"yy"#.to_vec();
        let after = flipped(before.clone());
        let differing: Vec<_> = before.iter().zip(&after).filter(|(one, other)| one != other).collect();
        assert_eq!(differing, [(&b'y', &b'x')]);
        assert_eq!(flipped(Vec::new()), Vec::<u8>::new());
    }
}
