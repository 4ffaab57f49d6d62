//! A small lexer that fingerprints a statement and measures its nesting; it never decides what a statement does.

/// Fingerprint of `sql` with comments dropped, literals and parameters replaced, white space folded.
pub(super) fn shape(sql: &str) -> [u8; 32] {
    let mut text = Vec::with_capacity(sql.len());
    let mut lexer = Lexer::new(sql);
    while let Some((token, bytes)) = lexer.next() {
        match token {
            Token::Literal => text.push(b'?'),
            Token::Word => text.extend(bytes.iter().map(u8::to_ascii_lowercase)),
            Token::Quoted | Token::Sign => text.extend_from_slice(bytes),
        }
        text.push(b' ');
    }
    *blake3::hash(&text).as_bytes()
}

/// The tokens of a text, each with where it begins and ends.
pub(super) fn tokens(sql: &str) -> Vec<(Token, usize, usize)> {
    let mut lexer = Lexer::new(sql);
    let mut tokens = Vec::new();
    while let Some((token, bytes)) = lexer.next() {
        tokens.push((token, lexer.at - bytes.len(), lexer.at));
    }
    tokens
}

/// Whether brackets nest deeper than `max`.
pub(super) fn nests_deeper(sql: &str, max: usize) -> bool {
    // Counting the opening ones bounds the depth from above, and is nearly free.
    if sql.bytes().filter(|byte| matches!(byte, b'(' | b'[')).count() <= max {
        return false;
    }
    let (mut depth, mut lexer) = (0usize, Lexer::new(sql));
    while let Some((_, bytes)) = lexer.next() {
        match bytes {
            b"(" | b"[" => depth += 1,
            b")" | b"]" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > max {
            return true;
        }
    }
    false
}

/// Whether signs stand so densely that PostgreSQL's lexer would read them over and over. It reads as many signs in a row as
/// there are, and then goes back to behind each `/*`, and each `+` or `-`: what takes the square of their number.
pub(super) fn reads_anew(sql: &str, steps_max: usize) -> bool {
    // A short text cannot take long.
    if sql.len().saturating_mul(sql.len()) <= steps_max {
        return false;
    }
    let runs = sql.as_bytes().split(|byte| !b"~!@#^&|`?+-*/%<>=".contains(byte));
    let steps = runs.filter(|run| run.len() > 64).fold(0usize, |steps, run| {
        let line = run.windows(2).position(|pair| pair == b"--").unwrap_or(run.len());
        let signs = run.iter().take(line).filter(|byte| matches!(byte, b'+' | b'-')).count();
        let comments = run.windows(2).filter(|pair| pair == b"/*").count();
        steps.saturating_add(run.len().saturating_mul(signs + comments))
    });
    steps > steps_max
}

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Word,
    Quoted,
    Literal,
    Sign,
}

/// The tokens of `sql` without comments: the byte at which each begins, and its bytes.
pub(crate) fn pieces(sql: &str) -> impl Iterator<Item = (usize, &[u8])> {
    let mut lexer = Lexer::new(sql);
    std::iter::from_fn(move || lexer.next().map(|(_, bytes)| (lexer.at - bytes.len(), bytes)))
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lexer<'a> {
    fn new(sql: &'a str) -> Self {
        Self { bytes: sql.as_bytes(), at: 0 }
    }

    fn next(&mut self) -> Option<(Token, &'a [u8])> {
        self.skip_blank();
        let start = self.at;
        let token = self.token()?;
        // Whatever a rule above forgets to move over is moved over here, so that the lexer always ends.
        self.at = self.at.max(start + 1).min(self.bytes.len());
        Some((token, self.bytes.get(start..self.at).unwrap_or_default()))
    }

    fn token(&mut self) -> Option<Token> {
        let first = self.peek(0)?;
        Some(match (first, self.peek(1)) {
            (b'\'', _) => self.string(0, false),
            (b'"', _) => self.quoted(0),
            (b'e' | b'E', Some(b'\'')) => self.string(1, true),
            (b'b' | b'B' | b'x' | b'X' | b'n' | b'N', Some(b'\'')) => self.string(1, false),
            (b'u' | b'U', Some(b'&')) if self.peek(2) == Some(b'\'') => self.string(2, false),
            (b'u' | b'U', Some(b'&')) if self.peek(2) == Some(b'"') => self.quoted(2),
            (b'$', _) => self.dollar(),
            (b'0'..=b'9', _) | (b'.', Some(b'0'..=b'9')) => self.number(),
            _ if is_word_start(first) => self.word(),
            _ => {
                self.at += 1;
                Token::Sign
            }
        })
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn skip_while(&mut self, keep: impl Fn(u8) -> bool) {
        while self.peek(0).is_some_and(&keep) {
            self.at += 1;
        }
    }

    fn skip_blank(&mut self) {
        loop {
            self.skip_while(|byte| byte.is_ascii_whitespace() || byte == 0x0b);
            match (self.peek(0), self.peek(1)) {
                (Some(b'-'), Some(b'-')) => self.skip_while(|byte| byte != b'\n' && byte != b'\r'),
                (Some(b'/'), Some(b'*')) => self.skip_block(),
                _ => return,
            }
        }
    }

    fn skip_block(&mut self) {
        let mut depth = 0usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b'/'), Some(b'*')) => (depth, self.at) = (depth + 1, self.at + 2),
                (Some(b'*'), Some(b'/')) => (depth, self.at) = (depth - 1, self.at + 2),
                (Some(_), _) => self.at += 1,
                (None, _) => return,
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self, prefix: usize, escapes: bool) -> Token {
        self.at += prefix + 1;
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            match byte {
                b'\\' if escapes => self.at += 1,
                b'\'' if self.peek(0) == Some(b'\'') => self.at += 1,
                b'\'' => break,
                _ => {}
            }
        }
        Token::Literal
    }

    fn quoted(&mut self, prefix: usize) -> Token {
        self.at += prefix + 1;
        self.skip_while(|byte| byte != b'"');
        self.at += 1;
        Token::Quoted
    }

    fn dollar(&mut self) -> Token {
        let start = self.at;
        self.at += 1;
        if self.peek(0).is_some_and(|byte| byte.is_ascii_digit()) {
            self.skip_while(|byte| byte.is_ascii_digit());
            return Token::Literal;
        }
        self.skip_while(|byte| is_word_start(byte) || byte.is_ascii_digit());
        if self.peek(0) != Some(b'$') {
            self.at = start + 1;
            return Token::Sign;
        }
        self.at += 1;
        let tag = self.bytes.get(start..self.at).unwrap_or_default();
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.windows(tag.len()).position(|window| window == tag);
        self.at += end.map_or(rest.len(), |end| end + tag.len());
        Token::Literal
    }

    fn number(&mut self) -> Token {
        self.skip_while(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_');
        let exponent = self.at.checked_sub(1).and_then(|last| self.bytes.get(last));
        if matches!(exponent, Some(b'e' | b'E')) && matches!(self.peek(0), Some(b'+' | b'-')) {
            self.at += 1;
            self.skip_while(|byte| byte.is_ascii_digit());
        }
        Token::Literal
    }

    fn word(&mut self) -> Token {
        self.skip_while(|byte| is_word_start(byte) || byte.is_ascii_digit() || byte == b'$');
        Token::Word
    }
}

fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::{nests_deeper, reads_anew, shape};

    #[test]
    fn same_shape() {
        for (one, other) in [
            ("select 1", "SELECT  42"),
            ("select * from t where a='x''y'", "select *\nfrom t -- note\nwhere a = E'it\\'s'"),
            ("select $1, $tag$ a $$ b $tag$", "select /* a /* b */ c */ 7 , 'z'"),
            ("select 1.5e-3 + .5", "select 2 + 3"),
            ("select U&'a' || n'b'", "select 'q' || 'r'"),
        ] {
            assert_eq!(shape(one), shape(other), "{one} / {other}");
        }
    }

    #[test]
    fn other_shape() {
        for (one, other) in [
            ("select a from t", "select b from t"),
            ("select \"A\" from t", "select a from t"),
            ("select a -- 'x", "select a, 'x'"),
            ("select 'open", "select \"open"),
        ] {
            assert_ne!(shape(one), shape(other), "{one} / {other}");
        }
    }

    #[test]
    fn signs_that_would_be_read_over_and_over_are_found() {
        for one in ["/*", "+", "+-", "*+=+"] {
            assert!(reads_anew(&format!("select 1 {}", one.repeat(20_000)), 1_000_000), "{one}");
            assert!(!reads_anew(&format!("select 1 {}", one.repeat(100)), 1_000_000), "{one}");
        }
        for one in ["-", "=", "*", "/", "1+", "/* "] {
            assert!(!reads_anew(&format!("select 1 {}", one.repeat(20_000)), 1_000_000), "{one}");
        }
    }

    #[test]
    fn depth_is_that_of_brackets_outside_strings() {
        let deep = "(".repeat(9);
        assert!(nests_deeper(&deep, 8));
        assert!(!nests_deeper(&deep, 9));
        assert!(!nests_deeper(&format!("select '{deep}', \"{deep}\", $${deep}$$ /*{deep}*/ --{deep}"), 8));
        assert!(!nests_deeper(&"() ".repeat(50), 8));
        assert!(!nests_deeper("/* never closed", 0));
    }
}
