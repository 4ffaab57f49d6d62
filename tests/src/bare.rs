//! A server that speaks just enough of the protocol to let everybody in, and then behaves well or badly as told. It
//! runs no SQL.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
};

/// How a bare server treats those whom it has let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Every simple query is answered as if it had done its work.
    Answers,
    /// As `Answers`, but each answer waits until [`BareServer::go_on`] is called.
    Waits,
    /// The first query is answered with rows without end.
    Floods,
    /// Nothing is read any more.
    Deaf,
    /// Nobody is let in: everybody is asked for a password, and no answer is read.
    AsksForever,
}

/// A bare server, at work until it is dropped.
#[derive(Debug)]
pub struct BareServer {
    /// Where it listens.
    pub addr: SocketAddr,
    door: JoinHandle<()>,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    manner: Manner,
    open: AtomicUsize,
    queries: AtomicUsize,
    going: Semaphore,
}

impl BareServer {
    /// Listens on a free port.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(manner: Manner) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let (open, queries, going) = (AtomicUsize::new(0), AtomicUsize::new(0), Semaphore::new(0));
        let state = Arc::new(State { manner, open, queries, going });
        let shared = Arc::clone(&state);
        let door = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                tokio::spawn(async move {
                    state.open.fetch_add(1, Ordering::SeqCst);
                    // A peer that leaves ends its own connection only.
                    let _left = serve(stream, &state).await;
                    state.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Ok(Self { addr, door, state })
    }

    /// The flag that puts it behind a house.
    pub fn upstream(&self) -> String {
        format!("postgres://{}/shop", self.addr)
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }

    /// Queries that have arrived so far.
    pub fn queries(&self) -> usize {
        self.state.queries.load(Ordering::SeqCst)
    }

    /// Lets one answer go that waits.
    pub fn go_on(&self) {
        self.state.going.add_permits(1);
    }
}

impl Drop for BareServer {
    fn drop(&mut self) {
        self.door.abort();
    }
}

async fn serve(mut stream: TcpStream, state: &State) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let length = stream.read_u32().await?;
        let mut packet = vec![0; (length as usize).saturating_sub(4)];
        stream.read_exact(&mut packet).await?;
        if packet.starts_with(&STARTUP_CODE) {
            break;
        }
        stream.write_all(b"N").await?;
    }
    if state.manner == Manner::AsksForever {
        stream.write_all(b"R\0\0\0\x08\0\0\0\x03").await?;
        return std::future::pending().await;
    }
    stream.write_all(WELCOME).await?;
    if state.manner == Manner::Deaf {
        return std::future::pending().await;
    }
    loop {
        let tag = stream.read_u8().await?;
        let length = stream.read_u32().await?;
        let mut body = (&mut stream).take(u64::from(length.saturating_sub(4)));
        tokio::io::copy(&mut body, &mut tokio::io::sink()).await?;
        match (tag, state.manner) {
            (b'X', _) => return Ok(()),
            (b'Q', Manner::Floods) => flood(&mut stream, state).await?,
            (b'Q', manner) => {
                state.queries.fetch_add(1, Ordering::SeqCst);
                if manner == Manner::Waits {
                    state.going.acquire().await.map_err(io::Error::other)?.forget();
                }
                stream.write_all(DONE).await?;
            }
            _ => {}
        }
    }
}

async fn flood(stream: &mut TcpStream, state: &State) -> io::Result<()> {
    state.queries.fetch_add(1, Ordering::SeqCst);
    stream.write_all(b"T\0\0\0\x06\0\0").await?;
    let rows = b"D\0\0\0\x06\0\0".repeat(10_000);
    loop {
        stream.write_all(&rows).await?;
    }
}

/// Protocol 3.0.
const STARTUP_CODE: [u8; 4] = [0, 3, 0, 0];
/// `AuthenticationOk`, one parameter, `BackendKeyData`, `ReadyForQuery`.
const WELCOME: &[u8] =
    b"R\0\0\0\x08\0\0\0\0S\0\0\0\x19client_encoding\0UTF8\0K\0\0\0\x0c\0\0\0\x07\0\0\0\x09Z\0\0\0\x05I";
/// `CommandComplete`, `ReadyForQuery`.
const DONE: &[u8] = b"C\0\0\0\x0dSELECT 0\0Z\0\0\0\x05I";
