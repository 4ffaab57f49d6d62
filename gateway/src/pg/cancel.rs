//! A cancel request goes on to the server as it is: process id and key are the server's own. It goes over TLS where
//! sessions do.

use super::{House, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Sends the request on and waits until the server closes, so that the client knows that it was heard.
pub(super) async fn forward(house: &House, packet: &[u8]) {
    let back = house.secure.back.as_ref();
    let Ok(mut server) = stream::connect(&house.upstream, back).await else { return };
    if server.write_all(packet).await.is_ok() {
        let mut end = [0; 16];
        let _ = server.read(&mut end).await;
    }
}
