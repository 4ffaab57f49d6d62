//! The first words of a connection: what it wants, whether under TLS, where it goes, who claims to be there. Proof is
//! between client and server, or asked for by the login room; this one decides nothing about it.

use super::{
    House, Seat, cancel,
    reach::{self, Reached},
};
use crate::{
    claims::SessionClaims,
    login::{self, Denied, Proved, Talk},
    relay, socket,
    socket::Stream,
    tls::{Front, Handshake},
};
use bytes::{Buf, BytesMut};
use clyra_policy::{Claims, Login, Proof};
use clyra_spec::Auth;
use clyra_wire::{Opening, Refusal, Startup, WireError, fatal_response, opening};
use std::{io, net::IpAddr, sync::Arc, time::Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsStream;

/// Serves one connection to its end.
pub(super) async fn welcome(house: House, stream: std::net::TcpStream) {
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    if socket::settle(&stream).is_err() {
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
pub(crate) struct Opened {
    pub(crate) server: Stream,
    /// Where the server connection comes from a pool.
    pub(crate) pooled: Option<Box<relay::Pooled>>,
    /// Bytes of the server that are read, and not yet passed on.
    pub(crate) heard: BytesMut,
    /// Bytes of the client behind its start-up packet.
    pub(crate) early: BytesMut,
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) application: String,
    pub(crate) claims: SessionClaims,
    /// What the client has shown to the gateway itself.
    pub(crate) auth: Option<Auth>,
    /// What it has proved beside its name.
    pub(crate) proof: Arc<Proof>,
    /// It asks for a replication connection, and may have one.
    pub(crate) replication: bool,
    pub(crate) seat: Seat,
}

/// What a refused client reads.
pub(super) struct Refused(Vec<u8>);

async fn open(house: &House, client: &mut Stream) -> Result<Option<Opened>, Refused> {
    let mut inbox = BytesMut::with_capacity(1024);
    let mut encryption_asked = 0;
    let mut handshake = None;
    let front = house.secure.front.as_ref();
    if let Some(front) = front
        && shakes_hands(client).await
    {
        handshake = Some(protect(front, client, true).await?);
    }
    loop {
        match opening(&inbox).map_err(|err| protocol(&err))? {
            None => match client.read_buf(&mut inbox).await {
                Ok(0) | Err(_) => return Ok(None),
                Ok(_) => {}
            },
            Some((asked @ (Opening::Tls | Opening::Gss), length)) => {
                encryption_asked += 1;
                if encryption_asked > 2 || handshake.is_some() {
                    return Err(protocol(&WireError::Unexpected {
                        tag: 0,
                        place: "after two requests for encryption, or under TLS",
                    }));
                }
                inbox.advance(length);
                let front = front.filter(|_| asked == Opening::Tls);
                if front.is_some() && !inbox.is_empty() {
                    // Whoever sent them could be somebody on the way; nothing of it may pass for protected.
                    return Err(protocol(&WireError::Unexpected {
                        tag: 0,
                        place: "behind a request for TLS",
                    }));
                }
                if client.write_all(if front.is_some() { b"S" } else { b"N" }).await.is_err() {
                    return Ok(None);
                }
                if let Some(front) = front {
                    handshake = Some(protect(front, client, false).await?);
                }
            }
            Some((Opening::Cancel, length)) => {
                cancel::forward(house, inbox.get(..length).unwrap_or_default()).await;
                return Ok(None);
            }
            Some((Opening::Startup(_), _)) if handshake.is_none() && front.is_some_and(Front::required) => {
                return Err(words(
                    "28000",
                    "clyra: this gateway speaks with clients under TLS only",
                    "",
                    "connect with sslmode=require or stronger",
                ));
            }
            Some((Opening::Startup(startup), length)) => {
                let packet = inbox.split_to(length);
                let asking = Asking { startup: &startup, packet: &packet, handshake: handshake.as_ref() };
                return start(house, client, &asking, inbox).await;
            }
        }
    }
}

/// Whether the first byte begins a TLS handshake. It stays where it is.
async fn shakes_hands(client: &Stream) -> bool {
    let mut first = [0];
    matches!(client, Stream::Tcp(stream) if stream.peek(&mut first).await.is_ok_and(|bytes| bytes == 1))
        && first == [TLS_HANDSHAKE]
}

/// Puts the connection under TLS. A client that fails is told by TLS's own alert.
async fn protect(front: &Front, client: &mut Stream, direct: bool) -> Result<Handshake, Refused> {
    let Stream::Tcp(stream) = std::mem::replace(client, Stream::Gone) else {
        return Err(Refused(Vec::new()));
    };
    let (stream, handshake) = front.accept(stream, direct).await.map_err(|_| Refused(Vec::new()))?;
    *client = Stream::tls(TlsStream::Server(stream));
    Ok(handshake)
}

/// What stands in front of a session.
struct Asking<'a> {
    startup: &'a Startup,
    /// The start-up packet as it came.
    packet: &'a [u8],
    handshake: Option<&'a Handshake>,
}

/// Lets a session begin: with the start-up packet sent on unchanged, or with a login here and another at the server.
async fn start(
    house: &House,
    client: &mut Stream,
    asking: &Asking<'_>,
    mut inbox: BytesMut,
) -> Result<Option<Opened>, Refused> {
    let startup = asking.startup;
    let user = startup.parameter("user").unwrap_or_default();
    if user.is_empty() {
        return Err(words("28000", "clyra: no user name in the start-up packet", "", "name a user"));
    }
    let seat = seat(house)?;
    let (mut auth, mut proof) = (None, Proof::default());
    if let Some(handshake) = asking.handshake {
        (proof.common_name, proof.uris) = handshake.names();
    }
    if let Some(logins) = &house.secure.logins {
        let peer = client.peer();
        patience(house, peer, user)?;
        reach::look_up(house, logins, user).await?;
        let mut talk = Talk { stream: client, inbox: &mut inbox };
        match logins.prove(&mut talk, user, asking.handshake).await {
            Ok(Proved { auth: shown, claims }) => (auth, proof.claims) = (Some(shown), claims),
            Err(Denied::Left) => return Ok(None),
            Err(denied) => {
                house.throttle.failed(peer, user, Instant::now());
                return Err(denied.into());
            }
        }
        house.throttle.proved(peer, user);
    }
    let proof = Arc::new(proof);
    let settings = startup.settings();
    let application = startup.parameter("application_name").or_else(|| {
        settings.iter().rev().find(|(key, _)| key == "application_name").map(|(_, v)| v.as_str())
    });
    let application: String = Claims::label(application.unwrap_or_default()).into();
    let database = startup.parameter("database").filter(|name| !name.is_empty()).unwrap_or(user);
    let login = Login { user, database, application: &application, tenant: None };
    let claims = SessionClaims::of_settings(&settings);
    let replication = startup.parameter("replication").is_some_and(replicates);
    may_begin(house, startup, &login, &proof, &claims)?;
    let (Reached { server, heard }, pooled) = way(house, asking, replication).await?;
    Ok(Some(Opened {
        server,
        heard,
        pooled,
        early: inbox,
        user: user.to_owned(),
        database: database.to_owned(),
        application,
        claims,
        auth,
        proof,
        replication,
        seat,
    }))
}

/// Whether the policy and the kill switch let a session of this login begin.
fn may_begin(
    house: &House,
    startup: &Startup,
    login: &Login<'_>,
    proof: &Arc<Proof>,
    claims: &SessionClaims,
) -> Result<(), Refused> {
    if let Some(why) = house.gate.turns_away(login, proof) {
        return Err(words(
            "28000",
            "clyra: the policy cannot say who this caller is",
            &why,
            "connect with the certificate or token that the policy's `callers:` asks for",
        ));
    }
    if let Some(told) = house.gate.refuses_to_begin(login, proof, &startup.every_setting()) {
        return Err(words(told.sqlstate, &told.message, &told.detail, &told.hint));
    }
    let run = crate::claims::run(claims.now());
    if house.gate.disconnects(login, proof, run.as_ref().map(|run| &*run.run_id)) {
        return Err(words(
            "ZC100",
            "clyra: the kill switch refuses connections",
            "Rule: kill; reason: disconnect.",
            "connect again once the switch is released",
        ));
    }
    let replication = startup.parameter("replication").is_some_and(replicates);
    if replication && !house.gate.lets_replicate(login, proof) {
        return Err(words(
            "42501",
            "clyra: the policy lets no replication connection of this caller pass",
            "a replication stream carries no statements that could be judged",
            "say `replication: allow` for the caller in the policy, or connect to the server itself",
        ));
    }
    Ok(())
}

/// The way to the server, as the house and the client want it.
async fn way(
    house: &House,
    asking: &Asking<'_>,
    replication: bool,
) -> Result<(Reached, Option<Box<relay::Pooled>>), Refused> {
    match (&house.secure.logins, &house.pool) {
        // A stream of changes has a connection of its own.
        (Some(_), Some(pool)) if !replication => {
            let (reached, pooled) = reach::from_pool(pool, asking.startup).await?;
            Ok((reached, Some(Box::new(pooled))))
        }
        (Some(logins), _) => Ok((reach::enter(house, logins, asking.startup).await?, None)),
        (None, _) => Ok((pass_on(house, asking.packet).await?, None)),
    }
}

/// Sends the start-up packet on as it is; proof is then between client and server.
async fn pass_on(house: &House, packet: &[u8]) -> Result<Reached, Refused> {
    let unreachable = |err: io::Error| reach::unreachable(house, &err);
    let (mut server, mut heard) = (reach::connect(house).await?, BytesMut::new());
    server.write_all(packet).await.map_err(unreachable)?;
    if house.secure.back.is_some() {
        login::without_binding(&mut server, &mut heard).await.map_err(unreachable)?;
    }
    Ok(Reached { server, heard })
}

/// Turns away who has failed too often of late, whoever that is.
fn patience(house: &House, peer: IpAddr, user: &str) -> Result<(), Refused> {
    let Some(wait) = house.throttle.wait(peer, user, Instant::now()) else { return Ok(()) };
    house.gate.metrics.logins_throttled.increment(1);
    let seconds = wait.as_secs() + 1;
    Err(words(
        "28000",
        "clyra: too many failed logins",
        &format!("from this address; the next may be tried in {seconds} s"),
        "wait, and log in with the right password, token or certificate",
    ))
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Left | Denied::Stale => Self(Vec::new()),
            Denied::Told { sqlstate, message, hint } => {
                words(sqlstate, &format!("clyra: {message}"), "", hint)
            }
        }
    }
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

/// A length that cannot be is no start-up packet: like the server, nothing is answered to who speaks something else.
fn protocol(err: &WireError) -> Refused {
    if matches!(err, WireError::Length { .. }) {
        return Refused(Vec::new());
    }
    words("08P01", &format!("clyra: {err}"), "", "")
}

pub(super) fn words(sqlstate: &str, message: &str, detail: &str, hint: &str) -> Refused {
    Refused(fatal_response(&Refusal { sqlstate, message, detail, hint, position: None }))
}

/// Content type of a TLS record that carries a handshake (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;
