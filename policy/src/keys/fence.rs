//! Reads the guard `tenant_fence`; it never proves anything.

use crate::fence::{Fence, Pinned};
use crate::file::fields::{Fault, Fields, label, list_of, word};
use crate::file::rules::tables;
use crate::file::yaml::{Spot, Yaml};
use crate::guard::Guard;
use crate::policy::TablePattern;

/// `{style: session, setting, tables}`, or `{style: proof?, column, tables, shared?, rewrite?}`; an entry of `shared` that ends with `()` names a function.
pub(super) fn fence(value: &Spot<Yaml>) -> Result<Guard, Fault> {
    let fields = Fields::new(value, &["style", "column", "tables", "shared", "rewrite", "setting"])?;
    let words = [("proof", false), ("session", true)];
    let session = fields.optional("style", |value| word(value, "style", &words))?.unwrap_or(false);
    let strange: &[&str] = if session { &["column", "shared", "rewrite"] } else { &["setting"] };
    if let Some(key) = fields.keys().find(|key| strange.contains(&key.value.as_str())) {
        let style = if session { "session" } else { "proof" };
        return Err(Fault::at(key, format!("key `{}` does not go with style `{style}`", key.value)));
    }
    if session {
        let (setting, tables) = (fields.required("setting", setting)?, fields.required("tables", tables)?);
        return Ok(Guard::Pinned(Box::new(Pinned { setting, tables })));
    }
    let shared = fields.optional("shared", |value| list_of(value, shared))?.unwrap_or_default();
    let (mut open, mut functions) = (Vec::new(), Vec::new());
    for (pattern, is_function) in shared {
        if is_function { functions.push(pattern) } else { open.push(pattern) }
    }
    Ok(Guard::TenantFence(Box::new(Fence {
        column: fields.required("column", label)?,
        tables: fields.required("tables", tables)?,
        shared: open.into(),
        functions: functions.into(),
        rewrite: fields.optional("rewrite", tables)?.unwrap_or_default(),
    })))
}

/// A setting of the application's own: letters, digits and `_` in two parts or more.
fn setting(value: &Spot<Yaml>) -> Result<Box<str>, Fault> {
    let text = label(value)?;
    let plain = |part: &str| {
        part.starts_with(|letter: char| letter.is_ascii_lowercase() || letter == '_')
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    if text.contains('.') && text.split('.').all(plain) && !text.starts_with("clyra.") {
        return Ok(text);
    }
    Err(Fault::at(
        value,
        format!("`{text}` is no setting of an application's own; allowed: `app.tenant_id` or the like"),
    ))
}

fn shared(value: &Spot<Yaml>) -> Result<(TablePattern, bool), Fault> {
    let text = label(value)?;
    let name = text.strip_suffix("()").unwrap_or(&text);
    let pattern = TablePattern::parse(name).ok_or_else(|| {
        let allowed = "table, schema.table, function(), schema.function(), with `*`";
        Fault::at(value, format!("`{text}` is neither a table nor a function pattern; allowed: {allowed}"))
    })?;
    Ok((pattern, name.len() < text.len()))
}
