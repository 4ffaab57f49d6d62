//! The first words of a connection: what it wants, where it goes, who claims to be there. Proof is between client and
//! server; this room only passes it on.

use super::{House, Seat, cancel, relay, stream, stream::Stream};
use crate::claims;
use bytes::{Buf, BytesMut};
use clyra_wire::{Opening, Refusal, Startup, WireError, fatal_response, opening};
use std::{io, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Serves one connection to its end.
pub(super) async fn welcome(house: House, stream: std::net::TcpStream) {
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    if stream::settle(&stream).is_err() {
        return;
    }
    let mut client = Stream::Tcp(stream);
    let mut shutdown = house.shutdown.clone();
    let opening = tokio::time::timeout(house.limits.login_max, open(&house, &mut client));
    let opened = tokio::select! {
        opened = opening => opened,
        _ = shutdown.wait_for(|down| *down) => return,
    };
    match opened {
        Ok(Ok(Some(opened))) => relay::run(house, client, opened).await,
        Ok(Ok(None)) => {}
        Ok(Err(Refused(words))) => {
            house.gate.metrics.logins_refused.increment(1);
            let _ = client.write_all(&words).await;
            let _ = client.shutdown().await;
        }
        Err(_) => house.gate.metrics.logins_refused.increment(1),
    }
}

/// A connection whose start-up packet has gone on to the server.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) server: Stream,
    /// Bytes of the client behind its start-up packet.
    pub(super) early: BytesMut,
    pub(super) user: String,
    pub(super) database: String,
    pub(super) application: String,
    pub(super) run: Option<crate::draft::RunClaims>,
    pub(super) seat: Seat,
}

/// What a refused client reads.
struct Refused(Vec<u8>);

async fn open(house: &House, client: &mut Stream) -> Result<Option<Opened>, Refused> {
    let mut inbox = BytesMut::with_capacity(1024);
    let mut encryption_asked = 0;
    loop {
        match opening(&inbox).map_err(|err| protocol(&err))? {
            None => match client.read_buf(&mut inbox).await {
                Ok(0) | Err(_) => return Ok(None),
                Ok(_) => {}
            },
            Some((Opening::Tls | Opening::Gss, length)) => {
                encryption_asked += 1;
                if encryption_asked > 2 {
                    return Err(protocol(&WireError::Unexpected {
                        tag: 0,
                        place: "after two requests for encryption",
                    }));
                }
                inbox.advance(length);
                if client.write_all(b"N").await.is_err() {
                    return Ok(None);
                }
            }
            Some((Opening::Cancel, length)) => {
                cancel::forward(house, inbox.get(..length).unwrap_or_default()).await;
                return Ok(None);
            }
            Some((Opening::Startup(startup), length)) => {
                return start(house, &startup, inbox, length).await.map(Some);
            }
        }
    }
}

/// Sends the start-up packet on, unchanged.
async fn start(
    house: &House,
    startup: &Startup,
    mut inbox: BytesMut,
    length: usize,
) -> Result<Opened, Refused> {
    let user = startup.parameter("user").unwrap_or_default();
    if user.is_empty() {
        return Err(words("28000", "clyra: no user name in the start-up packet", "", "name a user"));
    }
    if startup.parameter("replication").is_some_and(replicates) {
        return Err(words(
            "0A000",
            "clyra: replication connections do not pass the gate",
            "a replication stream carries no statements that could be judged",
            "connect to the server itself for replication and base backups",
        ));
    }
    let seat = seat(house)?;
    let unreachable = |err: io::Error| {
        words(
            "08001",
            &format!("clyra: the server behind the gate, `{}`, cannot be reached", house.upstream),
            &err.to_string(),
            "start the server, or correct `--upstream`",
        )
    };
    let mut server = stream::connect(&house.upstream).await.map_err(unreachable)?;
    server.write_all(inbox.get(..length).unwrap_or_default()).await.map_err(unreachable)?;
    inbox.advance(length);
    let settings = startup.settings();
    let application = startup.parameter("application_name").or_else(|| {
        settings.iter().rev().find(|(key, _)| key == "application_name").map(|(_, v)| v.as_str())
    });
    Ok(Opened {
        server,
        early: inbox,
        user: user.to_owned(),
        database: startup.parameter("database").unwrap_or(user).to_owned(),
        application: claims::bounded(application.unwrap_or_default()).into(),
        run: claims::of_settings(&settings),
        seat,
    })
}

/// A place among the clients, while there is one.
fn seat(house: &House) -> Result<Seat, Refused> {
    Arc::clone(&house.seats).try_acquire_owned().map_err(|_| {
        words(
            "53300",
            &format!("clyra: all {} places for clients are taken", house.limits.clients_max),
            "",
            "close connections that nobody uses, or raise `--max-clients`",
        )
    })
}

/// As the server reads the parameter: a boolean, or the word `database`.
fn replicates(value: &str) -> bool {
    !matches!(value.to_ascii_lowercase().as_str(), "" | "0" | "f" | "false" | "n" | "no" | "off")
}

fn protocol(err: &WireError) -> Refused {
    words("08P01", &format!("clyra: {err}"), "", "")
}

fn words(sqlstate: &str, message: &str, detail: &str, hint: &str) -> Refused {
    Refused(fatal_response(&Refusal { sqlstate, message, detail, hint, position: None }))
}
