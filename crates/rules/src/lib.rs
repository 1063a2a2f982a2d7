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

pub mod append_output;
mod assumed;
pub mod ast;
pub mod binding;
pub mod bundle;
mod cache;
mod check;
mod collect;
pub mod compile;
pub mod describe;
pub mod diagnostic;
mod document;
mod evaluate;
pub mod event_types;
mod exceptions;
mod expand;
pub mod explain;
pub mod fmt;
mod gate;
mod getopt;
mod lex;
pub mod limits;
pub mod lint;
mod literal;
pub mod load;
mod lookup;
mod ops;
pub mod parse;
mod place;
mod print;
mod program;
mod remember;
pub mod render;
pub mod report;
pub mod requirements;
mod resolve;
pub mod ruleset;
pub mod schema;
pub mod select;
mod source_file;
pub mod spare;
pub mod suggest;
pub mod template;
mod transform;
mod tree;
pub mod value;
mod yaml;

pub use ops::glob::Glob;
