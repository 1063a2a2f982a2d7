//! What an API server needs to send its audit events: [`policy`] with the level that each loaded rule asks for,
//! and what to write where on each distribution ([`Plan`]). Nothing is read or written but below a root directory.
//!
//! ```text
//! rules ─ demand ─▶ what each may match on which requests ─ derive ─▶ policy ─▶ YAML
//!                                                   policy of the user ─ check ─▶ gaps
//! root, arguments of the API server ─ Distribution::detect ─▶ Plan ─ apply, undo
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

pub mod apiserver;
mod apply;
mod check;
mod demand;
mod derive;
mod distribution;
mod facts;
mod files;
mod flags;
mod level;
mod lines;
mod machine;
pub mod manifest;
mod need;
mod noise;
pub mod order;
mod plan;
pub mod policy;
mod print;
mod requests;
mod sight;
mod snippets;
mod webhook;

use std::{io, path::PathBuf};

pub use check::{Gap, Unseen, check};
pub use demand::AuditRule;
pub use derive::{Derived, Line, derive};
pub use distribution::Distribution;
pub use files::PlannedFile;
pub use level::level_of;
pub use machine::{Machine, Webhook};
pub use plan::Plan;
pub use sight::{Blind, Demands, RequestKind};
pub use snippets::{restart_command, snippet};
pub use webhook::Endpoint;

/// The event source whose rules count.
pub const SOURCE: &str = "k8s_audit";

/// Why an API server cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// There is room for one webhook only.
    #[error(
        "the API server sends its audit events elsewhere already ({0}), and it can have one webhook only: give it \
         --audit-log-path too, and let the agent read that file"
    )]
    OtherWebhook(String),
    /// The manifest of a static pod is not what kubeadm makes.
    #[error("the manifest of the API server cannot be changed: {0}")]
    Manifest(String),
    /// The changed API server did not come up.
    #[error(
        "the API server did not become ready with the new flags: its files are what they were before. Its log says \
         why (crictl logs, or /var/log/pods)"
    )]
    NotReady,
    /// The manifest was changed by somebody else.
    #[error(
        "{0} was changed since: take out the flags --audit-… and the volume saker-audit by hand; what it was before \
         is in {1}"
    )]
    Changed(PathBuf, PathBuf),
    /// A file.
    #[error("cannot {0} {1}: {2}")]
    Io(&'static str, PathBuf, #[source] io::Error),
}
