//! The agent's own log: lines on standard error, which systemd and Kubernetes keep.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::config::LogLevel;

/// Starts the log. Libraries are heard from warnings on.
pub fn start(level: LogLevel) {
    let filter = EnvFilter::new(format!("warn,saker={}", name(level)));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    let log = log.with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    // An error says that a log was started before, as a test may have.
    let _ = log.try_init();
}

/// Falco's levels in words of the tracing crate.
const fn name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Emergency | LogLevel::Alert | LogLevel::Critical | LogLevel::Error => "error",
        LogLevel::Warning => "warn",
        LogLevel::Notice | LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    }
}
