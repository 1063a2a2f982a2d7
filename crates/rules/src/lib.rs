//! The rule language: text in, compiled rule set out. Pure: no I/O, no async, no domain.
//!
//! ```text
//! YAML ─ document ─▶ items ─ collect ─▶ rules, macros, lists ─ expand ─▶ text
//!   text ─ lex, parse ─▶ tree ─ resolve (macros) ─▶ tree ─ check (schema) ─ compile ─▶ RuleSet
//! ```

pub mod ast;
pub mod diagnostic;
pub mod limits;
pub mod schema;
pub mod suggest;
pub mod value;
