//! The audit log file of the API server, followed on a thread of its own.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
};

use saker_source_k8s_audit::{Counters, LogFile, Start, follow};

use crate::{
    audit::Audit,
    config::{Config, LogStart},
};

/// Name of the file in `state_dir` that keeps how far the log was read.
const SAVED: &str = "k8s-audit-log.json";

/// A thread that follows the log.
pub struct AuditLog {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl AuditLog {
    /// Follows a file as the configuration says.
    pub fn start(path: &Path, config: &Config, audit: &Audit, counters: &Arc<Counters>) -> io::Result<Self> {
        let start = match config.k8s_audit.log_start {
            LogStart::End => Start::End,
            LogStart::Beginning => Start::Beginning,
        };
        let log = LogFile { path: path.to_owned(), saved: config.state_dir.join(SAVED), start };
        tracing::info!("following audit events in {}", path.display());
        let stop = Arc::new(AtomicBool::new(false));
        let (audit, counters, stopped) = (audit.clone(), Arc::clone(counters), Arc::clone(&stop));
        let work = move || follow(log, &counters, &stopped, |events| audit.wait(events));
        let thread = thread::Builder::new().name("audit_log".to_owned()).spawn(work)?;
        Ok(Self { stop, thread })
    }

    /// Ends the thread once what it has read is evaluated.
    pub fn stop(self) {
        self.stop.store(true, Relaxed);
        // A thread that panicked has said so.
        let _ = self.thread.join();
    }
}
