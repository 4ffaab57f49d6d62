//! What of a statement would outlive its transaction in the server's session, and so reach somebody else's. It judges
//! no right and no wrong: in doubt it says that the session must stay with its client.
//!
//! Known hole: what functions, triggers and `DO` bodies leave behind inside the server is seen only where the server
//! reports a changed setting.

use clyra_policy::{Facts, Setting, StatementFacts};
use clyra_spec::Verb;

/// What a message leaves in the server's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    Nothing,
    /// Settings that the server can be asked for, and another session given.
    Settings,
    /// Something that stays in this one session; why.
    Session(&'static str),
}

/// What a message leaves behind; `sql` is its text where it is known.
pub(crate) fn keeps(facts: &Facts, sql: Option<&[u8]>) -> Keeps {
    if facts.problem.as_ref().is_some_and(|problem| !problem.syntax) {
        return Keeps::Session("it is not understood, so that nobody knows what it leaves in the session");
    }
    let mut kept = Keeps::Nothing;
    for statement in &facts.statements {
        match of_statement(statement, sql) {
            Keeps::Nothing => {}
            Keeps::Settings => kept = Keeps::Settings,
            why @ Keeps::Session(_) => return why,
        }
    }
    kept
}

fn of_statement(facts: &StatementFacts, sql: Option<&[u8]>) -> Keeps {
    let has = |verb| facts.verb == verb || facts.verbs.contains(verb);
    if facts.prepares.is_some() || facts.executes.is_some() {
        return Keeps::Session(
            "PREPARE and EXECUTE name a statement of one server session; prepare by the protocol",
        );
    }
    for function in &facts.functions {
        if let why @ Keeps::Session(_) = of_function(function) {
            return why;
        }
    }
    if facts.reads.iter().chain(&facts.writes).any(|table| table.starts_with("pg_temp")) {
        return Keeps::Session(TEMPORARY);
    }
    let text = || sql.map(|sql| text_of(facts, sql));
    if !facts.settings.is_empty() || has(Verb::Set) {
        return of_settings(facts, &text());
    }
    // Everything below is rare: the text is read only for it.
    if has(Verb::Listen) {
        return unless(text().as_deref(), &["unlisten"], "LISTEN belongs to one server session");
    }
    let makes = has(Verb::Create) || facts.tags.iter().any(|tag| &**tag == "select_into");
    if makes && text().is_none_or(|text| ["temp", "temporary"].iter().any(|word| has_word(&text, word))) {
        return Keeps::Session(TEMPORARY);
    }
    match text() {
        Some(text) if text.contains("hold") && first_words(&text).first() == Some(&"declare") => {
            Keeps::Session("a cursor WITH HOLD outlives its transaction")
        }
        Some(text) if text.contains("load") && first_words(&text).first() == Some(&"load") => {
            Keeps::Session("LOAD belongs to one server session")
        }
        _ => Keeps::Nothing,
    }
}

fn of_settings(facts: &StatementFacts, text: &Option<String>) -> Keeps {
    let words = text.as_deref().map(first_words).unwrap_or_default();
    let locally = matches!(words.as_slice(), ["set", "local" | "transaction" | "constraints", ..])
        || matches!(words.as_slice(), ["begin" | "start", ..]);
    if locally && facts.functions.is_empty() {
        return Keeps::Nothing;
    }
    let hidden = facts.settings.iter().any(|setting| match setting {
        // The server does not list these.
        Setting::Named { name, .. } => {
            name.contains('.')
                || matches!(&**name, "role" | "session_authorization" | "is_superuser" | "seed")
        }
        Setting::Unknown => true,
        Setting::All => false,
    });
    if hidden {
        return Keeps::Session(
            "it sets what only this server session knows; use SET LOCAL, or start-up options",
        );
    }
    Keeps::Settings
}

fn of_function(name: &str) -> Keeps {
    let name = name.rsplit('.').next().unwrap_or(name);
    match name {
        "pg_advisory_lock"
        | "pg_advisory_lock_shared"
        | "pg_try_advisory_lock"
        | "pg_try_advisory_lock_shared" => {
            Keeps::Session("a session's advisory lock outlives its transaction; use pg_advisory_xact_lock")
        }
        "lastval" | "currval" => {
            Keeps::Session("it asks for a number that a server session remembers; use RETURNING")
        }
        "dblink_connect" | "dblink_connect_u" | "setseed" | "lo_open" => {
            Keeps::Session("what it opens or sets belongs to one server session")
        }
        _ => Keeps::Nothing,
    }
}

fn unless(text: Option<&str>, words: &[&str], why: &'static str) -> Keeps {
    let first = text.map(first_words).unwrap_or_default();
    if first.first().is_some_and(|word| words.contains(word)) { Keeps::Nothing } else { Keeps::Session(why) }
}

/// The part of a message that is this statement, in lower case.
fn text_of(facts: &StatementFacts, sql: &[u8]) -> String {
    let text = String::from_utf8_lossy(sql);
    let (start, length) = (facts.span.0 as usize, facts.span.1 as usize);
    // A length of zero is the grammar's word for "to the end".
    let end = if length == 0 { text.len() } else { start.saturating_add(length) };
    text.get(start..end).unwrap_or(&text).to_ascii_lowercase()
}

/// The first two words behind white space and comments.
fn first_words(mut text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    while words.len() < 2 {
        text = text.trim_start_matches(|char: char| char.is_ascii_whitespace() || char == ';' || char == '(');
        if let Some(comment) = text.strip_prefix("--") {
            text = comment.split_once('\n').map_or("", |(_, rest)| rest);
        } else if text.starts_with("/*") {
            match behind_comment(text) {
                Some(rest) => text = rest,
                None => break,
            }
        } else {
            let end =
                text.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(text.len());
            let (word, rest) = text.split_at(end);
            if word.is_empty() {
                break;
            }
            words.push(word);
            text = rest;
        }
    }
    words
}

/// What follows a comment, which may hold others; `None` where it has no end.
fn behind_comment(text: &str) -> Option<&str> {
    let mut depth = 0_usize;
    let mut rest = text;
    loop {
        let (open, close) = (rest.find("/*"), rest.find("*/")?);
        match open {
            Some(open) if open < close => {
                depth += 1;
                rest = rest.get(open + 2..)?;
            }
            _ => {
                depth = depth.checked_sub(1)?;
                rest = rest.get(close + 2..)?;
                if depth == 0 {
                    return Some(rest);
                }
            }
        }
    }
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_').any(|one| one == word)
}

const TEMPORARY: &str = "temporary tables and views belong to one server session";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_outlives_a_transaction_is_named() {
        let kept = |sql: &str| keeps(&Facts::of_postgres(sql.as_bytes()), Some(sql.as_bytes()));
        for sql in [
            "set role bob",
            "select 1; set x.y = 1",
            "set session authorization bob",
            "select pg_catalog.pg_advisory_lock(1)",
            "listen news",
            "prepare p as select 1",
            "execute p",
            "create temp table t (id int)",
            "create temporary view v as select 1",
            "create temp table t as select 1",
            "select 1 into temp t",
            "insert into pg_temp.t values (1)",
            "/* a /* b */ */ -- c\n declare c cursor with hold for select 1",
            "load 'auto_explain'",
            "select lastval()",
            "select set_config(a, b, false) from t",
        ] {
            assert!(matches!(kept(sql), Keeps::Session(_)), "{sql}");
        }
        for sql in [
            "set search_path = a",
            "/* a /* b */ */ -- c\n SET extra_float_digits to 1",
            "set session characteristics as transaction read only",
            "select set_config('search_path', '', false)",
            "reset all",
            "discard all",
        ] {
            assert_eq!(kept(sql), Keeps::Settings, "{sql}");
        }
        for sql in [
            "select 1",
            "",
            "set local search_path = a",
            "set local app.tenant_id = '7'",
            "begin; set transaction read only; commit",
            "set constraints all deferred",
            "unlisten *",
            "begin isolation level serializable",
            "select pg_advisory_xact_lock(1), pg_advisory_unlock_all()",
            "create table temperature (temp_c int)",
            "declare c cursor for select 1",
            "notify news",
            "selec 1",
        ] {
            assert_eq!(kept(sql), Keeps::Nothing, "{sql}");
        }
    }
}
