//! One peer of a session: its socket, what it said, what it is to be told. It never looks into the bytes.

use super::Stream;
use bytes::{Buf, BytesMut};
use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};
use tokio::io::{AsyncRead as _, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

/// One peer: its socket, what it said, what it is to be told.
#[derive(Debug)]
pub(crate) struct Side {
    stream: Stream,
    pub(crate) inbox: BytesMut,
    pub(crate) outbox: BytesMut,
    /// It says no more.
    pub(crate) ended: bool,
    /// It was told that the other says no more.
    closed: bool,
    /// It says more at once than the shared room takes.
    bulk: bool,
}

impl Side {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            inbox: BytesMut::new(),
            outbox: BytesMut::new(),
            ended: false,
            closed: false,
            bulk: false,
        }
    }

    /// Nobody: it says nothing, and cannot be told anything.
    pub(crate) fn nobody() -> Self {
        Self::new(Stream::Nobody)
    }

    /// Its socket, and what it said.
    pub(crate) fn parts(&mut self) -> (&mut Stream, &mut BytesMut) {
        (&mut self.stream, &mut self.inbox)
    }

    /// Nothing is on its way from or to it, as far as is known at once.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let mut room = [0; 1];
        let mut context = Context::from_waker(Waker::noop());
        let read = Pin::new(&mut self.stream).poll_read(&mut context, &mut ReadBuf::new(&mut room));
        read.is_pending() && self.inbox.is_empty() && self.outbox.is_empty() && !self.ended
    }

    /// From now on this thread's runtime waits for it.
    pub(crate) fn settle_here(&mut self) -> io::Result<()> {
        self.stream.settle_here()
    }

    /// Tells it something if the network takes it at once.
    pub(crate) fn say_at_once(&mut self, bytes: &[u8]) {
        let mut context = Context::from_waker(Waker::noop());
        let _: Poll<io::Result<usize>> = Pin::new(&mut self.stream).poll_write(&mut context, bytes);
    }

    /// Moves the first bytes of what it said into what the other is told.
    pub(crate) fn hand(&mut self, bytes: usize, other: &mut Self) {
        if other.outbox.is_empty() && bytes == self.inbox.len() {
            // The usual case: everything goes on, and nothing is copied.
            std::mem::swap(&mut self.inbox, &mut other.outbox);
            self.inbox.clear();
        } else {
            other.outbox.extend_from_slice(self.inbox.get(..bytes).unwrap_or_default());
            self.inbox.advance(bytes);
        }
    }

    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, io::Error> {
        let mut sent = Poll::Pending;
        while !self.outbox.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.outbox) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(bytes)) => {
                    self.outbox.advance(bytes);
                    sent = Poll::Ready(());
                }
                Poll::Ready(Err(err)) => return Err(err),
                Poll::Pending => break,
            }
        }
        Ok(sent)
    }

    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>, needed: usize) -> Result<Poll<()>, io::Error> {
        if self.ended {
            return Ok(Poll::Pending);
        }
        let read = if self.bulk || !self.inbox.is_empty() {
            let room = needed.saturating_sub(self.inbox.len()).clamp(READ_BYTES, READ_BYTES_MAX);
            self.inbox.reserve(room);
            poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.inbox)
        } else {
            self.poll_sip(cx)
        };
        match read {
            Poll::Pending => {
                self.bulk = false;
                Ok(Poll::Pending)
            }
            Poll::Ready(read) => {
                let bytes = read?;
                self.ended = bytes == 0;
                self.bulk = bytes >= READ_BYTES;
                Ok(Poll::Ready(()))
            }
        }
    }

    /// Reads through the thread's own room, so that one who is silent needs none.
    fn poll_sip(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        SHARED_ROOM.with_borrow_mut(|room| {
            let mut room = ReadBuf::new(room);
            match Pin::new(&mut self.stream).poll_read(cx, &mut room) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {
                    self.inbox.extend_from_slice(room.filled());
                    Poll::Ready(Ok(room.filled().len()))
                }
            }
        })
    }

    /// Gives up room that was needed once, before it waits.
    pub(crate) fn slim(&mut self) {
        for buffer in [&mut self.inbox, &mut self.outbox] {
            if buffer.is_empty() && buffer.try_reclaim(KEPT_BYTES + 1) {
                *buffer = BytesMut::new();
            }
        }
    }

    /// Tells it that the other says no more, once everything before that is sent.
    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, io::Error> {
        if self.closed || !self.outbox.is_empty() {
            return Ok(Poll::Pending);
        }
        match Pin::new(&mut self.stream).poll_shutdown(cx) {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(result) => {
                self.closed = true;
                result.map(Poll::Ready)
            }
        }
    }

    pub(crate) async fn flush(&mut self) {
        let _ = poll_fn(|cx| match self.poll_send(cx) {
            Ok(_) if self.outbox.is_empty() => Poll::Ready(Ok(())),
            Ok(_) => Poll::Pending,
            Err(err) => Poll::Ready(Err(err)),
        })
        .await;
    }
}

thread_local! {
    /// Holds bytes only within one call of `poll_sip`.
    static SHARED_ROOM: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// Room that a silent peer may keep, in each direction.
const KEPT_BYTES: usize = 512;
/// One read takes at least so many bytes, and at most so many more than it must.
const READ_BYTES: usize = 16 << 10;
const READ_BYTES_MAX: usize = 256 << 10;
