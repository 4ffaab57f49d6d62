//! Reads the guard `tenant_fence`; it never proves anything.

use crate::fence::Fence;
use crate::file::fields::{Fault, Fields, label, list_of};
use crate::file::rules::tables;
use crate::file::yaml::{Spot, Yaml};
use crate::guard::Guard;
use crate::policy::TablePattern;

/// `{column, tables, shared?}`; an entry of `shared` that ends with `()` names a function.
pub(super) fn fence(value: &Spot<Yaml>) -> Result<Guard, Fault> {
    let fields = Fields::new(value, &["column", "tables", "shared"])?;
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
    })))
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
