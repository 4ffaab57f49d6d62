//! A cancel request goes on to the server as it is, where process id and key are the server's own; behind a pool they are
//! the gateway's, and it goes to the session that the client has now. It goes over TLS where sessions do.

use super::House;
use crate::socket;
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
