//! Bundles tampered with by someone who holds no key: other zips, other files, another manifest. It signs nothing.

use super::forge::{pack, replace, unpack};
use super::make::{Files, Vector, bad, honest, recorder_key, resign};
use clyra_seal::key::SigningKey;

pub(crate) fn vectors() -> Vec<Vector> {
    containers().into_iter().chain(files()).chain(manifests()).collect()
}

/// The zip itself.
fn containers() -> Vec<Vector> {
    let good = honest(|_| {});
    let at = |magic: &[u8]| good.windows(4).position(|window| window == magic).unwrap();
    let (central, end) = (at(b"PK\x01\x02"), at(b"PK\x05\x06"));
    let with = |changes: &[(usize, &[u8])]| {
        let mut bytes = good.clone();
        for (at, change) in changes {
            bytes[*at..at + change.len()].copy_from_slice(change);
        }
        bytes
    };
    let inserted = |at: usize, more: &[u8]| [&good[..at], more, &good[at..]].concat();
    let container = |name, told, bytes| bad(name, "container", told, bytes);
    let second = 30 + "SPEC.txt".len() + u32::from_le_bytes(good[18..22].try_into().unwrap()) as usize;
    vec![
        container("bad/empty", "no byte at all", Vec::new()),
        container("bad/trailing-byte", "one byte behind the end", inserted(good.len(), b"x")),
        container("bad/leading-byte", "one byte before the first record", inserted(0, b"x")),
        container("bad/cut-short", "the last byte is missing", good[..good.len() - 1].to_vec()),
        container("bad/no-directory", "the records behind the files are missing", good[..central].to_vec()),
        container("bad/hidden-bytes", "bytes between files and directory", inserted(central, b"hidden")),
        container(
            "bad/crc",
            "another CRC-32, in both records",
            with(&[(14, b"\0\0\0\0"), (central + 16, b"\0\0\0\0")]),
        ),
        container("bad/date", "a file of another day", with(&[(12, b"\x22\0"), (central + 14, b"\x22\0")])),
        container("bad/flags", "a file flagged as UTF-8", with(&[(6, b"\0\x08"), (central + 8, b"\0\x08")])),
        container(
            "bad/method",
            "a file that claims to be deflated",
            with(&[(8, b"\x08"), (central + 10, b"\x08")]),
        ),
        container("bad/symlink", "a file that claims to be a link", with(&[(central + 38, b"\0\0\xff\xa1")])),
        container("bad/made-by", "a directory made by another system", with(&[(central + 5, b"\x03")])),
        container(
            "bad/central-name",
            "the directory names another file",
            with(&[(central + 46, b"spec.txt")]),
        ),
        container(
            "bad/central-offset",
            "the directory points at another file",
            with(&[(central + 42, b"\x01")]),
        ),
        container("bad/count", "the end counts five files", with(&[(end + 8, b"\x05\0\x05\0")])),
        container("bad/comment", "a comment at the end", {
            let mut bytes = with(&[(end + 20, b"\x01\0")]);
            bytes.push(b'x');
            bytes
        }),
        container(
            "bad/name-sign",
            "a name with a backslash",
            with(&[(30, b"SPEC\\txt"), (central + 46, b"SPEC\\txt")]),
        ),
        container(
            "bad/name-order",
            "files that do not ascend by name",
            with(&[(30, b"spec.txt"), (central + 46, b"spec.txt")]),
        ),
        container("bad/name-twice", "the same file twice", inserted(second, &good[..second])),
    ]
}

/// What is inside.
fn files() -> Vec<Vector> {
    let with = |change: &dyn Fn(&mut Files)| {
        let mut files = unpack(&honest(|_| {}));
        change(&mut files);
        pack(&files)
    };
    let add = |files: &mut Files, name: &str, content: Vec<u8>| drop(files.insert(name.into(), content));
    vec![
        bad("bad/extra-file", "files", "a seventh file", with(&|files| add(files, "z.txt", b"x".to_vec()))),
        bad("bad/missing-file", "files", "no `keys.jsonl`", with(&|files| drop(files.remove("keys.jsonl")))),
        bad(
            "bad/renamed-file",
            "files",
            "`entries.json` for `entries.jsonl`",
            with(&|files| {
                let content = files.remove("entries.jsonl").unwrap();
                add(files, "entries.json", content);
            }),
        ),
        bad(
            "bad/file-in-folder",
            "files",
            "`keys/keys.jsonl` beside the six",
            with(&|files| add(files, "keys/keys.jsonl", Vec::new())),
        ),
    ]
}

/// The manifest and what it lists.
fn manifests() -> Vec<Vector> {
    let with = |change: &dyn Fn(&mut Files)| {
        let mut files = unpack(&honest(|_| {}));
        change(&mut files);
        pack(&files)
    };
    let other = |name: &str, seed| SigningKey::from_seed(name, &[seed; 32]).unwrap();
    let manifest = |from: &str, to: &str| with(&|files| replace(files, "manifest.dsse.json", from, to));
    let envelope = |name, told, bytes| bad(name, "manifest-envelope", told, bytes);
    vec![
        envelope(
            "bad/envelope-space",
            "a space in the envelope",
            manifest("\"payloadType\":", "\"payloadType\": "),
        ),
        envelope(
            "bad/envelope-line-end",
            "a line end behind the envelope",
            with(&|files| {
                files.get_mut("manifest.dsse.json").unwrap().push(b'\n');
            }),
        ),
        envelope(
            "bad/envelope-key-twice",
            "a key that stands twice",
            manifest("\"signatures\":", "\"signatures\":[],\"signatures\":"),
        ),
        envelope(
            "bad/envelope-field",
            "an unknown field",
            manifest("\"signatures\":", "\"sig\":1,\"signatures\":"),
        ),
        envelope("bad/envelope-type", "another payload type", manifest("vnd.in-toto+json", "json")),
        envelope(
            "bad/envelope-unsigned",
            "no signature at all",
            with(&|files| {
                let text = String::from_utf8(files["manifest.dsse.json"].clone()).unwrap();
                let (before, _) = text.split_once("[{\"keyid\"").unwrap();
                files.insert("manifest.dsse.json".into(), format!("{before}[]}}").into_bytes());
            }),
        ),
        envelope(
            "bad/envelope-two-signatures",
            "a second signature",
            manifest("\"signatures\":[", "\"signatures\":[{\"keyid\":\"x+00000000\",\"sig\":\"\"},"),
        ),
        envelope(
            "bad/envelope-base64",
            "base64 whose unused bits are not zero",
            with(&|files| {
                let text = String::from_utf8(files["manifest.dsse.json"].clone()).unwrap();
                let (before, after) = text.rsplit_once("==\"").unwrap();
                let last = before.chars().last().unwrap();
                let next = if last == 'Q' {
                    'R'
                } else if last == 'A' {
                    'B'
                } else if last == 'g' {
                    'h'
                } else {
                    'x'
                };
                let changed = format!("{}{next}==\"{after}", before.strip_suffix(last).unwrap());
                files.insert("manifest.dsse.json".into(), changed.into_bytes());
            }),
        ),
        bad(
            "bad/manifest-key",
            "manifest-signature",
            "signed by a key of the recorder's name that nobody trusts",
            with(&|files| {
                resign(files, &other("recorder-1", 99), |_| {});
            }),
        ),
        bad(
            "bad/manifest-role",
            "manifest-signature",
            "signed by the log's key, which is trusted for checkpoints only",
            with(&|files| {
                resign(files, &other("log-1", 10), |_| {});
            }),
        ),
        bad(
            "bad/manifest-keyid",
            "manifest-signature",
            "another key signed than the envelope names",
            with(&|files| {
                resign(files, &other("recorder-1", 99), |_| {});
                let (named, held) = (recorder_key().id().to_owned(), other("recorder-1", 99).id().to_owned());
                replace(files, "manifest.dsse.json", &held, &named);
            }),
        ),
        bad(
            "bad/keys-file",
            "manifest-subjects",
            "`keys.jsonl` was changed",
            with(&|files| {
                replace(files, "keys.jsonl", "gateway", "gatewax");
            }),
        ),
    ]
}
