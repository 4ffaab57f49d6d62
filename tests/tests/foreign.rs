//! Tools of other people on our evidence: a house is started, its bundle cut, and `foreign/run.py` has them check it and
//! every vector; two crates read the log as any C2SP client would. It never judges by code of ours.

#![expect(clippy::unwrap_used, clippy::string_slice, reason = "a test that cannot go on has failed")]

use clyra_tests::{House, STRICT};
use signed_note::{Note, StandardVerifier, VerifierList};
use std::path::{Path, PathBuf};
use std::process::Command;
use tlog_tiles::{Checkpoint, Error, Hash, Tile, TileHashReader, TileReader};

#[tokio::test]
async fn other_people_s_tools_verify_our_evidence() {
    let mut house = House::start(STRICT).await.unwrap();
    let client = house.through("options='-c clyra.run_id=foreign'").await.unwrap();
    client.batch_execute("update orders set status = status where id = 1").await.unwrap();
    assert!(client.batch_execute("drop table orders").await.is_err());
    drop(client);
    let early = checkpoint(&house, &house.cut("foreign").await.unwrap());
    let closed = house.clyra(&["run-id", "close", "foreign"]).unwrap();
    assert!(closed.status.success(), "{}", String::from_utf8_lossy(&closed.stderr));
    let bundle = house.cut("foreign").await.unwrap();
    let ran = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign/run.py"))
        .args([&bundle, &house.data().join("trust.txt")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");

    let late = checkpoint(&house, &bundle);
    assert!(early.size() < late.size(), "the log has grown");
    let files = Files(house.data().join("recorder/log"));
    let reader = TileHashReader::new(late.size(), *late.hash(), &files);
    for (entry, proof) in lines(&bundle, "entries.jsonl").iter().zip(lines(&bundle, "proofs.jsonl")) {
        let proof: serde_json::Value = serde_json::from_str(&proof).unwrap();
        let index = proof["index"].as_u64().unwrap();
        let path: Vec<Hash> = proof["path"].as_array().unwrap().iter().map(hash).collect();
        let leaf = tlog_tiles::record_hash(entry.as_bytes());
        tlog_tiles::check_record(&path, late.size(), *late.hash(), index, leaf).unwrap();
        let other = tlog_tiles::record_hash(b"{}");
        assert!(tlog_tiles::check_record(&path, late.size(), *late.hash(), index, other).is_err());
        assert_eq!(tlog_tiles::prove_record(late.size(), index, &reader).unwrap(), path, "from the tiles");
    }
    let proof = tlog_tiles::prove_tree(late.size(), early.size(), &reader).unwrap();
    tlog_tiles::check_tree(&proof, late.size(), *late.hash(), early.size(), *early.hash()).unwrap();
    let forked = tlog_tiles::check_tree(&proof, late.size(), *late.hash(), early.size(), *late.hash());
    assert!(forked.is_err());
    house.stop().await.unwrap();
}

/// The log's files as they stand on disk.
struct Files(PathBuf);

impl TileReader for Files {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        // The older client puts the height into the path; C2SP has fixed it to 8 and left it out.
        let path = |tile: &Tile| self.0.join(tile.path().replacen("tile/8/", "tile/", 1));
        Ok(tiles.iter().map(|tile| std::fs::read(path(tile)).unwrap()).collect())
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

/// The checkpoint in a bundle, once its signature holds and no other text's does.
fn checkpoint(house: &House, bundle: &Path) -> Checkpoint {
    let trust = std::fs::read_to_string(house.data().join("trust.txt")).unwrap();
    let vkey = trust.lines().find_map(|line| line.strip_prefix("log ")).unwrap();
    let known = VerifierList::new(vec![Box::new(StandardVerifier::new(vkey).unwrap())]);
    let text = lines(bundle, "checkpoint").join("\n") + "\n";
    let note = Note::from_bytes(text.as_bytes()).unwrap();
    assert_eq!(note.verify(&known).unwrap().0.len(), 1);
    let size = text.lines().nth(1).unwrap();
    let forged = text.replacen(&format!("\n{size}\n"), &format!("\n{size}0\n"), 1);
    assert!(Note::from_bytes(forged.as_bytes()).unwrap().verify(&known).is_err());
    Checkpoint::from_bytes(note.text()).unwrap()
}

/// Lines of a file of a bundle, read by Python's zip.
fn lines(bundle: &Path, name: &str) -> Vec<String> {
    let program =
        "import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))";
    let ran = Command::new("python3").args(["-c", program]).arg(bundle).arg(name).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn hash(digits: &serde_json::Value) -> Hash {
    let digits = digits.as_str().unwrap();
    let byte = |at: usize| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap();
    Hash(std::array::from_fn(byte))
}
