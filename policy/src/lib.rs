//! The judge: rules from YAML, facts of a statement, one decision.
//!
//! A statement is read with PostgreSQL's own grammar into [`Facts`]: its verbs, the tables that it reads and
//! writes, the functions that it calls, the settings that it changes. A [`Policy`] is compiled once from a file
//! and says, for each login, who the [`Caller`] is and which rules can apply to it. [`Policy::decide`] brings the
//! two together. Everything here is a function of its arguments: no runtime, no files, no clock, no sockets.
//!
//! In doubt the gate is shut: what the grammar does not read, what a guard cannot see into, a name that may mean
//! a protected table, all count as forbidden where a rule depends on them. Shadow and enforce mode come to the
//! same verdict and differ only in whether it is carried out.
//!
//! ```text
//! text ──▶ FactsMemo ──▶ Facts ──────┐
//!          (exact bytes)             ├──▶ Policy::decide ──▶ Decision ──▶ Refusal
//! login ─▶ Policy::caller ─▶ Caller ─┘    kill switch          verdict      what the
//! yaml ──▶ Policy::parse ─▶ Policy        not understood       rules        client reads
//!                                         core settings
//!                                         guards, in order
//! ```
//!
//! ```
//! use clyra_policy::{FactsMemo, Login, Policy};
//! use clyra_spec::{KillLevel, Verdict};
//!
//! let yaml = "
//! name: shop
//! version: 1
//! mode: enforce
//! rules:
//!   - id: no-drop
//!     deny_verbs: [drop, truncate]
//! ";
//! let policy = Policy::parse(yaml, "shop.yaml")?;
//! let memo = FactsMemo::new(10_000, 64 << 20);
//! let login = Login { user: "ann", database: "shop", application: "psql", tenant: None };
//! let caller = policy.caller(&login);
//!
//! let facts = memo.of(b"DROP TABLE orders");
//! let decision = policy.decide(&caller, &facts, KillLevel::Observe, &|_| None);
//! assert_eq!(decision.verdict, Verdict::Deny);
//! let refusal = decision.refusal.expect("the policy enforces");
//! assert_eq!(refusal.message, "clyra: rule `no-drop` refuses DROP of `orders`");
//! assert_eq!(refusal.sqlstate, "42501");
//! # Ok::<(), clyra_policy::PolicyError>(())
//! ```

mod blocks;
mod catalog;
mod claims;
mod detail;
mod dialect;
mod duty;
mod engine;
mod error;
mod facts;
mod fence;
mod file;
mod guard;
mod keys;
mod known;
mod memo;
mod policy;
mod replay;
pub mod tools;
mod verbs;

pub use catalog::{Catalog, Changed, Naming, Standing};
pub use claims::{Claims, TextClaims};
pub use detail::{OwnSetting, Said};
pub use dialect::Dialect;
pub use duty::{Cap, Charge, Duty, Limit, Once, Per, Places, Unit, is_key};
pub use engine::{Breach, ByName, Decision, Refusal};
pub use error::{CatalogError, EvalError, PolicyError};
pub use facts::{Facts, Filter, Problem, Setting, SettingValue, StatementFacts, Target};
pub use fence::{Binds, Bound, Pin, TenantParameter, is_tenant};
pub use memo::FactsMemo;
pub use policy::{
    Approvals, Approver, Breaker, Caller, Evidence, Given, Login, Moment, OnFull, Operator, Policy, Proof,
    Stop,
};
pub use verbs::Verbs;
