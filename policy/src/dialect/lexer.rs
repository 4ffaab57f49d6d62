//! A lexer of our own for the warehouse dialects: where texts, quoted names, words and comments stand. What it doubts it
//! says, and it never agrees to a reading that a server might not share.

use super::Dialect;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An unquoted name or key word.
    Word,
    /// A quoted name.
    Quoted,
    /// A text.
    Text,
    /// A number, a variable, a parameter or a stage.
    Other,
    /// One sign.
    Sign(u8),
    /// A comment.
    Comment,
}

/// Line and column in characters, both from 1.
pub(super) type Place = (u64, u64);

/// A token, where it stands in bytes and in lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) from: Place,
    pub(super) until: Place,
}

/// All tokens of a text, comments too.
///
/// # Errors
/// What is doubtful, and at which byte.
pub(super) fn tokens(dialect: Dialect, sql: &str) -> Result<Vec<Token>, (&'static str, usize)> {
    let mut lexer = Lexer { dialect, sql, bytes: sql.as_bytes(), at: 0, place: (1, 1), told: 0 };
    let mut tokens = Vec::new();
    while let Some(start) = lexer.begin() {
        let from = lexer.place_of(start);
        let kind = lexer.token().map_err(|why| (why, start))?;
        let end = lexer.at.max(start + 1).min(sql.len());
        lexer.at = end;
        let until = lexer.place_of(end);
        tokens.push(Token { kind, start, end, from, until });
        if tokens.len() > TOKENS_MAX {
            return Err(("more than 1,000,000 words and signs", start));
        }
    }
    match sql.bytes().position(|byte| byte == 0) {
        Some(at) => Err(("a zero byte", at)),
        None => Ok(tokens),
    }
}

struct Lexer<'s> {
    dialect: Dialect,
    sql: &'s str,
    bytes: &'s [u8],
    at: usize,
    /// The place of the byte `told`.
    place: Place,
    told: usize,
}

impl Lexer<'_> {
    /// Moves past white space; the byte of the next token.
    fn begin(&mut self) -> Option<usize> {
        while matches!(self.peek(0), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        (self.at < self.bytes.len()).then_some(self.at)
    }

    fn token(&mut self) -> Result<Kind, &'static str> {
        let first = self.peek(0).unwrap_or_default();
        match (first, self.peek(1)) {
            (b'-', Some(b'-')) => self.line_comment(),
            (b'/', Some(b'/')) if self.dialect == Dialect::Snowflake => self.line_comment(),
            (b'#', _) if self.dialect == Dialect::BigQuery => self.line_comment(),
            (b'#', _) => Err("a `#`, which is no comment in this dialect"),
            (b'/', Some(b'*')) => self.block_comment(),
            (b'\'' | b'"', _) => self.quote(0, false),
            (b'`', _) if self.dialect == Dialect::Snowflake => {
                Err("a backtick, which quotes nothing in this dialect")
            }
            (b'`', _) => self.backtick(),
            (b'$', Some(b'$')) if self.dialect == Dialect::Snowflake => self.dollars(),
            (b'$', Some(b'{')) => Err("a `${`, whose value the server puts in"),
            (b'{', Some(b'{')) => Err("a `{{`, whose value a program puts in"),
            (b'$' | b'@', Some(next)) if is_word(next) || next.is_ascii_digit() || next == b'@' => {
                self.at += 2;
                self.skip_while(|byte| is_word(byte) || byte.is_ascii_digit());
                Ok(Kind::Other)
            }
            (b'0'..=b'9', _) | (b'.', Some(b'0'..=b'9')) => {
                self.number();
                Ok(Kind::Other)
            }
            _ if is_word(first) => self.word(),
            (0x20..0x7f, _) => {
                self.at += 1;
                Ok(Kind::Sign(first))
            }
            _ => Err("a character that stands only in quotes"),
        }
    }

    fn word(&mut self) -> Result<Kind, &'static str> {
        let start = self.at;
        let dollar = self.dialect == Dialect::Snowflake;
        self.skip_while(|byte| is_word(byte) || byte.is_ascii_digit() || (dollar && byte == b'$'));
        let word = self.sql.get(start..self.at).unwrap_or_default().to_ascii_lowercase();
        if !matches!(self.peek(0), Some(b'\'' | b'"')) || word.len() > 2 {
            return Ok(Kind::Word);
        }
        // A short word right before a quote may change how the text is read.
        match (self.dialect, word.as_str()) {
            (Dialect::BigQuery, "r" | "b" | "rb" | "br") | (Dialect::Databricks, "r") => {
                self.quote(0, word.contains('r'))
            }
            (Dialect::Databricks | Dialect::Snowflake, "x") => self.quote(0, false),
            _ => Err("a short word right before a quote"),
        }
    }

    /// A text or a quoted name in `'` or `"`.
    fn quote(&mut self, prefix: usize, raw: bool) -> Result<Kind, &'static str> {
        self.at += prefix;
        let quote = self.peek(0).unwrap_or_default();
        let name = quote == b'"' && self.dialect == Dialect::Snowflake;
        let triple =
            self.dialect == Dialect::BigQuery && self.peek(1) == Some(quote) && self.peek(2) == Some(quote);
        self.at += if triple { 3 } else { 1 };
        // BigQuery's raw texts do not end at a quote behind a backslash, either.
        let escapes = !name && (!raw || self.dialect == Dialect::BigQuery);
        let doubles = self.dialect != Dialect::BigQuery && !raw;
        loop {
            let byte = self.peek(0).ok_or("a quote that is never closed")?;
            match byte {
                b'\\' if escapes => self.at += 2,
                _ if byte != quote => self.at += 1,
                _ if triple && !(self.peek(1) == Some(quote) && self.peek(2) == Some(quote)) => self.at += 1,
                _ if triple => {
                    self.at += 3;
                    break;
                }
                _ if doubles && self.peek(1) == Some(quote) => self.at += 2,
                _ => {
                    self.at += 1;
                    break;
                }
            }
        }
        if self.peek(0) == Some(quote) {
            return Err("a quote right behind another");
        }
        Ok(if name { Kind::Quoted } else { Kind::Text })
    }

    fn backtick(&mut self) -> Result<Kind, &'static str> {
        self.at += 1;
        loop {
            match self.peek(0).ok_or("a backtick that is never closed")? {
                b'\\' if self.dialect == Dialect::BigQuery => return Err("a backslash in a quoted name"),
                b'`' if self.peek(1) == Some(b'`') => return Err("a backtick in a quoted name"),
                b'`' => break,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Ok(Kind::Quoted)
    }

    fn dollars(&mut self) -> Result<Kind, &'static str> {
        let rest = self.sql.get(self.at + 2..).unwrap_or_default();
        let end = rest.find("$$").ok_or("a `$$` that is never closed")?;
        self.at += end + 4;
        Ok(Kind::Text)
    }

    fn line_comment(&mut self) -> Result<Kind, &'static str> {
        self.skip_while(|byte| byte != b'\n' && byte != b'\r');
        let before = self.at.checked_sub(1).and_then(|last| self.bytes.get(last));
        if self.dialect == Dialect::Databricks && before == Some(&b'\\') {
            return Err("a comment that goes on behind a backslash");
        }
        if self.peek(0) == Some(b'\r') && self.peek(1) != Some(b'\n') {
            return Err("a comment that ends at a carriage return");
        }
        Ok(Kind::Comment)
    }

    fn block_comment(&mut self) -> Result<Kind, &'static str> {
        let rest = self.sql.get(self.at + 2..).unwrap_or_default();
        let end = rest.find("*/").ok_or("a comment that is never closed")?;
        if rest.get(..end).unwrap_or_default().contains("/*") {
            return Err("a comment inside a comment");
        }
        self.at += end + 4;
        Ok(Kind::Comment)
    }

    fn number(&mut self) {
        self.skip_while(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_');
        let last = self.at.checked_sub(1).and_then(|last| self.bytes.get(last));
        if matches!(last, Some(b'e' | b'E')) && matches!(self.peek(0), Some(b'+' | b'-')) {
            self.at += 1;
            self.skip_while(|byte| byte.is_ascii_digit());
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn skip_while(&mut self, keep: impl Fn(u8) -> bool) {
        while self.peek(0).is_some_and(&keep) {
            self.at += 1;
        }
    }

    /// Line and column of a byte that is not before the last one asked for.
    fn place_of(&mut self, at: usize) -> Place {
        for character in self.sql.get(self.told..at).unwrap_or_default().chars() {
            self.place =
                if character == '\n' { (self.place.0 + 1, 1) } else { (self.place.0, self.place.1 + 1) };
        }
        self.told = at;
        self.place
    }
}

/// Most words and signs of a message.
const TOKENS_MAX: usize = 1_000_000;

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::super::Dialect::{self, BigQuery, Databricks, Snowflake};
    use super::{Kind, tokens};

    fn told(dialect: Dialect, sql: &str) -> String {
        match tokens(dialect, sql) {
            Err((why, at)) => format!("{at}: {why}"),
            Ok(tokens) => {
                let text = |kind: Kind| match kind {
                    Kind::Word => 'w',
                    Kind::Quoted => 'q',
                    Kind::Text => 't',
                    Kind::Other => 'o',
                    Kind::Sign(sign) => char::from(sign),
                    Kind::Comment => 'c',
                };
                tokens.iter().map(|token| text(token.kind)).collect()
            }
        }
    }

    #[test]
    fn each_dialect_has_quotes_and_comments_of_its_own() {
        for (dialect, sql, tokens) in [
            (Snowflake, r#"a "b""c" 'd''e\'f' $$g'$$ -- h"#, "wqttc"),
            (Snowflake, "a // 'x\n, $1, @s", "wc,o,o"),
            (Databricks, r#"a "b\"c" 'd' `e f` r'g\' -- h"#, "wttqtc"),
            (BigQuery, r##"a "b" '''c'd''' r"e\"f" `g.h` # i"##, "wtttqc"),
            (BigQuery, "@p + @@q", "o+o"),
            (Snowflake, "1.5e-3 .5 0x1f", "ooo"),
        ] {
            assert_eq!(told(dialect, sql), tokens, "{sql}");
        }
    }

    #[test]
    fn what_is_doubtful_is_said() {
        for (dialect, sql) in [
            (Snowflake, "select `a`"),
            (Snowflake, "select 1 # a"),
            (Snowflake, "select $$ a"),
            (Snowflake, "select n'a'"),
            (Snowflake, "select 'a"),
            (Databricks, "select 1 -- a \\\n, 2"),
            (Databricks, "select ${a}"),
            (Databricks, "select `a``b`"),
            (BigQuery, "select 'a''b'"),
            (BigQuery, "select 1 -- a\r, 2"),
            (BigQuery, "select /* /* */ 1 */"),
            (BigQuery, "select 1\u{a0}"),
            (BigQuery, "select '\0'"),
        ] {
            assert!(tokens(dialect, sql).is_err(), "{sql}");
        }
    }
}
