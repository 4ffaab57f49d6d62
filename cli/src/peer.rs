//! The gateway's admin door and the recorder, as commands talk to them. It decides nothing and tries once.

use crate::error::Error;
use clyra_proto::{
    admin::{CloseRunRequest, ClosedRun, StandRequest, gate_client::GateClient},
    evidence::{CutRequest, recorder_client::RecorderClient},
};
use std::{net::SocketAddr, time::Duration};
use tokio::time::{Instant, sleep};
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};

/// The gateway's admin door.
pub(crate) type Gate = GateClient<Channel>;
/// The recorder.
pub(crate) type Recorder = RecorderClient<Channel>;

/// Knocks at a gateway's admin door.
///
/// # Errors
/// Nobody answers there.
pub(crate) async fn gate(address: SocketAddr) -> Result<Gate, Error> {
    Ok(GateClient::new(channel(GATE, address).await?))
}

/// Knocks at a recorder.
///
/// # Errors
/// Nobody answers there.
pub(crate) async fn recorder(address: SocketAddr) -> Result<Recorder, Error> {
    Ok(RecorderClient::new(channel(RECORDER, address).await?).max_decoding_message_size(PIECE_BYTES_MAX))
}

/// Ends a run at the gateway; its `run_close` entry is on its way to the recorder afterwards.
///
/// # Errors
/// The gateway does not know the run, or does not answer.
pub(crate) async fn close_run(gate: &mut Gate, run_id: &str) -> Result<ClosedRun, Error> {
    let asked = gate.close_run(CloseRunRequest { run_id: run_id.to_owned() }).await;
    Ok(asked.map_err(|status| refused(GATE, &status))?.into_inner())
}

/// Waits until the recorder has acknowledged all that the gateway has issued so far.
///
/// # Errors
/// It has not within ten seconds, or the gateway does not answer.
pub(crate) async fn settled(gate: &mut Gate) -> Result<(), Error> {
    let deadline = Instant::now() + SETTLED_WITHIN;
    loop {
        let stand = gate.stand(StandRequest {}).await.map_err(|status| refused(GATE, &status))?.into_inner();
        if stand.outbox_depth == 0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            let why = format!(
                "{} entries still wait for the recorder{}",
                stand.outbox_depth,
                if stand.recorder_connected { "" } else { ", which is away" }
            );
            return Err(Error::Refused { what: GATE, why });
        }
        sleep(POLL).await;
    }
}

/// Cuts a bundle of one run; the container's bytes.
///
/// # Errors
/// The recorder does not know the run, or does not answer.
pub(crate) async fn cut(recorder: &mut Recorder, run_id: &str) -> Result<Vec<u8>, Error> {
    let asked = recorder.cut(CutRequest { run_id: run_id.to_owned() }).await;
    let mut pieces = asked.map_err(|status| refused(RECORDER, &status))?.into_inner();
    let mut bundle = Vec::new();
    while let Some(piece) = pieces.message().await.map_err(|status| refused(RECORDER, &status))? {
        bundle.extend_from_slice(&piece.bytes);
    }
    Ok(bundle)
}

/// What a peer's refusal means to the one who asked.
pub(crate) fn refused(what: &'static str, status: &Status) -> Error {
    match status.code() {
        Code::InvalidArgument | Code::NotFound => Error::Usage(status.message().to_owned()),
        Code::Unavailable => Error::Unreachable {
            what,
            address: "the connection it had".into(),
            why: status.message().to_owned(),
            hint: "see whether it still runs".into(),
        },
        code => Error::Refused { what, why: format!("{} ({code:?})", status.message()) },
    }
}

async fn channel(what: &'static str, address: SocketAddr) -> Result<Channel, Error> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| Error::Ours { doing: "making an address", why: error.to_string() })?;
    endpoint.connect_timeout(CONNECTED_WITHIN).connect().await.map_err(|error| Error::Unreachable {
        what,
        address: address.to_string(),
        why: innermost(&error),
        hint: "is `clyra up` running? say where with --data DIR, or with the address's own flag".into(),
    })
}

/// The last cause says what happened; those around it only that something did.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// The gateway's name in messages.
pub(crate) const GATE: &str = "the gateway's admin door";
/// The recorder's name in messages.
pub(crate) const RECORDER: &str = "the recorder";

const CONNECTED_WITHIN: Duration = Duration::from_secs(3);
const SETTLED_WITHIN: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);
const PIECE_BYTES_MAX: usize = 16 << 20;
