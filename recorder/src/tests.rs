//! The recorder as gateways and auditors meet it: over gRPC.

use crate::sample::{Gateway, policy, receipt, receipts};
use crate::{Error, Recorder, Settings};
use clyra_proto::evidence::from_recorder::Says;
use clyra_proto::evidence::recorder_client::RecorderClient;
use clyra_proto::evidence::{Batch, CutRequest, FromRecorder, Hello, StandRequest, ToRecorder, to_recorder};
use clyra_seal::key::VerifyingKey;
use clyra_seal::{batch, merkle, note};
use futures_util::StreamExt as _;
use serde_json::json;
use std::path::Path;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Streaming};

struct Line {
    say: mpsc::Sender<ToRecorder>,
    hear: Streaming<FromRecorder>,
}

impl Line {
    async fn open(recorder: &Recorder, gateway: &Gateway) -> Self {
        let hello = Hello { gateway: gateway.key.name().into(), key: gateway.key.verifying().to_string() };
        Self::open_as(recorder, hello).await
    }

    async fn open_as(recorder: &Recorder, hello: Hello) -> Self {
        let (say, said) = mpsc::channel(16);
        say.send(ToRecorder { says: Some(to_recorder::Says::Hello(hello)) }).await.unwrap();
        let hear = client(recorder).await.record(ReceiverStream::new(said)).await.unwrap().into_inner();
        Self { say, hear }
    }

    async fn send(&self, batch: Batch) {
        self.say.send(ToRecorder { says: Some(to_recorder::Says::Batch(batch)) }).await.unwrap();
    }

    async fn next(&mut self) -> Option<Says> {
        self.hear.next().await.and_then(|word| word.ok()?.says)
    }

    /// Epoch and seq that the recorder holds.
    async fn welcome(&mut self) -> (u64, u64) {
        match self.next().await {
            Some(Says::Welcome(welcome)) => (welcome.epoch, welcome.seq),
            other => panic!("{other:?}"),
        }
    }

    /// Last seq and index of the next ack.
    async fn ack(&mut self) -> (u64, u64) {
        match self.next().await {
            Some(Says::Ack(ack)) => (ack.seq, ack.index),
            other => panic!("{other:?}"),
        }
    }

    /// The reason of the next word, which must be the last.
    async fn refusal(mut self) -> String {
        let reason = match self.next().await {
            Some(Says::Refusal(refusal)) => refusal.reason,
            other => panic!("{other:?}"),
        };
        assert!(self.next().await.is_none());
        reason
    }
}

async fn client(recorder: &Recorder) -> RecorderClient<Channel> {
    RecorderClient::connect(format!("http://{}", recorder.addr())).await.unwrap()
}

async fn start(data: &Path, makers: &[&Gateway]) -> Result<Recorder, Error> {
    let makers = makers.iter().map(|gateway| gateway.key.verifying().to_string()).collect();
    let free = "127.0.0.1:0".parse().unwrap();
    let settings = Settings { listen: free, log_http: Some(free), data: data.into(), makers };
    Recorder::start_with(settings, 256 << 10).await
}

async fn cut(recorder: &Recorder, run: &str) -> Result<Vec<u8>, Code> {
    let request = CutRequest { run_id: run.into() };
    let mut pieces = client(recorder).await.cut(request).await.map_err(|status| status.code())?.into_inner();
    let mut bundle = Vec::new();
    while let Some(piece) = pieces.next().await {
        bundle.extend_from_slice(&piece.unwrap().bytes);
    }
    Ok(bundle)
}

/// Content of a file in a stored zip.
fn file<'b>(bundle: &'b [u8], name: &str) -> &'b str {
    let mut rest = bundle;
    while rest.starts_with(b"PK\x03\x04") {
        let size = u32::from_le_bytes(rest[22..26].try_into().unwrap()) as usize;
        let start = 30 + usize::from(u16::from_le_bytes(rest[26..28].try_into().unwrap()));
        if &rest[30..start] == name.as_bytes() {
            return std::str::from_utf8(&rest[start..start + size]).unwrap();
        }
        rest = &rest[start + size..];
    }
    panic!("no file {name}");
}

fn kinds(bundle: &[u8]) -> Vec<String> {
    let kind =
        |line| serde_json::from_str::<serde_json::Value>(line).unwrap()["kind"].as_str().unwrap().to_owned();
    file(bundle, "entries.jsonl").lines().map(kind).collect()
}

#[tokio::test]
async fn three_batches_are_acknowledged_cut_and_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (mut one, mut two) = (Gateway::new("gw-1", 1), Gateway::new("gw-2", 2));
    let recorder = start(folder.path(), &[&one, &two]).await.unwrap();
    let mut line = Line::open(&recorder, &one).await;
    assert_eq!(line.welcome().await, (0, 0));
    let mut other = Line::open(&recorder, &two).await;
    other.welcome().await;
    let open = json!({"kind": "run_open", "run_id": "r1"});
    let first = one.batch(vec![policy(), policy(), open, receipt("r1", 1)]);
    line.send(first.clone()).await;
    assert_eq!(line.ack().await, (4, 0));
    // Another gateway's batch lies between, and one that is of no interest to the run.
    other.send(two.batch([vec![policy()], receipts("r2", 300)].concat())).await;
    assert_eq!(other.ack().await, (301, 5));
    line.send(one.batch(receipts("r9", 2))).await;
    line.ack().await;
    let close = json!({"count": 2, "kind": "run_close", "reason": "asked", "run_id": "r1"});
    line.send(one.sealed(vec![receipt("r1", 2), close], true)).await;
    assert_eq!(line.ack().await.0, 8);
    line.send(first).await;
    assert_eq!(line.ack().await, (4, 0));

    let bundle = cut(&recorder, "r1").await.unwrap();
    assert_eq!(
        kinds(&bundle),
        ["batch", "policy", "run_open", "receipt", "batch", "receipt", "run_close"],
        "the last policy before the run, its own entries, their headers, nothing of others"
    );
    assert_eq!(file(&bundle, "proofs.jsonl").lines().count(), 7);
    assert!(file(&bundle, "keys.jsonl").contains("gw-1") && !file(&bundle, "keys.jsonl").contains("gw-2"));
    assert_eq!(cut(&recorder, "none").await, Err(Code::NotFound));
    let stand = client(&recorder).await.stand(StandRequest {}).await.unwrap().into_inner();
    assert_eq!((stand.size, stand.published, stand.log_key), (313, 313, recorder.log_key()));

    recorder.stop().await.unwrap();
    let recorder = start(folder.path(), &[&one, &two]).await.unwrap();
    let mut line = Line::open(&recorder, &one).await;
    assert_eq!(line.welcome().await, (1_000, 8));
    assert_eq!(cut(&recorder, "r1").await.unwrap(), bundle);
    one.epoch = 2_000;
    one.next_seq = 1;
    line.send(one.batch(receipts("r1", 1))).await;
    assert_eq!(line.ack().await, (1, 313));
    recorder.stop().await.unwrap();
}

#[tokio::test]
async fn each_refusal_is_the_last_word_of_its_stream() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::new("gw-1", 1);
    let stranger = Gateway::new("gw-1", 3);
    let recorder = start(folder.path(), &[&gateway]).await.unwrap();
    assert_eq!(Line::open(&recorder, &stranger).await.refusal().await, "unknown_key");
    let renamed = Hello { gateway: "gw-2".into(), key: gateway.key.verifying().to_string() };
    assert_eq!(Line::open_as(&recorder, renamed).await.refusal().await, "unknown_key");
    // Enrolled while the recorder runs.
    std::fs::write(folder.path().join("makers"), format!("{}\n", stranger.key.verifying())).unwrap();
    assert_eq!(Line::open(&recorder, &stranger).await.welcome().await, (0, 0));

    let fresh = || Gateway::new("gw-1", 1);
    let gap = {
        let mut ahead = fresh();
        ahead.batch(receipts("r", 1));
        ahead.batch(receipts("r", 1))
    };
    let mut forged = fresh().batch(receipts("r", 2));
    forged.entries.swap(0, 1);
    let mut unsigned = Gateway::new("gw-1", 3).batch(receipts("r", 1));
    unsigned.header = fresh().batch(receipts("r", 2)).header;
    for (batch, reason) in [(gap, "gap"), (forged, "bad_root"), (unsigned, "malformed")] {
        let mut line = Line::open(&recorder, &gateway).await;
        line.welcome().await;
        line.send(batch).await;
        assert_eq!(line.refusal().await, reason);
    }
    let mut line = Line::open(&recorder, &gateway).await;
    assert_eq!(line.welcome().await, (0, 0), "nothing of the refused was written");
    line.send(fresh().batch(receipts("r", 3))).await;
    assert_eq!(line.ack().await, (3, 0));
    line.send(fresh().batch(receipts("r", 2))).await;
    assert_eq!(line.refusal().await, "fork");
    recorder.stop().await.unwrap();
}

#[tokio::test]
async fn a_folder_serves_one_recorder_and_stop_ends_open_streams() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::new("gw-1", 1);
    let recorder = start(folder.path(), &[&gateway]).await.unwrap();
    assert!(matches!(start(folder.path(), &[]).await, Err(Error::InUse { .. })));
    let mut line = Line::open(&recorder, &gateway).await;
    line.welcome().await;
    recorder.stop().await.unwrap();
    assert!(line.next().await.is_none());
    start(folder.path(), &[]).await.unwrap().stop().await.unwrap();
}

/// Status and body of an answer over HTTP.
async fn get(recorder: &Recorder, path: &str) -> (u16, Vec<u8>) {
    let mut line = tokio::net::TcpStream::connect(recorder.log_http().unwrap()).await.unwrap();
    let asked = format!("GET {path} HTTP/1.1\r\nhost: log\r\nconnection: close\r\n\r\n");
    line.write_all(asked.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    line.read_to_end(&mut said).await.unwrap();
    let head = said.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
    let status = std::str::from_utf8(&said[9..12]).unwrap().parse().unwrap();
    (status, said[head + 4..].to_vec())
}

#[tokio::test]
async fn the_log_is_shown_over_http_with_each_entry_s_proofs() {
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::new("gw-1", 1);
    let recorder = start(folder.path(), &[&gateway]).await.unwrap();
    assert_eq!(get(&recorder, "/checkpoint").await.0, 404, "nothing is published yet");
    let mut line = Line::open(&recorder, &gateway).await;
    line.welcome().await;
    for count in [3, 400] {
        line.send(gateway.batch(receipts("r1", count))).await;
        line.ack().await;
    }
    cut(&recorder, "r1").await.unwrap();

    let key = VerifyingKey::parse(&recorder.log_key()).unwrap();
    let (_, note) = get(&recorder, "/checkpoint").await;
    let checkpoint = note::open_checkpoint(std::str::from_utf8(&note).unwrap(), &key).unwrap();
    assert_eq!(checkpoint.size, 405);
    assert_eq!(get(&recorder, "/tile/0/000").await.1.len(), 8_192);
    assert_eq!(get(&recorder, "/tile/0/001.p/149").await.1.len(), 149 * 32);
    let (status, entries) = get(&recorder, "/tile/entries/000").await;
    assert!(status == 200 && entries.windows(9).any(|text| text == b"\"receipt\""));
    for nothing in
        ["/tile/0/009", "/tile/0/../../log.key", "/tile/0/%2e%2e/checkpoint", "/log.key", "/entry/x"]
    {
        assert_eq!(get(&recorder, nothing).await.0, 404, "{nothing}");
    }

    let (_, told) = get(&recorder, "/entry/01936a5e-1111-7000-8000-000000000064").await;
    let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    let path = |name: &str| -> Vec<[u8; 32]> {
        let digits = told[name].as_array().unwrap().iter();
        digits.map(|digits| clyra_seal::unhex(digits.as_str().unwrap()).unwrap()).collect()
    };
    let leaf = merkle::leaf_hash(text("entry").as_bytes());
    assert!(text("entry").contains("\"seq\":100}"), "{told}");
    let root = merkle::root_of_path(leaf, told["index"].as_u64().unwrap(), 405, &path("path"));
    assert_eq!(root, Some(checkpoint.root));
    let claims = batch::open(text("header").as_bytes(), &gateway.key.verifying()).unwrap();
    let within = merkle::root_of_path(leaf, 100 - claims.first_seq, claims.count, &path("batch_path"));
    assert_eq!((within, told["batch"].as_u64()), (Some(claims.root), Some(4)));
    assert_eq!(text("checkpoint").as_bytes(), note);
    recorder.stop().await.unwrap();
}
