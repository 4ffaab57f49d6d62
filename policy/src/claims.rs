//! What a caller claims of its run, in settings and in the comments of a statement. Claims are recorded, and never believed;
//! nothing of them but bounded labels without control characters is kept.
//!
//! Comments are those of sqlcommenter (`/*key='value',…*/`, percent-encoded) and of dbt (`/* {"app": "dbt", …} */`), at the
//! head or at the end of a message.

use clyra_spec::limits::{LABEL_BYTES_MAX, NAMES_MAX};
use serde_json::{Map, Value};

/// Claims in the words of the `clyra.*` settings; what is `None` is not claimed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// The run's id.
    pub run_id: Option<Box<str>>,
    /// Why the change is made.
    pub change_intent: Option<Box<str>>,
    /// Data assets.
    pub asset_ids: Option<Box<[Box<str>]>>,
    /// Business metrics.
    pub business_metric_refs: Option<Box<[Box<str>]>>,
    /// Reference for a later payout.
    pub payout_ref: Option<Box<str>>,
    /// Currency of a later payout.
    pub currency: Option<Box<str>>,
}

/// What the comments of a message claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextClaims {
    /// In the words of the `clyra.*` settings: they count before what the session says.
    pub said: Claims,
    /// In the words of dbt, as its run and node: they count where nobody says anything else.
    pub implied: Claims,
    /// Trace id of `traceparent` (W3C Trace Context), 32 hex digits.
    pub trace: Option<Box<str>>,
    /// Idempotency key, as it was given: it may be none that counts.
    pub key: Option<Box<str>>,
}

impl Claims {
    /// The settings, without the `clyra.` in front.
    pub const NAMES: [&str; 6] =
        ["run_id", "change_intent", "asset_ids", "business_metric_refs", "payout_ref", "currency"];

    /// The text as a label: within its bound, and without control characters.
    pub fn label(text: &str) -> Box<str> {
        bounded(text)
    }

    /// Takes a setting; an empty value claims nothing. False when there is no such setting.
    pub fn set(&mut self, name: &str, value: Option<&str>) -> bool {
        let label = || value.map(bounded).filter(|label| !label.is_empty());
        let list = || value.map(|value| labels(value.split(','))).filter(|list| !list.is_empty());
        match name {
            "run_id" => self.run_id = label(),
            "change_intent" => self.change_intent = label(),
            "asset_ids" => self.asset_ids = list(),
            "business_metric_refs" => self.business_metric_refs = list(),
            "payout_ref" => self.payout_ref = label(),
            "currency" => self.currency = label(),
            _ => return false,
        }
        true
    }

    /// What a setting says now; `None` when there is no such setting.
    pub fn shown(&self, name: &str) -> Option<String> {
        let label = |label: &Option<Box<str>>| label.as_deref().unwrap_or_default().to_owned();
        let list = |list: &Option<Box<[Box<str>]>>| list.as_deref().unwrap_or_default().join(",");
        Some(match name {
            "run_id" => label(&self.run_id),
            "change_intent" => label(&self.change_intent),
            "asset_ids" => list(&self.asset_ids),
            "business_metric_refs" => list(&self.business_metric_refs),
            "payout_ref" => label(&self.payout_ref),
            "currency" => label(&self.currency),
            _ => return None,
        })
    }

    /// These claims, and where they say nothing, those of another.
    #[must_use]
    pub fn before(&self, other: &Self) -> Self {
        Self {
            run_id: self.run_id.clone().or_else(|| other.run_id.clone()),
            change_intent: self.change_intent.clone().or_else(|| other.change_intent.clone()),
            asset_ids: self.asset_ids.clone().or_else(|| other.asset_ids.clone()),
            business_metric_refs: self
                .business_metric_refs
                .clone()
                .or_else(|| other.business_metric_refs.clone()),
            payout_ref: self.payout_ref.clone().or_else(|| other.payout_ref.clone()),
            currency: self.currency.clone().or_else(|| other.currency.clone()),
        }
    }
}

impl TextClaims {
    /// What the comments of a message claim; `None` when they claim nothing.
    pub fn of(text: &str) -> Option<Self> {
        let text = text.trim_matches(|letter: char| letter.is_ascii_whitespace() || letter == ';');
        if !text.starts_with("/*") && !text.ends_with("*/") {
            return None;
        }
        let mut claims = Self::default();
        for comment in [head(text), tail(text)].into_iter().flatten() {
            claims.take(comment);
        }
        (claims != Self::default()).then_some(claims)
    }

    /// The text without the comment that holds the key: what makes the same change the same, under whatever key.
    pub fn unkeyed(text: &str) -> &str {
        let trimmed = text.trim_matches(|letter: char| letter.is_ascii_whitespace() || letter == ';');
        let holds = |comment: &str| {
            let mut claims = Self::default();
            claims.take(comment);
            claims.key.is_some()
        };
        if let Some(comment) = tail(trimmed).filter(|comment| holds(comment)) {
            // It lies in the text: its place is that of its first byte.
            let begin = comment.as_ptr().addr() - trimmed.as_ptr().addr();
            let kept =
                trimmed.get(..begin).and_then(|before| before.rfind("/*")).and_then(|at| trimmed.get(..at));
            return kept.unwrap_or(trimmed).trim_ascii_end();
        }
        if let Some(comment) = head(trimmed).filter(|comment| holds(comment)) {
            let end = comment.as_ptr().addr() + comment.len() - trimmed.as_ptr().addr();
            let kept = trimmed.get(end..).and_then(|behind| behind.split_once("*/"));
            return kept.map_or(trimmed, |(_, behind)| behind.trim_ascii_start());
        }
        trimmed
    }

    fn take(&mut self, comment: &str) {
        if comment.len() > COMMENT_BYTES_MAX {
            return;
        }
        if comment.starts_with('{') {
            if let Ok(fields) = serde_json::from_str::<Map<String, Value>>(comment) {
                self.take_fields(&fields);
            }
        } else if let Some(pairs) = pairs(comment) {
            for (key, value) in pairs {
                self.take_pair(&key, &value);
            }
        }
    }

    fn take_fields(&mut self, fields: &Map<String, Value>) {
        for (name, value) in fields {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Array(list) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
                _ => continue,
            };
            self.take_pair(name, &value);
        }
        if fields.get("app").and_then(Value::as_str) == Some("dbt") {
            let text = |name: &str| fields.get(name).and_then(Value::as_str);
            self.implied.set("run_id", text("invocation_id"));
            // A node's name holds no comma, unlike a list of assets.
            self.implied.asset_ids = text("node_id").map(|node| labels(std::iter::once(node)));
        }
    }

    fn take_pair(&mut self, key: &str, value: &str) {
        if key == "traceparent" {
            self.trace = trace_id(value);
        } else if matches!(key, "idempotency_key" | "clyra.idempotency_key") {
            self.key = Some(value.into());
        } else if let Some(name) = key.strip_prefix("clyra.") {
            self.said.set(name, Some(value));
        }
    }
}

/// The label within its bound, without control characters.
fn bounded(label: &str) -> Box<str> {
    let mut kept = String::with_capacity(label.len().min(LABEL_BYTES_MAX));
    for char in label.chars().filter(|char| !char.is_control()) {
        if kept.len() + char.len_utf8() > LABEL_BYTES_MAX {
            break;
        }
        kept.push(char);
    }
    kept.into()
}

fn labels<'t>(items: impl Iterator<Item = &'t str>) -> Box<[Box<str>]> {
    let labels = items.map(|item| bounded(item.trim())).filter(|label| !label.is_empty());
    labels.take(NAMES_MAX).collect()
}

/// What the comment at the head says; comments nest in PostgreSQL.
fn head(text: &str) -> Option<&str> {
    let (mut depth, mut at) = (0_usize, 0);
    loop {
        let rest = text.get(at..)?;
        if rest.starts_with("/*") {
            depth += 1;
        } else if rest.starts_with("*/") {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return text.get(2..at).map(str::trim);
            }
        } else if depth == 0 {
            return None;
        }
        // On to where the next mark may begin.
        let step = if rest.starts_with("/*") || rest.starts_with("*/") { 2 } else { 1 };
        at += step + rest.get(step..)?.find(['/', '*'])?;
    }
}

/// What the comment at the end says. Whoever writes claims writes no comment into one.
fn tail(text: &str) -> Option<&str> {
    let inside = text.strip_suffix("*/")?;
    let begin = inside.rfind("/*")?;
    // A comment that is the whole text was read as its head.
    (begin > 0).then(|| inside.get(begin + 2..).map(str::trim)).flatten()
}

/// `key='value'` and a comma between two; a backslash takes the next character as it is.
fn pairs(comment: &str) -> Option<Vec<(String, String)>> {
    let (mut rest, mut pairs) = (comment, Vec::new());
    loop {
        let (key, behind) = rest.split_once("='")?;
        let (mut value, mut end, mut escaped) = (String::new(), None, false);
        for (at, letter) in behind.char_indices() {
            match letter {
                _ if escaped => escaped = false,
                '\\' => {
                    escaped = true;
                    continue;
                }
                '\'' => {
                    end = Some(at + 1);
                    break;
                }
                _ => {}
            }
            value.push(letter);
        }
        pairs.push((decoded(key.trim())?, decoded(&value)?));
        if pairs.len() > PAIRS_MAX {
            return None;
        }
        rest = behind.get(end?..)?.trim_start();
        if rest.is_empty() {
            return Some(pairs);
        }
        rest = rest.strip_prefix(',')?;
    }
}

/// Percent-encoding undone (RFC 3986 §2.1).
fn decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, behind) = rest.split_first_chunk::<2>()?;
        let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
        bytes.push(u8::try_from(high? * 16 + low?).ok()?);
        rest = behind;
    }
    String::from_utf8(bytes).ok()
}

/// Trace id of `00-<32 hex>-<16 hex>-<2 hex>`; all zeros is none (W3C Trace Context §3.2.2.3).
fn trace_id(traceparent: &str) -> Option<Box<str>> {
    let mut parts = traceparent.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let whole = hex(version, 2) && version != "ff" && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    let some = trace.bytes().any(|byte| byte != b'0');
    // Version 00 has these four parts; later ones may have more.
    (whole && some && (version != "00" || parts.next().is_none())).then(|| trace.into())
}

/// Longer comments are read over.
const COMMENT_BYTES_MAX: usize = 8 << 10;
const PAIRS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::{Claims, TextClaims, bounded};
    use clyra_spec::limits::LABEL_BYTES_MAX;

    fn claims(text: &str) -> TextClaims {
        TextClaims::of(text).unwrap_or_default()
    }

    #[test]
    fn sqlcommenter_is_read() {
        let said = claims(
            "SELECT 1 /*clyra.run_id='r%201',clyra.asset_ids='a%2Cb',route='%2Fpolls\\'x',\
             traceparent='00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01'*/ ; ",
        );
        assert_eq!(said.said.run_id.as_deref(), Some("r 1"));
        assert_eq!(said.said.asset_ids.as_deref(), Some(&["a".into(), "b".into()][..]));
        assert_eq!(said.trace.as_deref(), Some("5bd66ef5095369c7b0d1f8f4bd33716a"));
        assert_eq!(
            claims("/*clyra.run_id='h'*/ SELECT 1 /*clyra.payout_ref='p'*/").said.shown("run_id").unwrap(),
            "h"
        );
    }

    #[test]
    fn a_key_stands_beside_what_it_is_for() {
        assert_eq!(claims("SELECT 1 /*idempotency_key='k%201'*/").key.as_deref(), Some("k 1"));
        for (text, without) in [
            ("/*idempotency_key='a'*/ INSERT INTO t VALUES ('*/');", "INSERT INTO t VALUES ('*/')"),
            ("/* why */ DELETE FROM t /*clyra.idempotency_key='a'*/ ;", "/* why */ DELETE FROM t"),
            ("DELETE FROM t /*route='/a'*/", "DELETE FROM t /*route='/a'*/"),
        ] {
            assert_eq!(TextClaims::unkeyed(text), without);
        }
    }

    #[test]
    fn comments_of_dbt_are_read() {
        let text = "/* {\"app\": \"dbt\", \"node_id\": \"model.shop.orders\", \"invocation_id\": \"i-1\", \
                    \"clyra.change_intent\": \"CHG-1\"} */\n\ncreate table t as select 1";
        let said = claims(text);
        assert_eq!(said.implied.run_id.as_deref(), Some("i-1"));
        assert_eq!(said.implied.asset_ids.as_deref(), Some(&["model.shop.orders".into()][..]));
        assert_eq!(said.said.change_intent.as_deref(), Some("CHG-1"));
        let behind = "select 1\n/* {\"app\": \"dbt\", \"node_id\": \"model.a.b\"} */";
        assert!(claims(behind).implied.asset_ids.is_some());
        assert_eq!(claims("/* {\"app\": \"other\", \"node_id\": \"x\"} */ select 1"), TextClaims::default());
    }

    #[test]
    fn hostile_comments_claim_nothing_or_little() {
        for text in [
            "select 1",
            "select '/*clyra.run_id=''x''*/'",
            "/*clyra.run_id='x",
            "select 1 /*clyra.run_id='x'",
            "select 1 /*clyra.run_id='x',*/",
            "select 1 /*clyra.run_id='%zz'*/",
            "select 1 /*clyra.run_id='%ff'*/",
            "select 1 /*clyra.run_id='%'*/",
            "select 1 /*clyra.run_id='\\*/",
            "/*/ select 1",
            "/* {\"clyra.run_id\": {\"a\": 1}} */ select 1",
            "/* { */ select 1",
            "*/",
            "/**/",
            "",
            "select 1 /*traceparent='00-00000000000000000000000000000000-c532cb4098ac3dd2-01'*/",
            "select 1 /*traceparent='00-5BD66EF5095369C7B0D1F8F4BD33716A-c532cb4098ac3dd2-01'*/",
        ] {
            assert_eq!(TextClaims::of(text), None, "{text}");
        }
        let forged = claims("select 1 /*clyra.run_id='a%00%0A%22,%22v%22:1%E2%80%A8%7F'*/");
        assert_eq!(forged.said.run_id.as_deref(), Some("a\",\"v\":1\u{2028}"));
        let long = format!("select 1 /*clyra.run_id='{}'*/", "x".repeat(4_000));
        assert_eq!(claims(&long).said.run_id.unwrap().len(), LABEL_BYTES_MAX);
        let deep = format!("/* {} */ select 1", "{\"a\":".repeat(1_000));
        assert_eq!(TextClaims::of(&deep), None);
        assert_eq!(TextClaims::of(&"/*".repeat(100_000)), None);
        let nested = "/* a /* b */ c */ select 1 /*clyra.run_id='x'*/";
        assert_eq!(claims(nested).said.run_id.as_deref(), Some("x"));
        assert_eq!(bounded(&"é".repeat(400)).len(), LABEL_BYTES_MAX - 1);
    }

    #[test]
    fn earlier_claims_count_first() {
        let mut first = Claims::default();
        assert!(first.set("run_id", Some("r")) && first.set("currency", Some(" ")) && !first.set("x", None));
        let mut second = Claims::default();
        second.set("run_id", Some("s"));
        second.set("payout_ref", Some("p"));
        let both = first.before(&second);
        assert_eq!(
            (both.shown("run_id").as_deref(), both.shown("payout_ref").as_deref()),
            (Some("r"), Some("p"))
        );
        assert!(Claims::NAMES.iter().all(|name| both.shown(name).is_some()) && both.shown("x").is_none());
    }
}
