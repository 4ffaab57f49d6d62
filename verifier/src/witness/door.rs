//! The witness's door: HTTP/1.1 as far as `POST /add-checkpoint` needs it, one answer a connection. It waits for nobody longer
//! than ten seconds, and judges nothing.

use super::{Answer, Witness, refuse};
use crate::Error;
use std::io::{self, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// An address that is listened on.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    addr: SocketAddr,
}

impl Door {
    /// Listens; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is taken or not ours.
    pub fn open(addr: SocketAddr) -> Result<Self, Error> {
        let fault = |source| Error::Listen { addr, source };
        let listener = TcpListener::bind(addr).map_err(fault)?;
        Ok(Self { addr: listener.local_addr().map_err(fault)?, listener })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Answers for ever; what comes beyond the bound of callers at a time is hung up on.
    pub fn serve(self, witness: Witness) -> ! {
        let (witness, callers) = (Arc::new(Mutex::new(witness)), Arc::new(AtomicUsize::new(0)));
        loop {
            let Ok((stream, _)) = self.listener.accept() else { continue };
            if callers.fetch_add(1, Ordering::Relaxed) >= CALLERS_MAX {
                callers.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let (witness, callers) = (Arc::clone(&witness), Arc::clone(&callers));
            thread::spawn(move || {
                // Who went away misses the answer; what was seen is written down.
                let _gone = converse(stream, &witness);
                callers.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }
}

fn converse(mut stream: TcpStream, witness: &Mutex<Witness>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let answer = match asked(&mut stream)? {
        Ok(body) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            witness.lock().unwrap_or_else(PoisonError::into_inner).add_checkpoint(&body, now)
        }
        Err(answer) => answer,
    };
    let Answer { status, media, body } = answer;
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} \r\nContent-Type: {media}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    stream.flush()
}

/// The body of a request for our one verb, or what to say instead.
fn asked(stream: &mut TcpStream) -> io::Result<Result<Vec<u8>, Answer>> {
    let until = Instant::now() + PATIENCE;
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if bytes.len() > HEAD_BYTES_MAX {
            return Ok(Err(refuse(431, "the request's head is too long")));
        }
        more(stream, &mut bytes, until)?;
    };
    let mut body = bytes.split_off(head_end);
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    match (words.next(), words.next()) {
        (Some("POST"), Some(path)) if path.ends_with("/add-checkpoint") => {}
        _ => return Ok(Err(refuse(404, "`POST /add-checkpoint` is all there is"))),
    }
    let length = lines.filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok()).flatten()
    });
    let Some(length) = length.filter(|length| *length <= BODY_BYTES_MAX) else {
        return Ok(Err(refuse(400, "a `Content-Length` of at most 65536 is needed")));
    };
    while body.len() < length {
        more(stream, &mut body, until)?;
    }
    body.truncate(length);
    Ok(Ok(body))
}

fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>, until: Instant) -> io::Result<()> {
    let mut part = [0; 4096];
    let read = stream.read(&mut part)?;
    if read == 0 || Instant::now() > until {
        return Err(io::ErrorKind::TimedOut.into());
    }
    bytes.extend_from_slice(part.get(..read).unwrap_or_default());
    Ok(())
}

const PATIENCE: Duration = Duration::from_secs(10);
const CALLERS_MAX: usize = 64;
const HEAD_BYTES_MAX: usize = 16 << 10;
const BODY_BYTES_MAX: usize = 64 << 10;
