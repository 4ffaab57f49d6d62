//! A recorder in memory, for tests of the outbox: it keeps batches as strictly as the real one, and misbehaves when told to.

use super::tests::until;
use clyra_proto::evidence::recorder_server::{Recorder, RecorderServer};
use clyra_proto::evidence::to_recorder::Says;
use clyra_proto::evidence::{
    Ack, Batch, CutPiece, CutRequest, FromRecorder, Refusal, StandReply, StandRequest, ToRecorder, Welcome,
    from_recorder,
};
use clyra_seal::key::VerifyingKey;
use clyra_seal::{batch, merkle};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// A recorder that keeps batches in memory, as strictly as the real one.
#[derive(Clone)]
pub(super) struct Memory(Arc<Mutex<Kept>>, VerifyingKey);

/// What it has, and how it shall behave.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) batches: Vec<Batch>,
    /// So many batches are kept without a word.
    pub(super) acks_lost: u32,
    /// It refuses everything, for this reason.
    pub(super) refuses: Option<&'static str>,
}

impl Memory {
    /// Serves the gateway that has this key.
    pub(super) async fn serve(key: VerifyingKey, addr: SocketAddr) -> Self {
        let memory = Self(Arc::default(), key);
        let listener = tokio::net::TcpListener::bind(addr).await.unwrap();
        let service = RecorderServer::new(memory.clone()).max_decoding_message_size(16 << 20);
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        memory
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap()
    }

    pub(super) fn claims(&self) -> Vec<batch::Claims> {
        self.lock().batches.iter().map(|batch| batch::open(&batch.header, &self.1).unwrap()).collect()
    }

    pub(super) fn entries(&self) -> Vec<Value> {
        let shelf = self.lock();
        let entries = shelf.batches.iter().flat_map(|batch| &batch.entries);
        entries.map(|entry| serde_json::from_slice(entry).unwrap()).collect()
    }

    pub(super) async fn wait_for(&self, count: usize) -> Vec<Value> {
        until("the recorder has its entries", || self.entries().len() >= count).await;
        self.entries()
    }

    fn welcome(&self) -> Welcome {
        let last = self.claims().pop();
        let previous = self.lock().batches.last().map(|batch| batch::digest(&batch.header).to_vec());
        Welcome {
            epoch: last.as_ref().map_or(0, |claims| claims.epoch),
            seq: last.as_ref().map_or(0, batch::Claims::last_seq),
            previous: previous.unwrap_or_default().into(),
        }
    }

    fn keep(&self, batch: Batch) -> Option<from_recorder::Says> {
        if let Some(reason) = self.lock().refuses {
            return Some(from_recorder::Says::Refusal(Refusal {
                reason: reason.into(),
                detail: "as told".into(),
            }));
        }
        let claims = batch::open(&batch.header, &self.1).unwrap();
        let before = self.welcome();
        let leaves: Vec<_> = batch.entries.iter().map(|entry| merkle::leaf_hash(entry)).collect();
        assert_eq!((claims.count, claims.root), (leaves.len() as u64, merkle::root(&leaves)));
        assert_eq!(
            claims.previous[..],
            if before.previous.is_empty() { vec![0; 32] } else { before.previous.to_vec() }
        );
        let follows = if claims.epoch == before.epoch { before.seq + 1 } else { 1 };
        assert_eq!(claims.first_seq, follows);
        let mut shelf = self.lock();
        shelf.batches.push(batch);
        if shelf.acks_lost > 0 {
            shelf.acks_lost -= 1;
            return None;
        }
        let ack = Ack { epoch: claims.epoch, seq: claims.last_seq(), ..Ack::default() };
        Some(from_recorder::Says::Ack(ack))
    }
}

#[tonic::async_trait]
impl Recorder for Memory {
    type RecordStream = ReceiverStream<Result<FromRecorder, Status>>;
    type CutStream = ReceiverStream<Result<CutPiece, Status>>;

    async fn record(
        &self,
        asked: Request<Streaming<ToRecorder>>,
    ) -> Result<Response<Self::RecordStream>, Status> {
        let (to, out) = tokio::sync::mpsc::channel(64);
        let (memory, mut from) = (self.clone(), asked.into_inner());
        tokio::spawn(async move {
            while let Ok(Some(ToRecorder { says: Some(says) })) = from.message().await {
                let answer = match says {
                    Says::Hello(_) => Some(from_recorder::Says::Welcome(memory.welcome())),
                    Says::Batch(batch) => memory.keep(batch),
                };
                let last =
                    !matches!(answer, Some(from_recorder::Says::Welcome(_) | from_recorder::Says::Ack(_)));
                if let Some(says) = answer {
                    let _ = to.send(Ok(FromRecorder { says: Some(says) })).await;
                }
                if last {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(out)))
    }

    async fn stand(&self, _: Request<StandRequest>) -> Result<Response<StandReply>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn cut(&self, _: Request<CutRequest>) -> Result<Response<Self::CutStream>, Status> {
        Err(Status::unimplemented("not asked here"))
    }
}
