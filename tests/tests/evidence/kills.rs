//! A recorder killed with -9 again and again, under a client that knows what was acknowledged: nothing of that is lost, nothing
//! is there twice, and the log passes whole at the end.

use crate::doubt;
use clyra_proto::evidence::from_recorder::Says;
use clyra_proto::evidence::recorder_client::RecorderClient;
use clyra_proto::evidence::{Batch, Hello, ToRecorder, to_recorder};
use clyra_seal::{Hash, batch, canonical, key::SigningKey, merkle};
use clyra_tests::{open_folder, program};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::{fs, time::Duration};
use tokio::{sync::mpsc, time};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_whenever_it_is_killed() {
    let rounds: u32 = option_env!("CLYRA_FAULT_ROUNDS").map_or(10, |rounds| rounds.parse().unwrap());
    let folder = open_folder().unwrap();
    let data = folder.path().join("recorder");
    let mut gateway = Gateway::new();
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..rounds {
        let recorder = Recorder::start(&data, &gateway);
        let patience = Duration::from_millis(random.u64(20..1_500));
        let heard = time::timeout(patience, gateway.talk(&recorder.url, &mut random)).await;
        assert!(heard.is_err(), "round {round}: the recorder hung up: {heard:?}");
        // Dropped, it is killed.
        drop(recorder);
    }
    let mut recorder = Recorder::start(&data, &gateway);
    time::timeout(Duration::from_secs(60), gateway.finish(&recorder.url)).await.unwrap();
    recorder.stop();
    let trust = folder.path().join("trust.txt");
    fs::write(&trust, format!("{}quorum none\nmaker gateway {}\n", recorder.trust, gateway.key.verifying()))
        .unwrap();
    let log = data.join("log");
    let (code, first, said) = doubt(&["log", log.to_str().unwrap(), "--trust", trust.to_str().unwrap()]);
    assert_eq!((code, &*first), (Some(0), ""), "{said:#}");
    let (told, policies) = (gateway.next_seq - 1, &said["summary"]["counts"]["policy"]);
    assert_eq!(*policies, told, "every entry once: {said:#}");
    assert!(
        told > u64::from(rounds) && gateway.acked == told,
        "{told} entries, {} acknowledged",
        gateway.acked
    );
}

/// A gateway that keeps what is not acknowledged, as a real one does on its spool.
struct Gateway {
    key: SigningKey,
    next_seq: u64,
    previous: Hash,
    acked: u64,
    /// Last seq and batch.
    pending: VecDeque<(u64, Batch)>,
}

impl Gateway {
    fn new() -> Self {
        let key = SigningKey::from_seed("gw-1", &[1; 32]).unwrap();
        Self { key, next_seq: 1, previous: [0; 32], acked: 0, pending: VecDeque::new() }
    }

    /// Seals the next batch.
    fn seal(&mut self, count: u64) {
        let first_seq = self.next_seq;
        let entries: Vec<Vec<u8>> = (0..count).map(|_| self.entry()).collect();
        let leaves: Vec<Hash> = entries.iter().map(|entry| merkle::leaf_hash(entry)).collect();
        let claims = batch::Claims {
            gateway: "gw-1".into(),
            epoch: 1,
            first_seq,
            count,
            root: merkle::root(&leaves),
            previous: self.previous,
            last: false,
        };
        let id = format!("01936a5e-0000-7000-8000-{first_seq:012x}");
        let header = batch::seal(&self.key, &claims, AT, &id).unwrap();
        self.previous = batch::digest(&header);
        let entries = entries.into_iter().map(Into::into).collect();
        self.pending.push_back((self.next_seq - 1, Batch { header: header.into(), entries }));
    }

    fn entry(&mut self) -> Vec<u8> {
        let seq = self.next_seq;
        self.next_seq += 1;
        let entry: Value = json!({
            "at": AT, "digest": format!("sha256:{seq:064x}"), "id": format!("01936a5e-1111-7000-8000-{seq:012x}"),
            "kind": "policy", "maker": self.key.id(), "mode": "enforce", "name": "shop", "reason": "reload",
            "stream": {"epoch": 1, "gateway": "gw-1", "seq": seq}, "v": 1, "version": seq,
        });
        canonical::to_vec(&entry).unwrap()
    }

    /// Sends and listens until the line breaks or nobody waits any more.
    async fn talk(&mut self, url: &str, random: &mut fastrand::Rng) -> Option<()> {
        let (say, mut hear) = self.open(url).await?;
        loop {
            while self.pending.len() < 32 {
                let count = random.u64(1..40);
                self.seal(count);
                let batch = self.pending.back()?.1.clone();
                say.send(says(to_recorder::Says::Batch(batch))).await.ok()?;
            }
            self.hear(&mut hear).await?;
        }
    }

    /// Sends what is left.
    async fn finish(&mut self, url: &str) {
        let (_say, mut hear) = self.open(url).await.unwrap();
        while !self.pending.is_empty() {
            self.hear(&mut hear).await.unwrap();
        }
    }

    /// Greets, drops what the recorder holds, and sends the rest again.
    async fn open(&mut self, url: &str) -> Option<(mpsc::Sender<ToRecorder>, Hear)> {
        let (say, said) = mpsc::channel(64);
        let hello = Hello { gateway: "gw-1".into(), key: self.key.verifying().to_string() };
        say.send(says(to_recorder::Says::Hello(hello))).await.ok()?;
        let said = stream::unfold(said, |mut said| async move { said.recv().await.map(|word| (word, said)) });
        let mut client = RecorderClient::connect(url.to_owned()).await.ok()?;
        let mut hear = client.record(said).await.ok()?.into_inner();
        let Some(Ok(word)) = hear.next().await else { return None };
        let Some(Says::Welcome(welcome)) = word.says else { panic!("{word:?}") };
        assert!(welcome.seq >= self.acked, "{} was acknowledged, {} is there", self.acked, welcome.seq);
        self.pending.retain(|(last, _)| *last > welcome.seq);
        self.acked = welcome.seq;
        for (_, batch) in &self.pending {
            say.send(says(to_recorder::Says::Batch(batch.clone()))).await.ok()?;
        }
        Some((say, hear))
    }

    async fn hear(&mut self, hear: &mut Hear) -> Option<()> {
        match hear.next().await?.ok()?.says {
            Some(Says::Ack(ack)) => {
                self.acked = self.acked.max(ack.seq);
                self.pending.retain(|(last, _)| *last > ack.seq);
                Some(())
            }
            other => panic!("{other:?}"),
        }
    }
}

fn says(says: to_recorder::Says) -> ToRecorder {
    ToRecorder { says: Some(says) }
}

/// `clyra recorder serve`, killed when dropped.
struct Recorder {
    process: Child,
    url: String,
    trust: String,
}

impl Recorder {
    fn start(data: &Path, gateway: &Gateway) -> Self {
        let mut process = Command::new(program("clyra").unwrap())
            .args(["recorder", "serve", "--json", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(["--maker", &gateway.key.verifying().to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let text = |name: &str| ready[name].as_str().unwrap().to_owned();
        Self {
            process,
            url: format!("http://{}", text("listen")),
            trust: format!("log {}\n", text("log_key")),
        }
    }

    /// Ends it in order.
    fn stop(&mut self) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").arg(id).status().unwrap().success());
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ended = self.process.kill().and_then(|()| self.process.wait());
    }
}

/// The recorder's half of a conversation.
type Hear = tonic::Streaming<clyra_proto::evidence::FromRecorder>;

const AT: &str = "2026-11-22T10:00:00.000000Z";
