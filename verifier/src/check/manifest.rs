//! What the recorder signed over the whole bundle; it takes no number in it for true.

use super::{Evidence, count, wide};
use crate::StreamSummary;
use crate::error::{Doubt, Finding, Flaw, flaw};
use crate::json::Value;
use crate::json::canonical;
use crate::json::fields::Fields;
use crate::json::text;
use crate::read::envelope::{self, Envelope};
use crate::read::tree::{Hash, sha256};
use crate::trust::Role;
use clyra_spec::media;
use std::collections::BTreeMap;

/// The signed statement, taken apart.
pub(super) struct Manifest {
    envelope: Envelope,
    subjects: Vec<Subject>,
    pub(super) predicate: Predicate,
}

struct Subject {
    name: Box<str>,
    sha256: Hash,
    blake3: Hash,
}

/// What the recorder claims; every field is computed again.
pub(super) struct Predicate {
    pub(super) run_id: Box<str>,
    pub(super) origin: Box<str>,
    pub(super) size: u64,
    pub(super) root: Hash,
    pub(super) counts: BTreeMap<String, u64>,
    pub(super) verdicts: BTreeMap<String, u64>,
    pub(super) streams: Vec<StreamSummary>,
    pub(super) policies: Vec<String>,
    pub(super) closed: bool,
    pub(super) claims: Vec<String>,
    pub(super) non_claims: Vec<String>,
    pub(super) producer: Box<str>,
}

/// `manifest-envelope`: it can be read in one way only.
pub(super) fn envelope(evidence: &mut Evidence<'_>) -> Finding {
    let value = canonical::parse(evidence.file("manifest.dsse.json")?)?;
    let envelope = envelope::read(&value, media::STATEMENT_PAYLOAD_TYPE)?;
    let (subjects, predicate) = statement(&envelope.payload).map_err(|flaw| flaw.at("payload"))?;
    evidence.manifest = Some(Manifest { envelope, subjects, predicate });
    Ok("canonical JSON and base64, exactly one signature over an in-toto statement".to_owned())
}

/// `manifest-signature`: by a trusted recorder.
pub(super) fn signature(evidence: &Evidence<'_>) -> Finding {
    let signer = evidence.manifest()?.envelope.signer(evidence.trust, Role::Recorder)?;
    Ok(format!("signed by recorder `{}`", signer.id))
}

/// `manifest-subjects`: every other file, by two digests, and none more.
pub(super) fn subjects(evidence: &Evidence<'_>) -> Finding {
    let subjects = &evidence.manifest()?.subjects;
    let rises = subjects.is_sorted_by(|one, next| one.name < next.name);
    if !rises {
        return Err(Doubt::Fail("subjects are not ascending by name, each once".to_owned()));
    }
    for subject in subjects {
        let name = text::short(&subject.name);
        let Some(file) = evidence.files.iter().find(|file| *file.name == *subject.name) else {
            return Err(Doubt::Fail(format!("subject `{name}` is not in the bundle")));
        };
        if sha256(file.content) != subject.sha256 {
            return Err(Doubt::Fail(format!("file `{name}` has another SHA-256 than the manifest says")));
        }
        if *blake3::hash(file.content).as_bytes() != subject.blake3 {
            return Err(Doubt::Fail(format!("file `{name}` has another BLAKE3 than the manifest says")));
        }
    }
    let others = evidence.files.iter().filter(|file| file.name != "manifest.dsse.json");
    for file in others {
        if !subjects.iter().any(|subject| *subject.name == *file.name) {
            return Err(Doubt::Fail(format!("file `{}` is not listed", file.name)));
        }
    }
    if subjects.iter().any(|subject| &*subject.name == "manifest.dsse.json") {
        return Err(Doubt::Fail("the manifest lists itself".to_owned()));
    }
    Ok(format!("{} equal by SHA-256 and BLAKE3", count(wide(subjects.len()), "file", "files")))
}

/// `manifest-log`: manifest and checkpoint speak of the same log.
pub(super) fn log(evidence: &Evidence<'_>) -> Finding {
    let claimed = &evidence.manifest()?.predicate;
    let signed = &evidence.note()?.checkpoint;
    if *claimed.origin != *signed.origin {
        return Err(Doubt::Fail("the manifest names another origin than the checkpoint".to_owned()));
    }
    if claimed.size != signed.size || claimed.root != signed.root {
        return Err(Doubt::Fail("the manifest names another size or root than the checkpoint".to_owned()));
    }
    Ok("origin, size and root are those of the checkpoint".to_owned())
}

fn statement(payload: &[u8]) -> Result<(Vec<Subject>, Predicate), Flaw> {
    let value = canonical::parse(payload)?;
    let mut fields = Fields::of(&value)?;
    fields.one_of("_type", &[media::STATEMENT_TYPE])?;
    fields.one_of("predicateType", &[media::BUNDLE_PREDICATE])?;
    let subjects = fields.list("subject")?.iter().map(subject).collect::<Result<_, _>>()?;
    let mut inner = fields.object("predicate")?;
    let predicate = predicate(&mut inner).and_then(|read| inner.end().map(|()| read));
    fields.end()?;
    Ok((subjects, predicate.map_err(|flaw| flaw.at("field `predicate`"))?))
}

fn subject(value: &Value<'_>) -> Result<Subject, Flaw> {
    let mut fields = Fields::of(value)?;
    let mut digest = fields.object("digest")?;
    let subject = Subject {
        name: fields.text("name")?.into(),
        sha256: digest.hex("sha256")?,
        blake3: digest.hex("blake3")?,
    };
    digest.end()?;
    fields.end()?;
    Ok(subject)
}

fn predicate(fields: &mut Fields<'_, '_>) -> Result<Predicate, Flaw> {
    fields.one_of("container", &["pef"])?;
    fields.one_of("spec", &["clyra.dev/spec/bundle/v1"])?;
    let producer = fields.text("producer")?;
    if !(1..=255).contains(&producer.len()) {
        return flaw("field `producer` has not 1 to 255 bytes");
    }
    let mut log = fields.object("log")?;
    let (origin, size, root) = (log.text("origin")?, log.whole("size")?, log.hex("root")?);
    log.end()?;
    let own = |sentences: Vec<&str>| sentences.into_iter().map(str::to_owned).collect();
    Ok(Predicate {
        run_id: fields.text("run_id")?.into(),
        origin: origin.into(),
        size,
        root,
        counts: numbers(fields.any("counts")?)?,
        verdicts: numbers(fields.any("verdicts")?)?,
        streams: fields.list("streams")?.iter().map(stream).collect::<Result<_, _>>()?,
        policies: own(fields.texts("policies")?),
        closed: fields.bool("closed")?,
        claims: own(fields.texts("claims")?),
        non_claims: own(fields.texts("non_claims")?),
        producer: producer.into(),
    })
}

fn stream(value: &Value<'_>) -> Result<StreamSummary, Flaw> {
    let mut fields = Fields::of(value)?;
    let stream = StreamSummary {
        gateway: fields.text("gateway")?.to_owned(),
        epoch: fields.whole("epoch")?,
        first_seq: fields.whole("first_seq")?,
        last_seq: fields.whole("last_seq")?,
        receipts: fields.whole("receipts")?,
    };
    fields.end()?;
    Ok(stream)
}

/// An object from words to numbers.
fn numbers(value: &Value<'_>) -> Result<BTreeMap<String, u64>, Flaw> {
    let Value::Object(members) = value else { return flaw("counts are not an object") };
    let mut numbers = BTreeMap::new();
    for (word, value) in members {
        let Value::Whole(number) = value else { return flaw("a count is not a whole number") };
        let Ok(number) = u64::try_from(*number) else { return flaw("a count is negative") };
        numbers.insert(word.to_string(), number);
    }
    Ok(numbers)
}
