//! One socket of a runtime: asked within a time limit, left alone for a while when it fails.

use std::{
    os::unix::fs::FileTypeExt,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use saker_events::container::{Engine, Metadata};
use tonic::transport::Channel;

use crate::{
    Kind, containerd, cri, docker,
    fault::{Fault, PATIENCE},
    grpc,
    limits::{self, Limits},
};

/// Rest of a socket after its first failure; each further one doubles it. Tests look at one that rests.
const FIRST_REST: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 1 });
/// Doublings of the rest at most: 32 seconds.
const MAX_DOUBLINGS: u32 = 5;

/// Whether a socket can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketState {
    /// There is no such socket.
    Absent,
    /// There is one, and nothing is wrong with it.
    Up,
    /// Its latest look-up failed.
    Failing(Fault),
}

/// A socket and what became of its look-ups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketReport {
    /// How it is asked.
    pub kind: Kind,
    /// Where it is.
    pub path: PathBuf,
    /// Whether it can be asked.
    pub state: SocketState,
    /// Look-ups since the start.
    pub asked: u64,
    /// Of those, failed.
    pub failed: u64,
}

#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) kind: Kind,
    pub(crate) path: PathBuf,
    channel: Option<Channel>,
    limits: Limits,
    health: Mutex<Health>,
}

#[derive(Debug, Default)]
struct Health {
    asked: u64,
    failed: u64,
    /// Failures without a success between them.
    in_a_row: u32,
    fault: Option<Fault>,
    rests_until: Option<Instant>,
}

impl Socket {
    pub(crate) fn new(kind: Kind, path: PathBuf, limits: Limits) -> Self {
        let over_grpc = matches!(kind, Kind::Cri | Kind::Containerd);
        let channel = over_grpc.then(|| grpc::channel(&path).ok()).flatten();
        Self { kind, path, channel, limits, health: Mutex::default() }
    }

    /// Whether there is such a socket.
    pub(crate) fn exists(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|file| file.file_type().is_socket())
    }

    /// Whether it is to be asked now.
    pub(crate) fn is_ready(&self) -> bool {
        let resting = self.health().rests_until.is_some_and(|until| Instant::now() < until);
        !resting && self.exists()
    }

    /// Asks for a container by its whole id.
    pub(crate) async fn find(&self, id: &str) -> Result<Option<Metadata>, Fault> {
        let answer = tokio::time::timeout(PATIENCE, self.ask(id)).await.unwrap_or(Err(Fault::Timeout));
        let answer = answer.and_then(|found| match found {
            Some(metadata) if metadata.full_id != id => Err(Fault::Wrong),
            found => Ok(found.map(limits::cut)),
        });
        self.note(answer.as_ref().err());
        answer
    }

    async fn ask(&self, id: &str) -> Result<Option<Metadata>, Fault> {
        match (self.kind, &self.channel) {
            (Kind::Cri, Some(channel)) => cri::find(channel, id, self.limits).await,
            (Kind::Containerd, Some(channel)) => containerd::find(channel, id, self.limits).await,
            (Kind::Podman, _) => docker::find(&self.path, id, Engine::Podman, self.limits).await,
            _ => docker::find(&self.path, id, Engine::Docker, self.limits).await,
        }
    }

    fn note(&self, fault: Option<&Fault>) {
        let mut health = self.health();
        health.asked = health.asked.saturating_add(1);
        health.fault = fault.cloned();
        let Some(fault) = fault else {
            health.in_a_row = 0;
            health.rests_until = None;
            return;
        };
        if health.in_a_row == 0 {
            tracing::warn!("{} socket {}: {fault}", self.kind.name(), self.path.display());
        }
        health.failed = health.failed.saturating_add(1);
        let rest = FIRST_REST.saturating_mul(1 << health.in_a_row.min(MAX_DOUBLINGS));
        health.rests_until = Instant::now().checked_add(rest);
        health.in_a_row = health.in_a_row.saturating_add(1);
    }

    pub(crate) fn report(&self) -> SocketReport {
        let health = self.health();
        let state = match &health.fault {
            _ if !self.exists() => SocketState::Absent,
            Some(fault) => SocketState::Failing(fault.clone()),
            None => SocketState::Up,
        };
        let (kind, path) = (self.kind, self.path.clone());
        SocketReport { kind, path, state, asked: health.asked, failed: health.failed }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
