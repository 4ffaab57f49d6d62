//! Takes a text apart into statements: parsed by one hand, lexed by two, and compared; it never says what they do.

use super::Dialect;
use super::lexer::{Kind, Place, Token};
use super::simple::{self, Simple};
use crate::facts::Problem;
use sqlparser::ast::Statement;
use sqlparser::dialect::{BigQueryDialect, DatabricksDialect, Dialect as Grammar, SnowflakeDialect};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{self, TokenWithSpan, Tokenizer, Whitespace};

/// A statement, and where it stands.
pub(super) struct Piece<'t> {
    pub(super) body: Body,
    pub(super) start: usize,
    pub(super) end: usize,
    /// The character at which it begins, from 1.
    pub(super) position: usize,
    /// Its tokens, without comments.
    pub(super) tokens: Vec<&'t Token>,
}

/// How a statement was read.
pub(super) enum Body {
    /// By the parser.
    Parsed(Box<Statement>),
    /// By its words.
    Simple(Simple),
}

/// Refuses what would cost too much to read: depth of brackets, length of chains.
pub(super) fn bound(sql: &str, tokens: &[Token]) -> Result<(), Problem> {
    // For each open bracket, how many operators have been met since the last comma.
    let mut chains = vec![0usize];
    let mut cases = 0usize;
    for token in tokens {
        let word = sql.get(token.start..token.end).unwrap_or_default();
        match token.kind {
            Kind::Sign(b'(' | b'[' | b'{') => chains.push(0),
            Kind::Sign(b')' | b']' | b'}') if chains.len() > 1 => _ = chains.pop(),
            Kind::Sign(b',' | b';') => *chains.last_mut().unwrap_or(&mut 0) = 0,
            Kind::Word if word.eq_ignore_ascii_case("case") => cases += 1,
            Kind::Word if word.eq_ignore_ascii_case("end") => cases = cases.saturating_sub(1),
            Kind::Sign(b'.') | Kind::Comment => {}
            Kind::Sign(_) => *chains.last_mut().unwrap_or(&mut 0) += 1,
            Kind::Word if LINKS.iter().any(|link| word.eq_ignore_ascii_case(link)) => {
                *chains.last_mut().unwrap_or(&mut 0) += 1;
            }
            _ => {}
        }
        if chains.len() + cases > DEPTH_MAX {
            return Err(Problem::at(&format!("brackets nest deeper than {DEPTH_MAX}"), sql, token.start));
        }
        if chains.iter().rev().take(1).any(|chain| *chain > CHAIN_MAX) {
            let why = format!("more than {CHAIN_MAX} operators in one expression");
            return Err(Problem::at(&why, sql, token.start));
        }
    }
    Ok(())
}

/// The statements of a text.
pub(super) fn pieces<'t>(
    dialect: Dialect,
    sql: &str,
    tokens: &'t [Token],
) -> Result<Vec<Piece<'t>>, Problem> {
    let grammar: &dyn Grammar = match dialect {
        Dialect::Snowflake => &SnowflakeDialect,
        Dialect::Databricks => &DatabricksDialect,
        _ => &BigQueryDialect,
    };
    let theirs = Tokenizer::new(grammar, sql)
        .tokenize_with_location()
        .map_err(|error| Problem::at(&error.message, sql, byte_of(sql, place(error.location))))?;
    agree(sql, tokens, &theirs)?;
    let words: Vec<&'t Token> = tokens.iter().filter(|token| token.kind != Kind::Comment).collect();
    let at = |next: &TokenWithSpan| match next.token {
        tokenizer::Token::EOF => words.len(),
        _ => words.partition_point(|token| token.from < place(next.span.start)),
    };
    let (mut counted, mut position) = (0, 1);
    let mut parser =
        Parser::new(grammar).with_recursion_limit(RECURSION_MAX).with_tokens_with_locations(theirs);
    let mut pieces = Vec::new();
    loop {
        while parser.consume_token(&tokenizer::Token::SemiColon) {}
        let first = parser.peek_token();
        if first.token == tokenizer::Token::EOF {
            return Ok(pieces);
        }
        if pieces.len() == STATEMENTS_MAX {
            return Err(Problem::ours(&format!("more than {STATEMENTS_MAX} statements in a message")));
        }
        let begin = at(&first);
        let start = words.get(begin).map_or(sql.len(), |token| token.start);
        position += sql.get(counted..start).unwrap_or_default().chars().count();
        counted = start;
        let parsed = parser.parse_statement();
        let next = parser.peek_token();
        let ends = matches!(next.token, tokenizer::Token::EOF | tokenizer::Token::SemiColon);
        let (body, finish) = match parsed {
            Ok(statement) if ends => (Body::Parsed(Box::new(statement)), at(&next)),
            parsed => {
                let rest = words.get(begin..).unwrap_or_default();
                let length =
                    rest.iter().position(|token| token.kind == Kind::Sign(b';')).unwrap_or(rest.len());
                let Some(simple) = simple::read(dialect, sql, rest.get(..length).unwrap_or_default()) else {
                    return Err(unread(sql, start, parsed.err(), &words, at(&next)));
                };
                skip(&mut parser, words.get(begin + length).map(|token| token.from));
                (Body::Simple(simple), begin + length)
            }
        };
        let end = words.get(finish).map_or(sql.len(), |token| token.start);
        let tokens = words.get(begin..finish).unwrap_or_default().to_vec();
        pieces.push(Piece { body, start, end, position, tokens });
    }
}

/// Why a statement was read neither by the parser nor by its words.
fn unread(
    sql: &str,
    start: usize,
    error: Option<sqlparser::parser::ParserError>,
    words: &[&Token],
    next: usize,
) -> Problem {
    match error {
        Some(error) => Problem::at(&in_words(&error), sql, start),
        None => {
            let at = words.get(next).map_or(sql.len(), |token| token.start);
            Problem::at("text behind the end of a statement", sql, at)
        }
    }
}

/// Moves the parser to the semicolon at a place, before which or behind which it stands, or to the end.
fn skip(parser: &mut Parser<'_>, semicolon: Option<Place>) {
    let is_behind = |next: &TokenWithSpan, there: Place| {
        next.token == tokenizer::Token::EOF || place(next.span.start) > there
    };
    while semicolon.is_some_and(|there| is_behind(&parser.peek_token(), there)) {
        parser.prev_token();
    }
    loop {
        let next = parser.peek_token();
        let there = semicolon.is_some_and(|there| place(next.span.start) >= there);
        if there || next.token == tokenizer::Token::EOF {
            return;
        }
        parser.advance_token();
    }
}

/// Both lexers must have met the same words, names, texts and comments at the same places.
fn agree(sql: &str, ours: &[Token], theirs: &[TokenWithSpan]) -> Result<(), Problem> {
    let ours: Vec<(Kind, Place, Place)> = ours
        .iter()
        .filter(|token| matches!(token.kind, Kind::Word | Kind::Quoted | Kind::Text | Kind::Comment))
        .map(|token| {
            (token.kind, token.from, if token.kind == Kind::Comment { token.from } else { token.until })
        })
        .collect();
    let mut others: Vec<(Kind, Place, Place)> = Vec::with_capacity(ours.len());
    for (at, token) in theirs.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| theirs.get(before)).map(|token| &token.token);
        let marked = matches!(before, Some(tokenizer::Token::AtSign | tokenizer::Token::AtAt));
        let Some(kind) = kind_of(&token.token).filter(|kind| *kind != Kind::Word || !marked) else {
            continue;
        };
        let (from, until) = (place(token.span.start), place(token.span.end));
        others.push((kind, from, if kind == Kind::Comment { from } else { until }));
    }
    let differs = ours.iter().zip(&others).find(|(one, other)| one != other).map(|(one, _)| one.1);
    let rest = || ours.get(others.len()).or(others.get(ours.len())).map(|token| token.1);
    match differs.or_else(rest) {
        Some(place) => Err(Problem::at("a text that can be read in two ways", sql, byte_of(sql, place))),
        None => Ok(()),
    }
}

fn kind_of(token: &tokenizer::Token) -> Option<Kind> {
    use tokenizer::Token as Their;
    match token {
        Their::Word(word) if word.quote_style.is_some() => Some(Kind::Quoted),
        Their::Word(word) if word.value.starts_with('@') => None,
        Their::Word(_) => Some(Kind::Word),
        Their::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)) => {
            Some(Kind::Comment)
        }
        Their::SingleQuotedString(_)
        | Their::DoubleQuotedString(_)
        | Their::TripleSingleQuotedString(_)
        | Their::TripleDoubleQuotedString(_)
        | Their::DollarQuotedString(_)
        | Their::SingleQuotedByteStringLiteral(_)
        | Their::DoubleQuotedByteStringLiteral(_)
        | Their::TripleSingleQuotedByteStringLiteral(_)
        | Their::TripleDoubleQuotedByteStringLiteral(_)
        | Their::SingleQuotedRawStringLiteral(_)
        | Their::DoubleQuotedRawStringLiteral(_)
        | Their::TripleSingleQuotedRawStringLiteral(_)
        | Their::TripleDoubleQuotedRawStringLiteral(_)
        | Their::NationalStringLiteral(_)
        | Their::QuoteDelimitedStringLiteral(_)
        | Their::NationalQuoteDelimitedStringLiteral(_)
        | Their::EscapedStringLiteral(_)
        | Their::UnicodeStringLiteral(_)
        | Their::HexStringLiteral(_) => Some(Kind::Text),
        _ => None,
    }
}

fn place(location: tokenizer::Location) -> Place {
    (location.line, location.column)
}

/// The byte at a line and column; the end where there is no such place.
fn byte_of(sql: &str, wanted: Place) -> usize {
    let mut place: Place = (1, 1);
    for (at, character) in sql.char_indices() {
        if place >= wanted {
            return at;
        }
        place = if character == '\n' { (place.0 + 1, 1) } else { (place.0, place.1 + 1) };
    }
    sql.len()
}

fn in_words(error: &sqlparser::parser::ParserError) -> String {
    use sqlparser::parser::ParserError::{ParserError, RecursionLimitExceeded, TokenizerError};
    match error {
        ParserError(message) | TokenizerError(message) => {
            message.split(" at Line").next().unwrap_or_default().to_lowercase()
        }
        RecursionLimitExceeded => format!("expressions nest deeper than {RECURSION_MAX}"),
    }
}

/// Words that link two expressions, queries or tables, so that a long row of them makes a deep tree.
const LINKS: [&str; 20] = [
    "and",
    "or",
    "xor",
    "not",
    "in",
    "is",
    "like",
    "ilike",
    "rlike",
    "regexp",
    "between",
    "div",
    "union",
    "except",
    "intersect",
    "minus",
    "join",
    "collate",
    "at",
    "prior",
];
/// Most statements of a message.
const STATEMENTS_MAX: usize = 10_000;
/// Deepest brackets; some are read again for each level.
const DEPTH_MAX: usize = 60;
/// Most operators in one expression, which are levels of its tree.
const CHAIN_MAX: usize = 1_000;
/// Levels of the parser's own recursion.
const RECURSION_MAX: usize = 150;
