//! A socket to a client or a server, over TCP, TLS or a unix socket.

mod side;

pub(crate) use side::Side;

use crate::{
    settings::Upstream,
    tls::{Back, Reached},
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    os::fd::AsFd as _,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::TlsStream;

/// One of the kinds of socket.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<Protected>),
    /// A socket that was lost while TLS was being agreed on.
    Gone,
    /// No socket at all, for now.
    Nobody,
}

/// A TLS session over TCP.
#[derive(Debug)]
pub(crate) struct Protected {
    stream: TlsStream<TcpStream>,
    /// Bytes of the writer that are encrypted, and not all sent yet.
    owed: usize,
}

/// Connects to the server behind the gate, with TLS where that is wanted.
pub(crate) async fn connect(upstream: &Upstream, back: Option<&Back>) -> io::Result<Stream> {
    let connecting = async {
        if let Some(path) = upstream.socket() {
            return UnixStream::connect(path).await.map(Stream::Unix);
        }
        let stream = TcpStream::connect((upstream.host.as_str(), upstream.port)).await?;
        settle(&stream)?;
        match back {
            None => Ok(Stream::Tcp(stream)),
            Some(back) => match back.reach(stream).await? {
                Reached::Plain(stream) => Ok(Stream::Tcp(stream)),
                Reached::Protected(stream) => Ok(Stream::tls(TlsStream::Client(*stream))),
            },
        }
    };
    match tokio::time::timeout(CONNECT_MAX, connecting).await {
        Ok(connected) => connected,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer within 10 s")),
    }
}

/// Small messages go at once, and a dead peer is noticed.
pub(crate) fn settle(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(10));
    socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

impl Stream {
    pub(crate) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self::Tls(Box::new(Protected { stream, owed: 0 }))
    }

    /// Address of the other side; a local one where it has none.
    pub(crate) fn peer(&self) -> IpAddr {
        let peer = match self {
            Self::Tcp(stream) => stream.peer_addr(),
            Self::Tls(protected) => protected.stream.get_ref().0.peer_addr(),
            Self::Unix(_) | Self::Gone | Self::Nobody => return IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.ip())
    }

    /// From now on this thread's runtime waits for the socket.
    pub(crate) fn settle_here(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => moved(stream),
            Self::Tls(protected) => match &mut protected.stream {
                TlsStream::Client(stream) => moved(stream.get_mut().0),
                TlsStream::Server(stream) => moved(stream.get_mut().0),
            },
            Self::Unix(stream) => {
                let own = std::os::unix::net::UnixStream::from(stream.as_fd().try_clone_to_owned()?);
                *stream = UnixStream::from_std(own)?;
                Ok(())
            }
            Self::Gone | Self::Nobody => Ok(()),
        }
    }

    /// Whether nobody on the way can read what is sent.
    pub(crate) fn is_private(&self) -> bool {
        match self {
            Self::Tls(_) | Self::Unix(_) => true,
            Self::Tcp(stream) => stream.peer_addr().is_ok_and(|peer| peer.ip().is_loopback()),
            Self::Gone | Self::Nobody => false,
        }
    }
}

/// The same socket, for which this thread's runtime waits.
fn moved(stream: &mut TcpStream) -> io::Result<()> {
    let own = std::net::TcpStream::from(stream.as_fd().try_clone_to_owned()?);
    *stream = TcpStream::from_std(own)?;
    Ok(())
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(protected) => protected.poll_read(cx, buf),
            Self::Gone => Poll::Ready(Ok(())),
            Self::Nobody => Poll::Pending,
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(protected) => protected.poll_write(cx, buf),
            Self::Gone | Self::Nobody => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(protected) => Pin::new(&mut protected.stream).poll_flush(cx),
            Self::Gone | Self::Nobody => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(protected) => Pin::new(&mut protected.stream).poll_shutdown(cx),
            Self::Gone | Self::Nobody => Poll::Ready(Ok(())),
        }
    }
}

impl Protected {
    /// An end without TLS's own goodbye is an end: messages have lengths, so nothing cut off passes for whole.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            polled => polled,
        }
    }

    /// Says that bytes are written only when they have left for the network, so that nobody need remember to flush.
    /// A caller that was told to wait comes again with the same bytes in front.
    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.owed == 0 {
            self.owed = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        Poll::Ready(Ok(std::mem::take(&mut self.owed)))
    }
}

impl Drop for Protected {
    /// Says goodbye in TLS's way, if the network takes it at once.
    fn drop(&mut self) {
        let mut goodbye = Vec::new();
        let socket = match &mut self.stream {
            TlsStream::Client(stream) => {
                let (socket, session) = stream.get_mut();
                session.send_close_notify();
                let _ = session.write_tls(&mut goodbye);
                socket
            }
            TlsStream::Server(stream) => {
                let (socket, session) = stream.get_mut();
                session.send_close_notify();
                let _ = session.write_tls(&mut goodbye);
                socket
            }
        };
        let _ = socket.try_write(&goodbye);
    }
}

const CONNECT_MAX: Duration = Duration::from_secs(10);
