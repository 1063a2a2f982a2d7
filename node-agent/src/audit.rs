//! Audit events on their way from the HTTP server or the log file through the engine to the outputs.

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
use tokio::sync::oneshot;

use crate::{source::SourceState, status::Status};

/// Batches that may wait for the engine; the senders of more are told to try again.
const QUEUE: usize = 16;

/// Takes events for the engine.
#[derive(Clone)]
pub struct Audit(SyncSender<Batch>);

struct Batch {
    events: Vec<AuditEvent>,
    done: oneshot::Sender<Intake>,
}

impl Audit {
    /// Starts the thread of the engine. It ends when the last `Audit` is gone.
    pub fn start(engine: AuditEngine, status: Arc<Status>) -> io::Result<(Self, JoinHandle<()>)> {
        let (queue, batches) = mpsc::sync_channel(QUEUE);
        status.k8s_audit.set(SourceState::Running);
        let work = move || evaluate(engine, &batches, &status);
        let thread = thread::Builder::new().name("k8s_audit".to_owned()).spawn(work)?;
        Ok((Self(queue), thread))
    }

    /// Has events evaluated, and ends when their alerts are in the queues of the outputs. What comes while too
    /// much is waiting is not taken.
    pub async fn take(&self, events: Vec<AuditEvent>) -> Intake {
        let (done, result) = oneshot::channel();
        match self.0.try_send(Batch { events, done }) {
            // An error says that the engine is gone.
            Ok(()) => result.await.unwrap_or(Intake::Overloaded),
            Err(_) => Intake::Overloaded,
        }
    }

    /// The same for a thread that can wait for its turn.
    pub fn wait(&self, events: Vec<AuditEvent>) -> Intake {
        let (done, result) = oneshot::channel();
        match self.0.send(Batch { events, done }) {
            Ok(()) => result.blocking_recv().unwrap_or(Intake::Overloaded),
            Err(_) => Intake::Overloaded,
        }
    }
}

fn evaluate(mut engine: AuditEngine, batches: &Receiver<Batch>, status: &Arc<Status>) {
    let _watch = status.watch_thread(|status| &status.k8s_audit);
    for Batch { events, done } in batches {
        let room = status.alerts.outputs().has_room(events.len());
        if room {
            status.k8s_audit.add_events(u64::try_from(events.len()).unwrap_or(u64::MAX));
            for event in events {
                status.sight.note(&event);
                engine.event(event, &mut |alert| status.alerts.send(alert));
            }
        }
        // An error says that nobody waits any more.
        let _ = done.send(if room { Intake::Accepted } else { Intake::Overloaded });
    }
}
