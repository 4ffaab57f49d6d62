//! The file of users: a name and a SCRAM verifier on each line, as PgBouncer's `userlist.txt`. It never takes a password
//! in clear.

use super::scram::Verifier;
use std::collections::BTreeMap;

/// Reads lines `"user" "SCRAM-SHA-256$…"`; a quote within quotes is doubled, `;` and `#` begin a comment.
///
/// # Errors
/// A line is something else, or names a user again; with its number.
pub(crate) fn parse(text: &str) -> Result<BTreeMap<String, Verifier>, String> {
    let mut users = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        let fail = |why: &str| format!("line {}: {why}", at + 1);
        let (user, rest) = quoted(line).ok_or_else(|| fail(SHAPE))?;
        let (verifier, rest) = quoted(rest.trim_start()).ok_or_else(|| fail(SHAPE))?;
        if !rest.trim().is_empty() || user.is_empty() {
            return Err(fail(SHAPE));
        }
        let verifier =
            Verifier::parse(&verifier).map_err(|why| fail(&format!("the secret of `{user}` {why}")))?;
        if users.insert(user.clone(), verifier).is_some() {
            return Err(fail(&format!("`{user}` stands here twice")));
        }
    }
    Ok(users)
}

/// Splits a quoted text off the front.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('"')?;
    let mut value = String::new();
    loop {
        let (before, after) = rest.split_once('"')?;
        value.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                value.push('"');
                rest = more;
            }
            None => return Some((value, after)),
        }
    }
}

const SHAPE: &str = "expected `\"user\" \"SCRAM-SHA-256$…\"`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_refused() {
        let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let verifier = format!("SCRAM-SHA-256$4096:c2FsdA==${key}:{key}");
        let good = format!("; of the shop\n\n\"ann\" \"{verifier}\"\n\"o\"\"neill\"  \"{verifier}\"\n");
        let users = parse(&good).unwrap_or_default();
        assert_eq!(users.keys().collect::<Vec<_>>(), ["ann", "o\"neill"]);
        for (line, why) in [
            ("\"ann\" \"secret\"".to_owned(), "`ann` is no SCRAM verifier"),
            ("ann secret".to_owned(), "expected"),
            (format!("\"\" \"{verifier}\""), "expected"),
            (format!("\"ann\" \"{verifier}\" x"), "expected"),
            (format!("\"ann\" \"{}\"", verifier.replace("4096", "10")), "iterations"),
            (format!("\"ann\" \"{}\"", verifier.replace("4096", "9999999")), "iterations"),
            (format!("\"ann\" \"{}\"", verifier.replace("c2FsdA", "?")), "salt"),
            (format!("\"ann\" \"{verifier}\"\n\"ann\" \"{verifier}\""), "twice"),
        ] {
            let error = parse(&line).err().unwrap_or_default();
            assert!(error.contains(why) && error.starts_with("line "), "{line}: {error}");
        }
    }
}
