//! The recorder as gateways and auditors meet it: over gRPC.

use crate::sample::{Gateway, policy, receipt, receipts};
use crate::{Error, Recorder, Settings};
use clyra_proto::evidence::from_recorder::Says;
use clyra_proto::evidence::recorder_client::RecorderClient;
use clyra_proto::evidence::{Batch, CutRequest, FromRecorder, Hello, StandRequest, ToRecorder, to_recorder};
use futures_util::StreamExt as _;
use serde_json::json;
use std::path::Path;
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
    let settings = Settings { listen: "127.0.0.1:0".parse().unwrap(), data: data.into(), makers };
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
