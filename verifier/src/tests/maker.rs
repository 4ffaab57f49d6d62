//! Makes logs and bundles for the tests from the pages of the spec alone, plainly and slowly.

use crate::Trust;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const EPOCH: u64 = 1_795_000_000_000;

/// A key with its name.
pub(super) struct Maker {
    key: SigningKey,
    name: String,
}

impl Maker {
    pub(super) fn new(name: &str, seed: u8) -> Self {
        Self { key: SigningKey::from_bytes(&[seed; 32]), name: name.to_owned() }
    }

    fn blob(&self) -> Vec<u8> {
        [&[1], self.key.verifying_key().as_bytes().as_slice()].concat()
    }

    fn hash(&self) -> [u8; 4] {
        let message = [self.name.as_bytes(), b"\n", &self.blob()].concat();
        Sha256::digest(message)[..4].try_into().unwrap()
    }

    pub(super) fn id(&self) -> String {
        format!("{}+{}", self.name, hex(&self.hash()))
    }

    pub(super) fn vkey(&self) -> String {
        format!("{}+{}", self.id(), STANDARD.encode(self.blob()))
    }

    pub(super) fn envelope(&self, payload_type: &str, payload: &[u8]) -> Value {
        let pae =
            [format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).as_bytes(), payload]
                .concat();
        let sig = STANDARD.encode(self.key.sign(&pae).to_bytes());
        json!({
            "payload": STANDARD.encode(payload),
            "payloadType": payload_type,
            "signatures": [{"keyid": self.id(), "sig": sig}],
        })
    }

    pub(super) fn note(&self, text: &str) -> Vec<u8> {
        let blob = [self.hash().as_slice(), &self.key.sign(text.as_bytes()).to_bytes()].concat();
        format!("{text}\n\u{2014} {} {}\n", self.name, STANDARD.encode(blob)).into_bytes()
    }
}

/// The house of the tests: one log, one recorder, two gateways.
pub(super) struct House {
    pub(super) log: Maker,
    pub(super) recorder: Maker,
    pub(super) gateways: [Maker; 2],
}

impl House {
    pub(super) fn new() -> Self {
        Self {
            log: Maker::new("log.test", 1),
            recorder: Maker::new("recorder.test", 2),
            gateways: [Maker::new("gw-1", 3), Maker::new("gw-2", 4)],
        }
    }

    pub(super) fn trust_text(&self) -> String {
        let [one, two] = &self.gateways;
        format!(
            "# test\nlog {}\nquorum none\n\nmaker gateway {}\nmaker gateway\t{}\nmaker recorder {}\n",
            self.log.vkey(),
            one.vkey(),
            two.vkey(),
            self.recorder.vkey()
        )
    }

    pub(super) fn trust(&self) -> Trust {
        self.trust_text().parse().unwrap()
    }
}

/// A log in memory.
pub(super) struct Log {
    pub(super) house: House,
    pub(super) entries: Vec<Vec<u8>>,
    /// For each entry the index of its batch header.
    header_of: Vec<usize>,
    previous: BTreeMap<usize, String>,
    next_seq: BTreeMap<(usize, u64), u64>,
    ids: u64,
}

impl Log {
    pub(super) fn new() -> Self {
        Self {
            house: House::new(),
            entries: Vec::new(),
            header_of: Vec::new(),
            previous: BTreeMap::new(),
            next_seq: BTreeMap::new(),
            ids: 0,
        }
    }

    /// Seals these bodies (kind and its own fields) as one batch of a gateway.
    pub(super) fn batch(&mut self, gateway: usize, epoch: u64, bodies: &[Value]) -> usize {
        self.batch_with(gateway, epoch, bodies, |_| {})
    }

    /// The same, with the claims changed before they are signed.
    pub(super) fn batch_with(
        &mut self,
        gateway: usize,
        epoch: u64,
        bodies: &[Value],
        edit: impl Fn(&mut Value),
    ) -> usize {
        let first_seq = *self.next_seq.entry((gateway, epoch)).or_insert(1);
        let mut entries = Vec::new();
        for (place, body) in bodies.iter().enumerate() {
            let seq = first_seq + place as u64;
            let mut entry = self.frame(gateway, body);
            let name = &self.house.gateways[gateway].name;
            entry["stream"] = json!({"epoch": epoch, "gateway": name, "seq": seq});
            entries.push(entry.to_string().into_bytes());
        }
        self.next_seq.insert((gateway, epoch), first_seq + bodies.len() as u64);
        let previous = self.previous.get(&gateway).cloned().unwrap_or_else(|| "0".repeat(64));
        let leaves: Vec<_> = entries.iter().map(|entry| leaf(entry)).collect();
        let maker = &self.house.gateways[gateway];
        let mut claims = json!({
            "count": entries.len(), "epoch": epoch, "final": false, "first_seq": first_seq,
            "gateway": maker.name, "previous": previous, "root": hex(&root(&leaves)),
        });
        edit(&mut claims);
        let dsse = maker.envelope("application/vnd.clyra.batch+json", claims.to_string().as_bytes());
        let header = self.frame(gateway, &json!({"kind": "batch", "dsse": dsse})).to_string().into_bytes();
        self.previous.insert(gateway, hex(&Sha256::digest(&header)));
        let index = self.entries.len();
        self.entries.push(header);
        self.entries.extend(entries);
        self.header_of.resize(self.entries.len(), index);
        index
    }

    fn frame(&mut self, gateway: usize, body: &Value) -> Value {
        self.ids += 1;
        let mut entry = body.clone();
        let id = entry["id"].as_str().map_or_else(|| id(self.ids), str::to_owned);
        entry["id"] = id.into();
        entry["at"] = "2026-11-24T10:00:00.000000Z".into();
        entry["maker"] = self.house.gateways[gateway].id().into();
        entry["v"] = 1.into();
        entry
    }

    pub(super) fn checkpoint(&self) -> Vec<u8> {
        let leaves: Vec<_> = self.entries.iter().map(|entry| leaf(entry)).collect();
        let root = STANDARD.encode(root(&leaves));
        self.house.log.note(&format!("{}\n{}\n{root}\n", self.house.log.name, leaves.len()))
    }

    /// What the spec says belongs into the bundle of a run, as log indexes.
    pub(super) fn members(&self, run_id: &str) -> Vec<usize> {
        let parsed: Vec<Value> =
            self.entries.iter().map(|entry| serde_json::from_slice(entry).unwrap()).collect();
        let own = |entry: &Value| entry["run_id"] == run_id || entry["run"]["run_id"] == run_id;
        let owned: Vec<usize> = (0..parsed.len()).filter(|index| own(&parsed[*index])).collect();
        let (first, last) = (*owned.first().unwrap(), *owned.last().unwrap());
        let gateways: BTreeSet<&str> =
            owned.iter().map(|index| parsed[*index]["stream"]["gateway"].as_str().unwrap()).collect();
        let mut chosen: BTreeSet<usize> = owned.iter().copied().collect();
        for gateway in gateways {
            let of_gateway = |index: &usize| parsed[*index]["stream"]["gateway"] == gateway;
            let is =
                |index: &usize, kinds: &[&str]| kinds.contains(&parsed[*index]["kind"].as_str().unwrap());
            chosen.extend((first..last).filter(of_gateway).filter(|i| is(i, &["policy", "switch", "gap"])));
            chosen.extend((0..first).filter(of_gateway).rfind(|i| is(i, &["policy"])));
        }
        let headers: Vec<usize> = chosen.iter().map(|index| self.header_of[*index]).collect();
        chosen.extend(headers);
        chosen.into_iter().collect()
    }

    /// The files of a bundle with these entries, all but the manifest.
    pub(super) fn files(&self, members: &[usize]) -> BTreeMap<String, Vec<u8>> {
        let leaves: Vec<_> = self.entries.iter().map(|entry| leaf(entry)).collect();
        let (mut entries, mut proofs) = (Vec::new(), Vec::new());
        for &index in members {
            entries.extend_from_slice(&self.entries[index]);
            entries.push(b'\n');
            let batch = self.header_of[index];
            let hexes = |path: Vec<[u8; 32]>| path.iter().map(|node| hex(node)).collect::<Vec<_>>();
            let mut proof = json!({"batch": batch, "index": index, "path": hexes(path(&leaves, index))});
            if batch != index {
                let end =
                    (batch + 1..leaves.len()).find(|i| self.header_of[*i] != batch).unwrap_or(leaves.len());
                proof["batch_path"] = json!(hexes(path(&leaves[batch + 1..end], index - batch - 1)));
            }
            proofs.extend_from_slice(format!("{proof}\n").as_bytes());
        }
        BTreeMap::from([
            ("SPEC.txt".to_owned(), include_bytes!("../../../spec/SPEC.txt").to_vec()),
            ("checkpoint".to_owned(), self.checkpoint()),
            ("entries.jsonl".to_owned(), entries),
            ("keys.jsonl".to_owned(), Vec::new()),
            ("proofs.jsonl".to_owned(), proofs),
        ])
    }

    /// Signs the manifest over these files; `edit` may change the statement before.
    pub(super) fn manifest(
        &self,
        run_id: &str,
        files: &BTreeMap<String, Vec<u8>>,
        edit: impl Fn(&mut Value),
    ) -> Vec<u8> {
        let subjects: Vec<Value> = files
            .iter()
            .map(|(name, content)| {
                let digest = json!({
                    "blake3": hex(blake3::hash(content).as_bytes()), "sha256": hex(&Sha256::digest(content)),
                });
                json!({"digest": digest, "name": name})
            })
            .collect();
        let mut statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "predicate": predicate(run_id, files),
            "predicateType": "https://clyra.dev/spec/bundle/v1",
            "subject": subjects,
        });
        edit(&mut statement);
        let payload = statement.to_string();
        self.house
            .recorder
            .envelope("application/vnd.in-toto+json", payload.as_bytes())
            .to_string()
            .into_bytes()
    }

    /// The whole bundle of a run.
    pub(super) fn bundle(&self, run_id: &str) -> Vec<u8> {
        let files = self.files(&self.members(run_id));
        self.seal(run_id, files, |_| {})
    }

    /// Signs over these files, as they are, and packs them.
    pub(super) fn seal(
        &self,
        run_id: &str,
        mut files: BTreeMap<String, Vec<u8>>,
        edit: impl Fn(&mut Value),
    ) -> Vec<u8> {
        let manifest = self.manifest(run_id, &files, edit);
        files.insert("manifest.dsse.json".to_owned(), manifest);
        pack(&files)
    }
}

/// The predicate that these files deserve.
fn predicate(run_id: &str, files: &BTreeMap<String, Vec<u8>>) -> Value {
    let entries: Vec<Value> = files["entries.jsonl"]
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    let (mut counts, mut verdicts) = (BTreeMap::<String, u64>::new(), BTreeMap::<String, u64>::new());
    let mut policies = BTreeSet::new();
    let mut streams = BTreeMap::<(String, u64), (u64, u64, u64, bool)>::new();
    for entry in &entries {
        let kind = entry["kind"].as_str().unwrap_or("?");
        *counts.entry(kind.to_owned()).or_default() += 1;
        if kind == "receipt" && entry["phase"] != "outcome" {
            *verdicts.entry(entry["decision"]["verdict"].as_str().unwrap_or("?").to_owned()).or_default() +=
                1;
        }
        policies.extend(entry["digest"].as_str());
        policies.extend(entry["decision"]["policy"].as_str());
        if entry["run_id"] == run_id || entry["run"]["run_id"] == run_id {
            let stream = &entry["stream"];
            let seq = stream["seq"].as_u64().unwrap_or(0);
            let key =
                (stream["gateway"].as_str().unwrap_or("?").to_owned(), stream["epoch"].as_u64().unwrap_or(0));
            let seen = streams.entry(key).or_insert((seq, seq, 0, false));
            seen.1 = seq;
            seen.2 += u64::from(kind == "receipt");
            seen.3 = kind == "run_close";
        }
    }
    let closed = !streams.is_empty() && streams.values().all(|seen| seen.3);
    let streams: Vec<Value> = streams
        .into_iter()
        .map(|((gateway, epoch), (first, last, receipts, _))| {
            json!({"epoch": epoch, "first_seq": first, "gateway": gateway, "last_seq": last, "receipts": receipts})
        })
        .collect();
    let checkpoint = String::from_utf8_lossy(&files["checkpoint"]).into_owned();
    let lines: Vec<&str> = checkpoint.split('\n').chain([""; 3]).collect();
    let mut claims = vec![
        "every entry listed stands in the log at the index stated, under the root of the checkpoint",
        "every entry listed was signed for by the gateway that made it, at its place in that gateway's stream",
    ];
    if closed {
        claims.push("the receipts listed are all that the gateways numbered for this run");
    }
    json!({
        "claims": claims,
        "closed": closed,
        "container": "pef",
        "counts": counts,
        "log": {
            "origin": lines[0],
            "root": hex(&STANDARD.decode(lines[2]).unwrap_or_default()),
            "size": lines[1].parse::<u64>().unwrap_or_default(),
        },
        "non_claims": [
            "that no statement reached a database without passing a gateway",
            "that what callers say about themselves and their run is true",
            "that the clocks of the gateways were right",
            "that the policies in force were sufficient",
        ],
        "policies": policies,
        "producer": "test 1",
        "run_id": run_id,
        "spec": "clyra.dev/spec/bundle/v1",
        "streams": streams,
        "verdicts": verdicts,
    })
}

/// The container, from its page.
pub(super) fn pack(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let offset = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        let size = u32::try_from(content.len()).unwrap().to_le_bytes();
        let mut crc = !0u32;
        for byte in content {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            }
        }
        let fixed = [
            b"\x0a\0\0\0\0\0\0\0\x21\0".as_slice(),
            &(!crc).to_le_bytes(),
            &size,
            &size,
            &u16::try_from(name.len()).unwrap().to_le_bytes(),
        ]
        .concat();
        bytes.extend([b"PK\x03\x04", fixed.as_slice(), &[0; 2], name.as_bytes(), content].concat());
        directory
            .extend([b"PK\x01\x02\x0a\0", fixed.as_slice(), &[0; 12], &offset, name.as_bytes()].concat());
    }
    let count = u16::try_from(files.len()).unwrap().to_le_bytes();
    let (size, at) = (
        u32::try_from(directory.len()).unwrap().to_le_bytes(),
        u32::try_from(bytes.len()).unwrap().to_le_bytes(),
    );
    bytes.extend(directory);
    bytes.extend([b"PK\x05\x06".as_slice(), &[0; 4], &count, &count, &size, &at, &[0; 2]].concat());
    bytes
}

pub(super) fn id(number: u64) -> String {
    format!("01936a5e-0000-7000-8000-{number:012x}")
}

pub(super) fn leaf(entry: &[u8]) -> [u8; 32] {
    Sha256::digest([&[0], entry].concat()).into()
}

pub(super) fn root(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => Sha256::digest([]).into(),
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            Sha256::digest([&[1], root(left).as_slice(), &root(right)].concat()).into()
        }
    }
}

fn path(leaves: &[[u8; 32]], index: usize) -> Vec<[u8; 32]> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let half = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(half);
    let (mut path, other) =
        if index < half { (path(left, index), root(right)) } else { (path(right, index - half), root(left)) };
    path.push(other);
    path
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
