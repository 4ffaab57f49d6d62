//! The outermost shell: the container, the files in it, the lines of entries; it follows no signature.

use super::{BUNDLE_BYTES_MAX, ENTRIES_MAX, Evidence, count, lines, unreached, wide};
use crate::error::{Doubt, Finding, Flaw};
use crate::read::{container, entry};
use clyra_spec::media::BUNDLE_FILES;

/// `container`: rebuilt from names and contents, it is the same file.
pub(super) fn container(evidence: &mut Evidence<'_>) -> Finding {
    if wide(evidence.bytes.len()) > BUNDLE_BYTES_MAX {
        return Err(Doubt::Unable(format!("larger than the {BUNDLE_BYTES_MAX} bytes that are read")));
    }
    evidence.files = container::open(evidence.bytes)?;
    container::must_equal(&evidence.files, evidence.bytes)?;
    let size = count(wide(evidence.bytes.len()), "byte", "bytes");
    Ok(format!("{size}, the one deterministic zip of its contents"))
}

/// `files`: exactly the names of a bundle.
pub(super) fn names(evidence: &Evidence<'_>) -> Finding {
    if evidence.files.is_empty() {
        return Err(unreached("the container could not be read"));
    }
    if let Some(file) = evidence.files.iter().find(|file| !BUNDLE_FILES.contains(&file.name)) {
        return Err(Doubt::Fail(format!("file `{}` does not belong to a bundle", file.name)));
    }
    for name in BUNDLE_FILES {
        let here = evidence.files.iter().filter(|file| file.name == name).count();
        if here != 1 {
            return Err(Doubt::Fail(format!("file `{name}` is there {here} times, once is right")));
        }
    }
    Ok(format!("the {} files of a bundle, each once", BUNDLE_FILES.len()))
}

/// `entries-canonical`: each line is the one spelling of a known entry.
pub(super) fn entries(evidence: &mut Evidence<'_>) -> Finding {
    let found = lines(evidence.file("entries.jsonl")?)?;
    if found.len() > ENTRIES_MAX {
        return Err(Doubt::Unable(format!("more than the {ENTRIES_MAX} entries that are read")));
    }
    let read = found
        .iter()
        .enumerate()
        .map(|(place, line)| entry::read(line).map_err(|flaw| flaw.at(format_args!("entry {}", place + 1))));
    let entries = read.collect::<Result<Vec<_>, Flaw>>()?;
    let told = count(wide(entries.len()), "entry", "entries");
    evidence.lines = found;
    evidence.entries = Some(entries);
    Ok(format!("{told}, each canonical and of a known kind"))
}
