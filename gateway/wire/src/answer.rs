//! Messages that the gateway says itself: errors and the poison that makes a server say one.

/// What a refused client reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// Five characters.
    pub sqlstate: &'a str,
    /// One line.
    pub message: &'a str,
    /// Rule, reason, what was found; left out when empty.
    pub detail: &'a str,
    /// What would be allowed, and the receipt; left out when empty.
    pub hint: &'a str,
    /// Character position in the statement, from 1.
    pub position: Option<u32>,
}

/// `ErrorResponse` with severity ERROR.
pub fn error_response(refusal: &Refusal<'_>) -> Vec<u8> {
    response("ERROR", refusal)
}

/// `ErrorResponse` with severity FATAL: the connection ends after it.
pub fn fatal_response(refusal: &Refusal<'_>) -> Vec<u8> {
    response("FATAL", refusal)
}

/// `NoticeResponse` with severity NOTICE.
pub fn notice_response(notice: &Refusal<'_>) -> Vec<u8> {
    let mut said = response("NOTICE", notice);
    if let Some(tag) = said.first_mut() {
        *tag = b'N';
    }
    said
}

/// `CommandComplete` with a command tag such as `SET`.
pub fn command_complete(tag: &str) -> Vec<u8> {
    let mut body = tag.as_bytes().to_vec();
    body.push(0);
    message(b'C', &body)
}

/// `ReadyForQuery` with a transaction status: `I`, `T` or `E`.
pub fn ready_for_query(status: u8) -> [u8; 6] {
    [b'Z', 0, 0, 0, 5, status]
}

fn response(severity: &str, refusal: &Refusal<'_>) -> Vec<u8> {
    let position = refusal.position.map(|position| position.to_string()).unwrap_or_default();
    let fields: [(u8, &str); 7] = [
        (b'S', severity),
        (b'V', severity),
        (b'C', refusal.sqlstate),
        (b'M', refusal.message),
        (b'D', refusal.detail),
        (b'H', refusal.hint),
        (b'P', &position),
    ];
    let mut body = Vec::with_capacity(256);
    for (field, value) in fields {
        if !value.is_empty() {
            body.push(field);
            body.extend(value.bytes().filter(|byte| *byte != 0));
            body.push(0);
        }
    }
    body.push(0);
    message(b'E', &body)
}

/// A simple query that no server can parse; `token` shows in the server's log.
pub(crate) fn poison_query(token: &str) -> Vec<u8> {
    let mut body = poison_text(token).into_bytes();
    body.push(0);
    message(b'Q', &body)
}

/// A `Parse` of the unnamed statement that no server can parse.
pub(crate) fn poison_parse(token: &str) -> Vec<u8> {
    let mut body = vec![0];
    body.extend(poison_text(token).bytes());
    body.extend([0, 0, 0]);
    message(b'P', &body)
}

/// SQLSTATE with which a server answers the poison.
pub(crate) const POISON_SQLSTATE: &[u8] = b"42601";

fn poison_text(token: &str) -> String {
    format!("clyra refused this statement ({token})")
}

/// One message: tag, length, body.
pub(crate) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    let mut message = Vec::with_capacity(body.len() + 5);
    message.push(tag);
    message.extend(length.to_be_bytes());
    message.extend(body);
    message
}
