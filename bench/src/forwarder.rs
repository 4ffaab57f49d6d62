//! A bare TCP forwarder: accepts, connects, copies both ways. It never looks at a byte.

use anyhow::Context;
use std::io;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};

/// Forwards from one address to another until the process is told to stop.
pub(crate) fn run(listen: SocketAddr, to: SocketAddr) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let door = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on `{listen}`"))?;
        loop {
            tokio::select! {
                visitor = door.accept() => {
                    let (client, _) = visitor?;
                    tokio::spawn(forward(client, to));
                }
                _ = tokio::signal::ctrl_c() => return Ok(()),
            }
        }
    })
}

async fn forward(mut client: TcpStream, to: SocketAddr) -> io::Result<()> {
    let mut server = TcpStream::connect(to).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::forward;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn bytes_pass_both_ways() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(door.local_addr().unwrap()).await.unwrap();
        let (inside, _) = door.accept().await.unwrap();
        tokio::spawn(forward(inside, server.local_addr().unwrap()));
        let (mut upstream, _) = server.accept().await.unwrap();
        let mut heard = [0; 4];
        client.write_all(b"ping").await.unwrap();
        upstream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"ping");
        upstream.write_all(b"pong").await.unwrap();
        client.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"pong");
    }
}
