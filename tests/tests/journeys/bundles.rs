//! Evidence: cut, verified offline, and found out wherever it is changed.

use crate::STRICT;
use clyra_tests::House;

pub(crate) use clyra_tests::{entries, receipts};

#[tokio::test]
async fn a_bundle_passes_and_every_tampering_is_found() {
    let house = House::start(STRICT).await.unwrap();
    let client = house.through("options='-c clyra.run_id=r1'").await.unwrap();
    client.batch_execute("update orders set status = status where id = 1").await.unwrap();
    assert!(client.batch_execute("drop table orders").await.is_err());
    client.query("select id from orders where id = $1", &[&1_i32]).await.unwrap();
    drop(client);

    let (code, said) = house.verify(&house.cut("r1").await.unwrap()).unwrap();
    // The run may or may not be closed by now: it is never a failure.
    assert!(matches!(code, Some(0 | 3)), "{said:#}");
    let closed = house.clyra(&["run-id", "close", "r1"]).unwrap();
    let bundle = house.cut("r1").await.unwrap();
    let (code, said) = house.verify(&bundle).unwrap();
    assert_eq!(code, Some(0), "{said:#} {}", String::from_utf8_lossy(&closed.stderr));
    let again = std::fs::read(house.cut("r1").await.unwrap()).unwrap();
    let good = std::fs::read(&bundle).unwrap();
    assert_eq!(again, good, "cut again from the same log, it is the same to the byte");

    // A byte in each tenth of the container, and its ends.
    let forged = house.path("forged.zip");
    let places = (0..40).map(|part| part * (good.len() - 1) / 39);
    for place in places {
        let mut bytes = good.clone();
        bytes[place] ^= 0x20;
        std::fs::write(&forged, &bytes).unwrap();
        let (code, said) = house.verify(&forged).unwrap();
        assert_eq!(code, Some(2), "byte {place}: {said:#}");
    }
    std::fs::write(&forged, &good[..good.len() - 100]).unwrap();
    assert_eq!(house.verify(&forged).unwrap().0, Some(2), "a cut container");

    // A key that nobody trusts.
    let trust = std::fs::read_to_string(house.data().join("trust.txt")).unwrap();
    let stranger = house.path("stranger.txt");
    let without: Vec<&str> = trust.lines().filter(|line| !line.starts_with("maker gateway")).collect();
    std::fs::write(&stranger, without.join("\n") + "\n").unwrap();
    let output = std::process::Command::new(clyra_tests::program("clyra-verify").unwrap())
        .arg("bundle")
        .arg(&bundle)
        .arg("--trust")
        .arg(&stranger)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stdout));
    std::fs::write(&stranger, "nonsense\n").unwrap();
    let output = std::process::Command::new(clyra_tests::program("clyra-verify").unwrap())
        .arg("bundle")
        .arg(&bundle)
        .arg("--trust")
        .arg(&stranger)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(6));
}

#[tokio::test]
async fn an_open_run_is_never_a_plain_pass() {
    let house = House::start(STRICT).await.unwrap();
    let client = house.through("options='-c clyra.run_id=open'").await.unwrap();
    client.batch_execute("select 1").await.unwrap();
    let (code, said) = house.verify(&house.cut("open").await.unwrap()).unwrap();
    assert_eq!(code, Some(3), "{said:#}");
    assert_eq!(said["outcome"], "UNABLE");
}
