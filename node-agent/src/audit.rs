//! Audit events on their way from the HTTP server through the engine to the outputs.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, Receiver, SyncSender},
    },
    thread::{self, JoinHandle},
};

use saker_engine::AuditEngine;
use saker_source_k8s_audit::{AuditEvent, Intake};

use crate::status::{SourceState, Status};

/// Bodies that may wait for the engine; the senders of more are told to try again.
const QUEUE: usize = 16;

/// Takes events for the engine.
#[derive(Clone)]
pub struct Audit(SyncSender<Vec<AuditEvent>>);

impl Audit {
    /// Starts the thread of the engine. It ends when the last `Audit` is gone.
    pub fn start(engine: AuditEngine, status: Arc<Status>) -> io::Result<(Self, JoinHandle<()>)> {
        let (queue, batches) = mpsc::sync_channel(QUEUE);
        status.k8s_audit.set(SourceState::Running);
        let work = move || evaluate(engine, &batches, &status);
        let thread = thread::Builder::new().name("k8s_audit".to_owned()).spawn(work)?;
        Ok((Self(queue), thread))
    }

    /// Queues the events of one body.
    pub fn take(&self, events: Vec<AuditEvent>) -> Intake {
        if self.0.try_send(events).is_ok() { Intake::Accepted } else { Intake::Overloaded }
    }
}

fn evaluate(mut engine: AuditEngine, batches: &Receiver<Vec<AuditEvent>>, status: &Arc<Status>) {
    let _watch = status.watch_thread(|status| &status.k8s_audit);
    for batch in batches {
        for event in batch {
            status.k8s_audit.add_events(1);
            engine.event(event, &mut |alert| status.alerts.send(alert));
        }
    }
}
