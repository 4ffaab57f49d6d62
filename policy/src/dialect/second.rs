//! The second reader, which knows words only: names that the tree must have met, and the shape of a statement. It never
//! says what a statement does.

use super::lexer::Kind;
use super::parse::Piece;
use std::collections::BTreeSet;

/// The byte of a name behind FROM, JOIN, INTO or TABLE that was not met in the tree: words that read otherwise hide it.
pub(super) fn overlooked(sql: &str, piece: &Piece<'_>, met: &BTreeSet<String>) -> Option<usize> {
    let text =
        |at: usize| piece.tokens.get(at).and_then(|token| sql.get(token.start..token.end)).unwrap_or("");
    let lower = |at: usize| text(at).to_lowercase();
    // Words before the brackets that are open.
    let mut open: Vec<String> = Vec::new();
    for (at, token) in piece.tokens.iter().enumerate() {
        match token.kind {
            Kind::Sign(b'(') => open.push(at.checked_sub(1).map(lower).unwrap_or_default()),
            Kind::Sign(b')') => _ = open.pop(),
            Kind::Word if matches!(lower(at).as_str(), "from" | "into" | "join" | "table") => {}
            _ => continue,
        }
        if token.kind != Kind::Word {
            continue;
        }
        let word = lower(at);
        let before = at.checked_sub(1).map(lower).unwrap_or_default();
        let within = word == "from" && open.last().is_some_and(|name| TAKES_FROM.contains(&name.as_str()));
        let named = before == "." || (word == "from" && before == "distinct");
        let Some(next) = piece.tokens.get(at + 1).filter(|_| !within && !named) else { continue };
        if !matches!(next.kind, Kind::Word | Kind::Quoted) || NO_NAMES.contains(&lower(at + 1).as_str()) {
            continue;
        }
        // The last part of the dotted name.
        let mut last = at + 1;
        while matches!(text(last + 1), "." | "-") {
            last += if text(last + 2) == "." { 3 } else { 2 };
        }
        let name = lower(last);
        let name = name.trim_matches(['"', '`']).replace("\"\"", "\"");
        let name = name.rsplit('.').next().unwrap_or_default().trim_matches('"');
        if !met.contains(name) {
            return Some(next.start);
        }
    }
    None
}

/// The words of a statement with its values left out.
pub(super) fn shape(sql: &str, piece: &Piece<'_>) -> Vec<u8> {
    let mut shape = Vec::with_capacity(piece.end - piece.start);
    for token in &piece.tokens {
        let text = sql.get(token.start..token.end).unwrap_or_default();
        match token.kind {
            Kind::Text | Kind::Other => shape.push(b'?'),
            Kind::Word => shape.extend(text.bytes().map(|byte| byte.to_ascii_lowercase())),
            _ => shape.extend_from_slice(text.as_bytes()),
        }
        shape.push(b' ');
    }
    shape
}

/// Functions in whose brackets FROM stands before a value.
const TAKES_FROM: [&str; 7] = ["extract", "ltrim", "overlay", "rtrim", "substr", "substring", "trim"];
/// Key words behind FROM, JOIN, INTO or TABLE that are no names.
const NO_NAMES: [&str; 11] =
    ["as", "from", "if", "function", "lateral", "overwrite", "select", "table", "unnest", "values", "with"];
