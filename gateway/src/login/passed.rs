//! Logins that are passed through: leaves out the one offer that cannot hold there, and never proves anything itself.

use bytes::{BufMut as _, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Reads the server's first answer into `heard`, and takes `SCRAM-SHA-256-PLUS` out of what it offers: a client's proof
/// would be bound to the gateway's certificate, or to none, and never to the server's.
///
/// # Errors
/// The server cannot be read.
pub(crate) async fn without_binding<S: AsyncRead + Unpin>(
    server: &mut S,
    heard: &mut BytesMut,
) -> io::Result<()> {
    let mut passed = 0;
    loop {
        let rest = heard.get(passed..).unwrap_or_default();
        match answer(rest) {
            Answer::More => {
                if server.read_buf(heard).await? == 0 {
                    return Ok(());
                }
            }
            Answer::Aside(bytes) => passed += bytes,
            Answer::Offer(bytes) => {
                let offer = unbound(rest.get(..bytes).unwrap_or_default());
                let behind = heard.split_off(passed + bytes);
                heard.truncate(passed);
                heard.extend_from_slice(&offer);
                heard.unsplit(behind);
                return Ok(());
            }
            Answer::Other => return Ok(()),
        }
    }
}

/// What stands at the front of the server's bytes.
enum Answer {
    /// It is not whole.
    More,
    /// A notice, or word of another protocol version; so many bytes.
    Aside(usize),
    /// An `AuthenticationSASL`; so many bytes.
    Offer(usize),
    /// Anything else.
    Other,
}

fn answer(bytes: &[u8]) -> Answer {
    let [tag, a, b, c, d, ..] = *bytes else { return Answer::More };
    let total = u32::from_be_bytes([a, b, c, d]) as usize + 1;
    if !matches!(tag, b'N' | b'v' | b'R') || !(5..=ANSWER_BYTES_MAX).contains(&total) {
        return Answer::Other;
    }
    match bytes.get(5..total) {
        None => Answer::More,
        Some(_) if tag != b'R' => Answer::Aside(total),
        Some([0, 0, 0, SASL, ..]) => Answer::Offer(total),
        Some(_) => Answer::Other,
    }
}

/// The offer without mechanisms that bind to a channel.
fn unbound(offer: &[u8]) -> BytesMut {
    let mechanisms = offer.get(9..).unwrap_or_default().split(|byte| *byte == 0);
    let mut body = BytesMut::new();
    for mechanism in mechanisms.filter(|name| !name.is_empty() && !name.ends_with(b"-PLUS")) {
        body.extend_from_slice(mechanism);
        body.put_u8(0);
    }
    body.put_u8(0);
    let mut message = BytesMut::new();
    message.put_u8(b'R');
    message.put_u32(u32::try_from(body.len() + 8).unwrap_or(u32::MAX));
    message.put_u32(u32::from(SASL));
    message.extend_from_slice(&body);
    message
}

/// Code of `AuthenticationSASL`.
const SASL: u8 = 10;
/// No first answer of a server is longer.
const ANSWER_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_offer_to_bind_is_left_out() {
        let offer = |names: &str| {
            let mut offer = vec![b'R', 0, 0, 0, u8::try_from(names.len() + 8).unwrap(), 0, 0, 0, 10];
            offer.extend(names.bytes());
            offer
        };
        let plus = offer("SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
        let bare = offer("SCRAM-SHA-256\0\0");
        let notice = b"N\0\0\0\x05\0".to_vec();
        let ok = b"R\0\0\0\x08\0\0\0\0S\0\0\0\x04".to_vec();
        for (said, expected) in [
            ([notice.clone(), plus.clone()].concat(), [notice.clone(), bare.clone()].concat()),
            ([plus, b"x".to_vec()].concat(), [bare, b"x".to_vec()].concat()),
            (ok.clone(), ok),
            (b"E\0\0".to_vec(), b"E\0\0".to_vec()),
        ] {
            let mut heard = BytesMut::new();
            without_binding(&mut said.as_slice(), &mut heard).await.unwrap();
            assert_eq!(heard.escape_ascii().to_string(), expected.escape_ascii().to_string());
        }
    }
}
