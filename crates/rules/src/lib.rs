//! The rule language: text in, compiled rule set out. Pure: no I/O, no async, no domain.
//!
//! ```text
//! YAML ─ document ─▶ items ─ collect ─▶ rules, macros, lists ─ expand ─▶ text
//!   text ─ lex, parse ─▶ tree ─ resolve (macros) ─▶ tree ─ check (schema) ─ compile ─▶ RuleSet
//! ```

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod ast;
mod check;
pub mod compile;
pub mod diagnostic;
mod evaluate;
pub mod event_types;
mod getopt;
mod lex;
pub mod limits;
mod literal;
mod ops;
pub mod parse;
mod print;
pub mod render;
pub mod ruleset;
pub mod schema;
pub mod suggest;
pub mod template;
mod transform;
pub mod value;

pub use check::FieldRef;
