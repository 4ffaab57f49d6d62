//! A cancel request goes on to the server as it is, where process id and key are the server's own; behind a pool they are
//! the gateway's, and it goes to the session that the client has now. It goes over TLS where sessions do. Where the
//! gateway logs in for its clients, it can end a session as well.

use super::{House, reach};
use crate::{login::Talk, socket};
use clyra_wire::Startup;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Sends the request on and waits until the server closes, so that the client knows that it was heard.
pub(super) async fn forward(house: &House, packet: &[u8]) {
    let translated = match &house.pool {
        Some(pool) => match pool.keys.translated(packet) {
            Some(translated) => Some(translated),
            None => return,
        },
        None => None,
    };
    send(house, translated.as_deref().unwrap_or(packet)).await;
}

/// Cancels what the server does for the session of this key.
pub(crate) async fn cancel(house: &House, key: &[u8]) {
    let length = u32::try_from(key.len() + 8).unwrap_or(u32::MAX);
    send(house, &[&length.to_be_bytes()[..], &CODE.to_be_bytes(), key].concat()).await;
}

/// Ends the server session of this key, logged in as its own user goes to the server; false where the gateway does not
/// log in for its clients, or the server does not do it.
pub(crate) async fn terminate(house: &House, user: &str, database: &str, key: &[u8]) -> bool {
    let (Some(logins), Some(process)) = (&house.secure.logins, key.first_chunk::<4>()) else { return false };
    let process = u32::from_be_bytes(*process);
    let parameters = [("user", user), ("database", database), ("application_name", "clyra kill switch")];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let startup = Startup { minor: 0, parameters };
    let Ok(reached) = reach::enter(house, logins, &startup).await else { return false };
    let reach::Reached { mut server, mut heard } = reached;
    let mut talk = Talk { stream: &mut server, inbox: &mut heard };
    let said = async {
        while talk.hear().await?.0 != b'Z' {}
        let sql = format!("select pg_catalog.pg_terminate_backend({process})");
        talk.say(b'Q', &[sql.as_bytes(), b"\0"]).await?;
        talk.stream.flush().await?;
        let mut ended = false;
        loop {
            match talk.hear().await? {
                (b'Z', _) => return Ok::<_, std::io::Error>(ended),
                (b'D', row) => ended = row.ends_with(b"t"),
                _ => {}
            }
        }
    };
    said.await.unwrap_or(false)
}

async fn send(house: &House, packet: &[u8]) {
    let back = house.secure.back.as_ref();
    let Ok(mut server) = socket::connect(&house.upstream, back).await else { return };
    if server.write_all(packet).await.is_ok() {
        let mut end = [0; 16];
        let _ = server.read(&mut end).await;
    }
}

/// What makes a first packet a cancel request.
const CODE: u32 = 80_877_102;
