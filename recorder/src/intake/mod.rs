//! The gRPC face: batches in, answers and bundles out. It checks each batch; whether it fits is decided by the log.

pub(crate) mod check;
pub(crate) mod makers;

use crate::Error;
use crate::cut::Cutter;
use crate::log::{Job, SharedTip, look};
use crate::shelf::Published;
use crate::shelf::publisher::Publisher;
use crate::witness;
use bytes::Bytes;
use check::{check, refusal};
use clyra_proto::evidence::recorder_server::Recorder as Face;
use clyra_proto::evidence::{
    CutPiece, CutRequest, FromRecorder, Hello, Refusal, StandReply, StandRequest, ToRecorder, Welcome,
    from_recorder, to_recorder,
};
use clyra_seal::key::VerifyingKey;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use makers::Makers;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tonic::{Request, Response, Status, Streaming};

/// What all streams share.
#[derive(Clone, Debug)]
pub(crate) struct Intake {
    pub(crate) makers: Arc<Makers>,
    pub(crate) jobs: mpsc::Sender<Job>,
    pub(crate) tip: SharedTip,
    pub(crate) publisher: Publisher,
    pub(crate) cutter: Arc<Cutter>,
    /// Newest checkpoint with the cosignatures that it has.
    pub(crate) cosigned: watch::Receiver<Option<Published>>,
    /// The file of witnesses.
    pub(crate) witness_file: PathBuf,
    /// The log's key.
    pub(crate) log_key: VerifyingKey,
    /// Turns true, or closes, when the recorder stops.
    pub(crate) stop: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl Face for Intake {
    type RecordStream = BoxStream<'static, Result<FromRecorder, Status>>;
    type CutStream = BoxStream<'static, Result<CutPiece, Status>>;

    async fn record(
        &self,
        request: Request<Streaming<ToRecorder>>,
    ) -> Result<Response<Self::RecordStream>, Status> {
        let (answers, answered) = mpsc::channel(UNDER_WAY_MAX);
        tokio::spawn(self.clone().converse(request.into_inner(), answers));
        // A refusal is the last word of a stream, whoever spoke it.
        let until_refused = stream::unfold(Some(answered), |answered| async move {
            let mut answered = answered?;
            let answer = answered.recv().await?;
            let more = (!is_refusal(&answer)).then_some(answered);
            Some((answer, more))
        });
        Ok(Response::new(until_refused.boxed()))
    }

    async fn stand(&self, _: Request<StandRequest>) -> Result<Response<StandReply>, Status> {
        let tip = look(&self.tip).clone();
        Ok(Response::new(StandReply {
            origin: self.log_key.name().into(),
            log_key: self.log_key.to_string(),
            size: tip.tree.size(),
            published: self.publisher.newest().map_or(0, |published| published.size),
            root: tip.tree.root().to_vec().into(),
        }))
    }

    async fn cut(&self, request: Request<CutRequest>) -> Result<Response<Self::CutStream>, Status> {
        let bundle = self.bundle(request.into_inner().run_id).await.map_err(|error| status(&error))?;
        let pieces = stream::unfold(bundle, |mut rest| async move {
            (!rest.is_empty()).then(|| {
                let bytes = rest.split_to(rest.len().min(PIECE_BYTES));
                (Ok(CutPiece { bytes }), rest)
            })
        });
        Ok(Response::new(pieces.boxed()))
    }
}

impl Intake {
    /// One gateway's stream, from Hello to its end.
    async fn converse(mut self, mut said: Streaming<ToRecorder>, answers: Answers) {
        let refused = match self.listen(&mut said, &answers).await {
            Ok(()) => return,
            Err(refusal) => refusal,
        };
        let says = Some(from_recorder::Says::Refusal(refused));
        // A caller that has gone needs no answer.
        let _ = answers.send(Ok(FromRecorder { says })).await;
    }

    async fn listen(&mut self, said: &mut Streaming<ToRecorder>, answers: &Answers) -> Result<(), Refusal> {
        let key = match self.hear(said, answers).await {
            None => return Ok(()),
            Some(to_recorder::Says::Hello(hello)) => self.greet(&hello)?,
            Some(_) => return Err(refusal("malformed", "the first word must be Hello".into())),
        };
        let says = Some(from_recorder::Says::Welcome(self.welcome(key.name())));
        if answers.send(Ok(FromRecorder { says })).await.is_err() {
            return Ok(());
        }
        while let Some(says) = self.hear(said, answers).await {
            let to_recorder::Says::Batch(batch) = says else {
                return Err(refusal("malformed", "after Hello only batches may follow".into()));
            };
            let checked = check(batch, &key)?;
            let Ok(reply) = answers.clone().reserve_owned().await else { return Ok(()) };
            if self.jobs.send(Job { checked, reply }).await.is_err() {
                return Err(refusal("closed", "the recorder is stopping".into()));
            }
        }
        Ok(())
    }

    /// The caller's next word; `None` when it has no more, went away, or the recorder stops.
    async fn hear(
        &mut self,
        said: &mut Streaming<ToRecorder>,
        answers: &Answers,
    ) -> Option<to_recorder::Says> {
        tokio::select! {
            biased;
            _ = self.stop.wait_for(|stop| *stop) => None,
            () = answers.closed() => None,
            word = said.message() => word.ok().flatten()?.says,
        }
    }

    fn greet(&self, hello: &Hello) -> Result<VerifyingKey, Refusal> {
        let unknown = |detail: String| refusal("unknown_key", detail);
        let known = self.makers.find(&hello.key).map_err(|error| unknown(error.to_string()))?;
        let key = known.ok_or_else(|| {
            unknown(format!("`{}` is not among the trusted gateways; add its line to `makers`", hello.key))
        })?;
        if hello.gateway != key.name() {
            return Err(unknown(format!(
                "gateway `{}` must be named as its key, `{}`",
                hello.gateway,
                key.name()
            )));
        }
        Ok(key)
    }

    fn welcome(&self, gateway: &str) -> Welcome {
        match look(&self.tip).heads.get(gateway) {
            None => Welcome::default(),
            Some(head) => Welcome { epoch: head.epoch, seq: head.seq, previous: head.digest.to_vec().into() },
        }
    }

    async fn bundle(&self, run_id: String) -> Result<Bytes, Error> {
        let published = self.publisher.publish().await?;
        let published = published.ok_or_else(|| Error::NoSuchRun { run: run_id.clone() })?;
        let published = witness::cosigned(self.cosigned.clone(), &self.witness_file, published).await;
        let cutter = Arc::clone(&self.cutter);
        let cut = tokio::task::spawn_blocking(move || cutter.cut(&run_id, &published));
        cut.await.map_err(|fault| Error::Stopped { why: fault.to_string() })?.map(Bytes::from)
    }
}

type Answers = mpsc::Sender<Result<FromRecorder, Status>>;

fn is_refusal(answer: &Result<FromRecorder, Status>) -> bool {
    matches!(answer, Ok(FromRecorder { says: Some(from_recorder::Says::Refusal(_)) }))
}

/// What a client may read of an error.
fn status(error: &Error) -> Status {
    match error {
        Error::NoSuchRun { .. } => Status::not_found(error.to_string()),
        Error::RunTooLarge { .. } => Status::out_of_range(error.to_string()),
        Error::Stopped { .. } => Status::unavailable(error.to_string()),
        _ => Status::internal(error.to_string()),
    }
}

/// Batches of one stream that may wait for their answer.
const UNDER_WAY_MAX: usize = 64;
/// Bytes of a bundle in one message.
const PIECE_BYTES: usize = 256 << 10;
