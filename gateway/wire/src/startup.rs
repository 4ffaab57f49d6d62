//! The first bytes of a connection: what the client wants to open. It never opens anything.

use crate::{WireError, frame::cstr};

/// What a client's first packet asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// `SSLRequest`: is TLS spoken here?
    Tls,
    /// `GSSENCRequest`: is GSSAPI encryption spoken here?
    Gss,
    /// `CancelRequest`, to be passed on as it is.
    Cancel,
    /// A session.
    Startup(Startup),
}

/// A `StartupMessage`, protocol 3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Startup {
    /// Minor version asked for.
    pub minor: u16,
    /// Parameters in the order sent.
    pub parameters: Vec<(String, String)>,
}

impl Startup {
    /// The last value given for a parameter, as the server would take it.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Settings given by `options` (`-c name=value`, `--name=value`) and by dotted start-up parameters.
    pub fn settings(&self) -> Vec<(String, String)> {
        let mut settings: Vec<(String, String)> =
            self.parameter("options").map(option_settings).unwrap_or_default();
        settings.retain(|(name, _)| !name.is_empty());
        settings.extend(self.parameters.iter().filter(|(key, _)| key.contains('.')).cloned());
        settings
    }

    /// Everything that the server would take for a setting of the session. What stands in `options` and is none that is
    /// read here has an empty name.
    pub fn every_setting(&self) -> Vec<(String, String)> {
        let mut settings: Vec<(String, String)> =
            self.parameter("options").map(option_settings).unwrap_or_default();
        let other = |key: &str| NO_SETTINGS.contains(&key) || key.starts_with("_pq_.");
        settings.extend(self.parameters.iter().filter(|(key, _)| !other(key)).cloned());
        settings
    }
}

/// Reads the packet at the front of `bytes`; gives it and its length, or `None` while it is not whole.
///
/// The length is bounded to 10,000 bytes, PostgreSQL's own limit (`MAX_STARTUP_PACKET_LENGTH`).
pub fn opening(bytes: &[u8]) -> Result<Option<(Opening, usize)>, WireError> {
    let Some((length, rest)) = split_u32(bytes) else { return Ok(None) };
    if !(8..=STARTUP_BYTES_MAX).contains(&length) {
        return Err(WireError::Length { tag: 0, length });
    }
    let total = length as usize;
    let Some(packet) = rest.get(..total - 4) else { return Ok(None) };
    let Some((code, body)) = split_u32(packet) else { return Ok(None) };
    let opening = match code {
        TLS_CODE if body.is_empty() => Opening::Tls,
        GSS_CODE if body.is_empty() => Opening::Gss,
        CANCEL_CODE if (8..=260).contains(&body.len()) => Opening::Cancel,
        TLS_CODE | GSS_CODE | CANCEL_CODE => return Err(malformed("request of a wrong length")),
        _ if code >> 16 == 3 => {
            let minor = u16::try_from(code & 0xffff).unwrap_or(u16::MAX);
            Opening::Startup(Startup { minor, parameters: parameters(body)? })
        }
        _ => return Err(malformed("unsupported protocol version, 3.0 to 3.2 are spoken here")),
    };
    Ok(Some((opening, total)))
}

fn parameters(mut body: &[u8]) -> Result<Vec<(String, String)>, WireError> {
    let mut parameters = Vec::new();
    loop {
        let (name, rest) = cstr(body).ok_or_else(|| malformed("start-up parameters without an end"))?;
        if name.is_empty() {
            return if rest.is_empty() {
                Ok(parameters)
            } else {
                Err(malformed("bytes after the parameters"))
            };
        }
        let (value, rest) = cstr(rest).ok_or_else(|| malformed("start-up parameter without a value"))?;
        parameters
            .push((String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(value).into_owned()));
        body = rest;
    }
}

/// Splits `options` as the server does: white space separates, a backslash takes the next character as it is; in a name
/// `-` is `_`. A word that is none of these settings is given with an empty name.
fn option_settings(options: &str) -> Vec<(String, String)> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut chars = options.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => word.extend(chars.next()),
            c if c.is_ascii_whitespace() => {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)))
            }
            c => word.push(c),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    let mut settings = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let pair = match word.strip_prefix("-c") {
            Some("") => words.next(),
            Some(glued) => Some(glued.to_owned()),
            None => word.strip_prefix("--").map(str::to_owned),
        };
        settings.push(match pair.as_deref().and_then(|pair| pair.split_once('=')) {
            Some((name, value)) => (name.replace('-', "_"), value.to_owned()),
            None => (String::new(), word),
        });
    }
    settings
}

fn split_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*head), rest))
}

fn malformed(what: &'static str) -> WireError {
    WireError::Malformed { tag: 0, what }
}

/// Parameters of the packet that are about the connection.
const NO_SETTINGS: [&str; 4] = ["user", "database", "options", "replication"];
const STARTUP_BYTES_MAX: u32 = 10_000;
const TLS_CODE: u32 = 80_877_103;
const GSS_CODE: u32 = 80_877_104;
const CANCEL_CODE: u32 = 80_877_102;

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(code: u32, body: &[u8]) -> Vec<u8> {
        let mut packet = u32::try_from(body.len() + 8).unwrap().to_be_bytes().to_vec();
        packet.extend(code.to_be_bytes());
        packet.extend(body);
        packet
    }

    #[test]
    fn requests_are_told_apart() {
        assert_eq!(opening(&packet(TLS_CODE, b"")), Ok(Some((Opening::Tls, 8))));
        assert_eq!(opening(&packet(GSS_CODE, b"")), Ok(Some((Opening::Gss, 8))));
        assert_eq!(opening(&packet(CANCEL_CODE, &[0; 8])), Ok(Some((Opening::Cancel, 16))));
        assert_eq!(
            opening(&packet(CANCEL_CODE, &[0; 36])),
            Ok(Some((Opening::Cancel, 44))),
            "long keys of 3.2"
        );
        assert!(opening(&packet(CANCEL_CODE, &[0; 3])).is_err());
        assert!(opening(&packet(0x0002_0000, b"\0")).is_err(), "version 2");
        assert_eq!(opening(&packet(TLS_CODE, b"")[..5]), Ok(None));
        assert!(opening(&[0x7f, 0, 0, 0]).is_err(), "a length that nobody will send");
    }

    #[test]
    fn parameters_and_settings_are_read() {
        let body =
            b"user\0ann\0options\0-c clyra.run_id=r\\ 1 --search-path=a -cx=y\0clyra.payout_ref\0p\0\0";
        let Ok(Some((Opening::Startup(startup), _))) = opening(&packet(0x0003_0000, body)) else { panic!() };
        assert_eq!(startup.parameter("user"), Some("ann"));
        let settings = startup.settings();
        let setting = |name: &str| settings.iter().find(|(key, _)| key == name).map(|(_, v)| v.as_str());
        assert_eq!(setting("clyra.run_id"), Some("r 1"));
        assert_eq!(setting("search_path"), Some("a"));
        assert_eq!(setting("x"), Some("y"));
        assert_eq!(setting("clyra.payout_ref"), Some("p"));
        assert!(opening(&packet(0x0003_0000, b"user\0ann")).is_err());
    }

    #[test]
    fn every_setting_is_found_or_said_to_be_odd() {
        let body =
            b"user\0ann\0options\0-c client-encoding=a-b -ec role=x -c --role\0role\0boss\0_pq_.x\0y\0\0";
        let Ok(Some((Opening::Startup(startup), _))) = opening(&packet(0x0003_0000, body)) else { panic!() };
        let all = startup.every_setting();
        let all: Vec<(&str, &str)> =
            all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let odd = [("", "-ec"), ("", "role=x"), ("", "-c")];
        assert_eq!(all, [&[("client_encoding", "a-b")][..], &odd, &[("role", "boss")]].concat());
    }
}
