//! Client messages whose content the session must know: names, and the text of statements.

use crate::{
    WireError,
    frame::{HEAD_BYTES, cstr},
};

/// Name, text, and what stands behind them.
type Parsed<'b> = (&'b [u8], &'b [u8], &'b [u8]);

/// `Parse`: name, text, and what stands behind them.
pub(crate) fn parse(body: &[u8]) -> Result<Parsed<'_>, WireError> {
    let malformed = WireError::Malformed { tag: b'P', what: "name or text without an end" };
    let (name, rest) = cstr(body).ok_or_else(|| malformed.clone())?;
    let (sql, types) = cstr(rest).ok_or(malformed)?;
    Ok((name, sql, types))
}

/// `Parse`, whole: count and types of its parameters, as they are behind its text.
pub(crate) fn parse_types(message: &[u8]) -> Option<&[u8]> {
    let (_, rest) = cstr(message.get(HEAD_BYTES..)?)?;
    let (_, types) = cstr(rest)?;
    Some(types)
}

/// `Query`: the text. Bytes after the first NUL are never read by a server, which refuses the message.
pub(crate) fn query(body: &[u8]) -> Result<&[u8], WireError> {
    let malformed = WireError::Malformed { tag: b'Q', what: "text without an end, or bytes after it" };
    match cstr(body) {
        Some((sql, [])) => Ok(sql),
        _ => Err(malformed),
    }
}

/// `Bind`: portal and statement, from the first bytes of the body; `None` while they are not whole.
pub(crate) fn bind(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (portal, rest) = cstr(body)?;
    let (statement, _) = cstr(rest)?;
    Some((portal, statement))
}

/// `Describe` and `Close`: whether of a statement (`S`) or portal (`P`), and its name.
pub(crate) fn named(tag: u8, body: &[u8]) -> Result<(bool, &[u8]), WireError> {
    match body.split_first() {
        Some((b'S', name)) => cstr(name).map(|(name, _)| (true, name)),
        Some((b'P', name)) => cstr(name).map(|(name, _)| (false, name)),
        _ => None,
    }
    .ok_or(WireError::Malformed { tag, what: "neither a statement nor a portal" })
}

/// `Execute`: the portal.
pub(crate) fn execute(body: &[u8]) -> Result<&[u8], WireError> {
    match cstr(body) {
        Some((portal, rest)) if rest.len() == 4 => Ok(portal),
        _ => Err(WireError::Malformed { tag: b'E', what: "portal or row limit missing" }),
    }
}

/// `FunctionCall`: the function's OID.
pub(crate) fn function(body: &[u8]) -> Result<u32, WireError> {
    body.first_chunk::<4>()
        .map(|oid| u32::from_be_bytes(*oid))
        .ok_or(WireError::Malformed { tag: b'F', what: "no function in it" })
}
