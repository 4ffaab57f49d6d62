//! Tells the steps of a proof, for people: by which condition each table is fenced, or which doubt refuses it. It decides
//! nothing: what it tells is what the proof itself found.

use super::{Breach, Class, Fence, Proof, block};
use crate::blocks::{Block, Column, Condition, Item, Name, Operand, Reading, Value};

/// One step: an occurrence of a table, a change, a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// What it is about.
    pub(crate) name: String,
    /// Byte of the message.
    pub(crate) at: u32,
    /// It holds.
    pub(crate) proven: bool,
    /// By what, or why not.
    pub(crate) why: String,
}

impl Step {
    fn holds(name: &Name, at: u32, why: String) -> Self {
        Self { name: name.dotted(), at, proven: true, why }
    }

    fn doubt(name: &str, breach: &Breach) -> Self {
        let why = format!("{}: {}", breach.reason, breach.what);
        Self { name: name.to_owned(), at: breach.at, proven: false, why }
    }
}

impl Fence {
    /// All steps of the proof of one statement, as far as it can be read, in the order of its text.
    pub(crate) fn steps(&self, reading: &Reading, tenant: Option<&str>, user: &str) -> Vec<Step> {
        let mut proof = Proof { fence: self, tenant, user, parameters: Vec::new(), anchored: Vec::new() };
        let mut steps = Vec::new();
        if let Some((what, at)) = &reading.refused {
            let why = format!("fence_statement: {what}");
            steps.push(Step { name: String::new(), at: *at, proven: false, why });
        }
        for (function, at) in &reading.functions {
            steps.extend(self.function(function, *at).err().map(|one| Step::doubt(&function.dotted(), &one)));
        }
        for (table, at) in &reading.wholes {
            steps.push(match proof.class(table, *at) {
                Err(breach) => Step::doubt(&table.dotted(), &breach),
                Ok(Class::Fenced) => Step::doubt(&table.dotted(), &super::whole(table, *at)),
                Ok(class) => Step::holds(table, *at, called(class)),
            });
        }
        for change in &reading.changes {
            steps.push(match proof.change(change) {
                Err(breach) => Step::doubt(&change.table.dotted(), &breach),
                Ok(()) => Step::holds(&change.table, change.at, "gives no row to another tenant".to_owned()),
            });
        }
        for block in &reading.blocks {
            proof.steps_of(block, &mut steps);
        }
        steps.sort_by_key(|step| step.at);
        steps
    }
}

impl Proof<'_> {
    fn steps_of(&mut self, block: &Block, steps: &mut Vec<Step>) {
        let classes: Vec<_> = block
            .items
            .iter()
            .map(|item| item.table.as_ref().map(|table| self.class(table, item.at)))
            .collect();
        let fenced: Vec<bool> =
            classes.iter().map(|class| matches!(class, Some(Ok(Class::Fenced)))).collect();
        let safe = self.safety(block, &fenced);
        if let Some(breach) = block::leak(block).filter(|_| fenced.contains(&true)) {
            steps.push(Step::doubt("", &breach));
        }
        for ((item, class), safe) in block.items.iter().zip(classes).zip(safe) {
            let Some(table) = &item.table else { continue };
            let condition = safe.and_then(|place| block.conditions.get(place));
            steps.push(match (class, condition) {
                (Some(Err(breach)), _) => Step::doubt(&table.dotted(), &breach),
                (Some(Ok(Class::Fenced)), Some(condition)) => self.fenced(table, item, condition),
                (Some(Ok(Class::Fenced)), None) => Step::doubt(&table.dotted(), &self.unproven(item)),
                (Some(Ok(class)), _) => Step::holds(table, item.at, called(class)),
                (None, _) => continue,
            });
        }
    }

    fn fenced(&self, table: &Name, item: &Item, condition: &Condition) -> Step {
        let left = written(&condition.left);
        let why = match &condition.right {
            Operand::Column(right) => format!("fenced by `{left} = {}`", written(right)),
            Operand::Value(Value::Literal(text)) => {
                format!("fenced by `{left} = {}`", super::pin::quoted(text))
            }
            Operand::Value(Value::Parameter { number, .. }) => {
                format!("fenced by `{left} = ${number}`, where ${number} is bound to the tenant")
            }
        };
        Step::holds(table, item.at, why)
    }
}

fn called(class: Class) -> String {
    match class {
        Class::Catalog => "the server's own description",
        _ => "shared: holds nobody's rows",
    }
    .to_owned()
}

fn written(column: &Column) -> String {
    let parts = [&column.schema, &column.table].into_iter().flatten().map(|part| format!("{part}."));
    parts.chain([column.name.to_string()]).collect()
}
