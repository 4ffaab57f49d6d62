//! The proof of one query block: which references have a condition on the tenant; it never looks at other blocks.

use super::{Breach, Class, Proof, TenantParameter};
use crate::blocks::{Block, Column, Condition, Item, Operand, Value};
use std::ops::Range;

/// An equality of tenant columns that have been found.
struct Edge<'b> {
    /// Its place among the block's conditions.
    place: usize,
    left: usize,
    right: End<'b>,
    holds: &'b Range<usize>,
}

enum End<'b> {
    Value(&'b Value),
    Item(usize),
}

impl Proof<'_> {
    pub(super) fn block(&mut self, block: &Block) -> Result<(), Breach> {
        let mut fenced = Vec::with_capacity(block.items.len());
        for item in &block.items {
            let class = item.table.as_ref().map(|table| self.class(table, item.at)).transpose()?;
            fenced.push(class == Some(Class::Fenced));
        }
        if !fenced.contains(&true) {
            return Ok(());
        }
        if let Some(breach) = leak(block) {
            return Err(breach);
        }
        let safe = self.safety(block, &fenced);
        let missing = fenced.iter().zip(&safe).position(|(fenced, safe)| *fenced && safe.is_none());
        match missing.and_then(|place| block.items.get(place)) {
            None => Ok(()),
            Some(item) => Err(self.unproven(item)),
        }
    }

    /// Which items have a condition on the tenant: its place among the block's conditions.
    pub(super) fn safety(&mut self, block: &Block, fenced: &[bool]) -> Vec<Option<usize>> {
        let conditions = block.conditions.iter().enumerate();
        let edges: Vec<Edge<'_>> =
            conditions.filter_map(|(place, one)| self.edge(block, fenced, one, place)).collect();
        for edge in edges.iter().filter(|edge| fenced.get(edge.left) == Some(&true)) {
            if let End::Value(Value::Parameter { number, bare: true }) = edge.right {
                self.anchored.push(*number);
            }
        }
        let mut safe = vec![None; fenced.len()];
        self.literals(&edges, &mut safe);
        if fenced.iter().zip(&safe).any(|(fenced, safe)| *fenced && safe.is_none()) {
            self.bound(block, &edges, &mut safe);
        }
        safe
    }

    /// The tenant columns that a condition is about.
    fn edge<'b>(
        &self,
        block: &'b Block,
        fenced: &[bool],
        condition: &'b Condition,
        place: usize,
    ) -> Option<Edge<'b>> {
        let find = |column| self.find(block, fenced, column, &condition.sees);
        let left = find(&condition.left)?;
        let right = match &condition.right {
            Operand::Value(value) => End::Value(value),
            Operand::Column(column) => End::Item(find(column)?),
        };
        Some(Edge { place, left, right, holds: &condition.holds })
    }

    /// The item whose tenant column is meant; nothing when it may be another's.
    fn find(&self, block: &Block, fenced: &[bool], column: &Column, sees: &Range<usize>) -> Option<usize> {
        if column.name != self.fence.column {
            return None;
        }
        let in_sight = block.items.iter().enumerate().filter(|(place, _)| sees.contains(place));
        let mut meant = in_sight.filter(|(place, item)| match (&column.schema, &column.table) {
            (_, None) => fenced.get(*place) == Some(&true),
            (None, Some(table)) => item.alias == *table,
            (Some(schema), Some(table)) => {
                item.alias == *table
                    && item
                        .table
                        .as_ref()
                        .is_some_and(|name| name.schema.as_ref() == Some(schema) && name.name == *table)
            }
        });
        let (place, item) = meant.next()?;
        let plain = meant.next().is_none() && item.table.is_some() && !item.veiled;
        (plain && (column.table.is_some() || !block.merges)).then_some(place)
    }

    fn literals(&self, edges: &[Edge<'_>], safe: &mut [Option<usize>]) {
        for edge in edges {
            if let End::Value(Value::Literal(text)) = edge.right
                && self.tenant == Some(text)
                && edge.holds.contains(&edge.left)
            {
                mark(safe, edge.left, edge);
            }
        }
        spread(edges, safe);
    }

    /// What literals leave open may be held by parameters.
    fn bound(&mut self, block: &Block, edges: &[Edge<'_>], safe: &mut [Option<usize>]) {
        let open = safe.to_vec();
        for edge in edges {
            let End::Value(Value::Parameter { number, .. }) = edge.right else { continue };
            let item = block.items.get(edge.left).and_then(|item| item.table.as_ref());
            if let Some(table) = item.filter(|_| open.get(edge.left) == Some(&None))
                && edge.holds.contains(&edge.left)
            {
                self.parameters.push(TenantParameter::new(*number, table));
                mark(safe, edge.left, edge);
            }
        }
        spread(edges, safe);
    }

    pub(super) fn unproven(&self, item: &Item) -> Breach {
        let (alias, column) = (&item.alias, &self.fence.column);
        let table = item.table.as_ref().map(super::Name::dotted).unwrap_or_default();
        let called = if table == **alias { format!("`{table}`") } else { format!("`{table}` as `{alias}`") };
        let hint = if item.veiled {
            format!(
                "name `{table}` without a list of columns, outside of a join with an alias and of TABLESAMPLE"
            )
        } else {
            format!("add AND {alias}.{column} = <tenant>, with the caller's own tenant")
        };
        Breach {
            reason: "fence_unproven",
            what: format!("{called} without the condition `{alias}.{column} = <tenant>`"),
            hint,
            at: item.at,
        }
    }
}

/// What in the conditions of a block with a fenced table may fail.
pub(super) fn leak(block: &Block) -> Option<Breach> {
    let (what, at) = block.leak.as_ref()?;
    Some(Breach {
        reason: "fence_leak",
        what: format!("{what} in a condition, which may fail on rows of other tenants and so tell of them"),
        hint: "compare plain columns here, and compute in the list of columns or around a subquery that has the \
               condition on the tenant"
            .to_owned(),
        at: *at,
    })
}

fn mark(safe: &mut [Option<usize>], place: usize, edge: &Edge<'_>) {
    if let Some(one) = safe.get_mut(place) {
        one.get_or_insert(edge.place);
    }
}

/// An equality hands the proof over from one side to the other, if it holds for that other side.
fn spread(edges: &[Edge<'_>], safe: &mut [Option<usize>]) {
    loop {
        let mut grown = false;
        for edge in edges {
            let End::Item(right) = edge.right else { continue };
            for (from, to) in [(edge.left, right), (right, edge.left)] {
                let grows = safe.get(from).is_some_and(Option::is_some) && safe.get(to) == Some(&None);
                if grows && edge.holds.contains(&to) {
                    mark(safe, to, edge);
                    grown = true;
                }
            }
        }
        if !grown {
            return;
        }
    }
}
