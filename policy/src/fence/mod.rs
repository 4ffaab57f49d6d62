//! Proves that a statement shows and writes rows of one tenant only; what it cannot prove, it refuses.
//!
//! Every reference to a fenced table, in every query block, must have a condition `column = tenant` that no row of it
//! can get around; a condition may come from another reference by an equality of both columns. What the proof rests
//! on: every fenced table has the column, and its values are compared by `=` as the server's own types are.
//!
//! Known holes, which no grammar shows: functions called as columns of a row (`t.f`), triggers, rules and foreign keys
//! that lead from one tenant's row to another's, casts and operators that users have made; keys that are taken
//! already tell that somebody has them.

mod bind;
mod block;
mod catalog;
mod pin;
mod rewrite;
mod steps;

pub use bind::{Binds, Bound, TenantParameter, is_tenant};
pub use pin::Pin;
pub(crate) use pin::Pinned;

use crate::blocks::{Change, Does, Name, Operand, Reading, Value};
use crate::known;
use crate::policy::TablePattern;

/// Which tables are fenced, and by which column.
#[derive(Clone, Debug)]
pub(crate) struct Fence {
    /// The column that names the tenant.
    pub(crate) column: Box<str>,
    /// Tables that have it.
    pub(crate) tables: Box<[TablePattern]>,
    /// Tables and views that hold nobody's rows, which all tenants may read and add to.
    pub(crate) shared: Box<[TablePattern]>,
    /// Functions of the database that all tenants may call.
    pub(crate) functions: Box<[TablePattern]>,
    /// Fenced tables to whose statements the missing condition is added.
    pub(crate) rewrite: Box<[TablePattern]>,
}

/// Why a statement does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) reason: &'static str,
    pub(crate) what: String,
    pub(crate) hint: String,
    /// Byte of the message; 0 when only the statement is known.
    pub(crate) at: u32,
}

/// What a table is to the fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Fenced,
    Shared,
    /// The server's own description of tables, types and functions.
    Catalog,
    Unknown,
}

/// A proof in the making.
struct Proof<'f> {
    fence: &'f Fence,
    tenant: Option<&'f str>,
    user: &'f str,
    /// What must still hold of values that come at Bind.
    parameters: Vec<TenantParameter>,
    /// Parameters that stand, without a cast, where only the tenant column can give them their type.
    anchored: Vec<u32>,
}

impl Fence {
    /// Proves a statement for a tenant; what must still be checked at Bind.
    pub(crate) fn prove(
        &self,
        reading: &Reading,
        tenant: Option<&str>,
        user: &str,
    ) -> Result<Vec<TenantParameter>, Breach> {
        let mut proof = Proof { fence: self, tenant, user, parameters: Vec::new(), anchored: Vec::new() };
        if let Some((what, at)) = &reading.refused {
            let hint =
                "send a query, INSERT, UPDATE, DELETE or MERGE whose rows the fence can tell".to_owned();
            return Err(Breach { reason: "fence_statement", what: what.clone(), hint, at: *at });
        }
        for (function, at) in &reading.functions {
            self.function(function, *at)?;
        }
        for (table, at) in &reading.wholes {
            if proof.class(table, *at)? == Class::Fenced {
                return Err(whole(table, *at));
            }
        }
        for change in &reading.changes {
            proof.change(change)?;
        }
        for block in &reading.blocks {
            proof.block(block)?;
        }
        Ok(proof.settled(reading))
    }

    fn function(&self, function: &Name, at: u32) -> Result<(), Breach> {
        let own = function.schema.as_deref().is_none_or(|schema| schema == "pg_catalog");
        let name = &*function.name;
        let quiet = own
            && !name.contains('.')
            && (SEQUENCES.contains(&name)
                || (known::is_harmless(name)
                    && !known::is_dangerous(name)
                    && !TELLING.iter().any(|start| name.starts_with(start))));
        if quiet || self.functions.iter().any(|one| one.covers(&function.dotted())) {
            return Ok(());
        }
        let name = function.dotted();
        Err(Breach {
            reason: "fence_function",
            what: format!("a call of `{name}`, which may see rows of any tenant"),
            hint: format!("leave the call out, or let the policy's owner list `{name}()` as shared"),
            at,
        })
    }

    fn class(&self, table: &Name, user: &str) -> Class {
        let dotted = table.dotted();
        if self.tables.iter().any(|pattern| pattern.matches(&dotted, user)) {
            Class::Fenced
        } else if self.shared.iter().any(|pattern| pattern.covers(&dotted)) {
            Class::Shared
        } else if catalog::holds(table) {
            Class::Catalog
        } else {
            Class::Unknown
        }
    }
}

impl Proof<'_> {
    /// What a table is; a table that nobody has classified is refused.
    fn class(&self, table: &Name, at: u32) -> Result<Class, Breach> {
        match self.fence.class(table, self.user) {
            Class::Unknown => {
                let table = table.dotted();
                Err(Breach {
                    reason: "fence_unclassified",
                    what: format!("`{table}`, which is neither fenced nor shared"),
                    hint: format!("let the policy's owner list `{table}` under `tables` or `shared`"),
                    at,
                })
            }
            Class::Fenced if self.tenant.is_none() => Err(Breach {
                reason: "fence_no_tenant",
                what: format!("`{}` for a caller without a tenant", table.dotted()),
                hint: "let the policy's owner give this caller a `tenant`".to_owned(),
                at,
            }),
            class => Ok(class),
        }
    }

    /// The parameters that the proof rests on, each once, and whether the statement itself settles their types.
    fn settled(self, reading: &Reading) -> Vec<TenantParameter> {
        let mut parameters = self.parameters;
        parameters.dedup();
        for parameter in &mut parameters {
            let number = parameter.number;
            let place = usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
            parameter.settled = reading.declared.get(place).copied().unwrap_or_else(|| {
                let bare = reading.uses.iter().filter(|one| one.number == number && one.bare).count();
                bare == self.anchored.iter().filter(|one| **one == number).count()
            });
        }
        parameters
    }

    fn change(&mut self, change: &Change) -> Result<(), Breach> {
        let (table, column) = (change.table.dotted(), &self.fence.column);
        let breach = |what: String, hint: String| Breach { reason: "fence_write", what, hint, at: change.at };
        match self.class(&change.table, change.at)? {
            Class::Fenced => {}
            Class::Shared if matches!(change.does, Does::Insert(_)) => return Ok(()),
            _ => {
                let hint = "shared tables may be read, and rows may be added to them".to_owned();
                return Err(breach(format!("a change of rows of `{table}`, which are everybody's"), hint));
            }
        }
        match &change.does {
            Does::Insert(columns) => {
                let mut listed = columns.iter().flatten().filter(|(name, _)| name == column);
                let values = match (listed.next(), listed.next()) {
                    (Some((_, Some(values))), None) if !values.is_empty() => values,
                    _ => {
                        let hint = format!(
                            "list `{column}` among the columns, with the caller's tenant as a literal in each row"
                        );
                        return Err(breach(
                            format!("rows for `{table}` whose `{column}` cannot be told"),
                            hint,
                        ));
                    }
                };
                values.iter().try_for_each(|value| self.own(value, change))
            }
            Does::Rows(sets) => self.sets(sets, change),
            Does::Conflict { alias, sets, conditions, leak } => {
                let named = |table: Option<&str>| table == Some(alias) && table != Some("excluded");
                let value = conditions.iter().find_map(|condition| match &condition.right {
                    Operand::Value(value)
                        if condition.left.name == *column && named(condition.left.table.as_deref()) =>
                    {
                        Some(value)
                    }
                    _ => None,
                });
                let Some(value) = value.filter(|_| !leak) else {
                    let hint = format!(
                        "add WHERE {alias}.{column} = <tenant> to DO UPDATE, and compare plain columns only"
                    );
                    return Err(breach(format!("ON CONFLICT on rows of `{table}` of any tenant"), hint));
                };
                self.own(value, change)?;
                self.sets(sets, change)
            }
        }
    }

    fn sets(&mut self, sets: &[(Box<str>, Option<Value>)], change: &Change) -> Result<(), Breach> {
        let column = &self.fence.column;
        for (_, value) in sets.iter().filter(|(name, _)| name == column) {
            let Some(value) = value else {
                return Err(Breach {
                    reason: "fence_write",
                    what: format!("`{}` given to a tenant that cannot be told", change.table.dotted()),
                    hint: format!("leave `{column}` as it is"),
                    at: change.at,
                });
            };
            self.own(value, change)?;
        }
        Ok(())
    }

    /// Whether a value is the caller's tenant, or a parameter that must turn out to be.
    fn own(&mut self, value: &Value, change: &Change) -> Result<(), Breach> {
        match value {
            Value::Literal(text) if self.tenant == Some(text) => Ok(()),
            Value::Parameter { number, bare } => {
                self.anchored.extend(bare.then_some(*number));
                self.parameters.push(TenantParameter::new(*number, &change.table));
                Ok(())
            }
            Value::Literal(_) => Err(Breach {
                reason: "fence_write",
                what: format!("a row of `{}` for another tenant", change.table.dotted()),
                hint: format!("write the caller's own tenant to `{}`", self.fence.column),
                at: change.at,
            }),
        }
    }
}

fn whole(table: &Name, at: u32) -> Breach {
    let table = table.dotted();
    Breach {
        reason: "fence_whole",
        what: format!("`{table}` as a whole"),
        hint: format!("use COPY (SELECT … FROM {table} WHERE …) TO STDOUT, or INSERT"),
        at,
    }
}

/// Functions of sequences, which are nobody's rows.
const SEQUENCES: [&str; 3] = ["currval", "lastval", "nextval"];
/// Starts of the names of functions that tell what others do, or how much there is.
const TELLING: [&str; 9] = [
    "pg_stat",
    "pg_ls_",
    "pg_lock",
    "pg_table_size",
    "pg_relation_size",
    "pg_total_relation",
    "pg_indexes_size",
    "pg_database_size",
    "pg_mcv_",
];

#[cfg(test)]
mod tests;
