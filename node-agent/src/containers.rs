//! What is known of containers: the runtimes' answers, and the events that waited for them.

use std::{
    collections::BTreeMap,
    env,
    path::Path,
    sync::{Mutex, OnceLock, PoisonError},
};

use prometheus::proto::MetricType;
use saker_containers::{Containers, Counts, SocketState};
use saker_engine::{SyscallEngine, containers, waiting};
use serde::Serialize;

use crate::{
    config::Config,
    metrics::family::{Extra, Spec},
};

const KNOWN: Spec = ("saker_containers", "Containers known", MetricType::GAUGE);
const TABLE: Spec = (
    "saker_containers_full_total",
    "Containers forgotten or refused because the table was full",
    MetricType::COUNTER,
);
const LOOKUPS: Spec =
    ("saker_container_lookups_total", "Look-ups of containers by what they came to", MetricType::COUNTER);
const EVENTS: Spec =
    ("saker_container_waits_total", "Events that waited for a container's metadata", MetricType::COUNTER);
const SOCKET_UP: Spec =
    ("saker_container_socket_up", "Whether a runtime's socket answers", MetricType::GAUGE);
const SOCKET_ASKED: Spec =
    ("saker_container_socket_asked_total", "Look-ups at a runtime's socket", MetricType::COUNTER);
const SOCKET_FAILED: Spec =
    ("saker_container_socket_failed_total", "Look-ups that a runtime's socket failed", MetricType::COUNTER);

/// Shared by the status, the metrics and the syscall source. Without look-ups all is zero.
#[derive(Debug, Default)]
pub struct State {
    lookups: OnceLock<Containers>,
    engine: Mutex<Engine>,
}

/// What the engine counts.
#[derive(Debug, Clone, Copy, Default)]
struct Engine {
    table: containers::Counters,
    waiting: waiting::Counters,
}

/// The part of `/status` about containers.
#[derive(Debug, Serialize)]
pub struct Report {
    known: u64,
    /// By what they came to.
    lookups: BTreeMap<&'static str, u64>,
    /// Events that waited, and how it ended.
    events: BTreeMap<&'static str, u64>,
    /// Sockets that exist.
    sockets: Vec<Socket>,
}

#[derive(Debug, Serialize)]
struct Socket {
    engine: &'static str,
    path: String,
    /// Empty if it answers.
    fault: String,
    asked: u64,
    failed: u64,
}

/// In a container, where the machine's root directory is mounted; Falco's name.
const HOST_ROOT: &str = "HOST_ROOT";

/// Starts to look containers up.
pub fn start(config: &Config) -> Containers {
    let root = env::var_os(HOST_ROOT).unwrap_or_else(|| "/".into());
    let containers = Containers::start(&config.container_engines.settings(Path::new(&root)));
    let sockets = containers.sockets().into_iter().filter(|socket| socket.state != SocketState::Absent);
    let sockets: Vec<_> = sockets.map(|s| format!("{} {}", s.kind.name(), s.path.display())).collect();
    if sockets.is_empty() {
        tracing::info!("no container runtime found: containers have ids, but no names, images and pods");
    } else {
        tracing::info!("container runtimes: {}", sockets.join(", "));
    }
    containers
}

impl State {
    /// Look-ups are made by this from now on.
    pub fn set(&self, containers: &Containers) {
        // An error says that they are made already.
        let _ = self.lookups.set(containers.clone());
    }

    /// Whether a runtime can be asked.
    pub fn available(&self) -> bool {
        self.lookups.get().is_some_and(|containers| *containers.available().borrow())
    }

    /// Takes over what the engine counted.
    pub fn note(&self, engine: &SyscallEngine) {
        let now = Engine { table: engine.containers(), waiting: engine.waiting() };
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn engine(&self) -> Engine {
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sockets(&self) -> Vec<Socket> {
        let sockets = self.lookups.get().into_iter().flat_map(Containers::sockets);
        let sockets = sockets.filter_map(|socket| {
            let fault = match socket.state {
                SocketState::Absent => return None,
                SocketState::Up => String::new(),
                SocketState::Failing(fault) => fault.to_string(),
            };
            let path = socket.path.display().to_string();
            Some(Socket {
                engine: socket.kind.name(),
                path,
                fault,
                asked: socket.asked,
                failed: socket.failed,
            })
        });
        sockets.collect()
    }

    fn lookups(&self) -> BTreeMap<&'static str, u64> {
        let counts = self.lookups.get().map(Containers::counts).unwrap_or_default();
        let Counts { asked, found, late, missing, refused } = counts;
        BTreeMap::from([
            ("asked", asked),
            ("found", found),
            ("late", late),
            ("missing", missing),
            ("refused", refused),
        ])
    }

    /// For `/status`.
    pub fn report(&self) -> Report {
        let Engine { table, waiting } = self.engine();
        Report {
            known: table.known,
            lookups: self.lookups(),
            events: events(waiting),
            sockets: self.sockets(),
        }
    }

    /// For `/metrics`.
    pub fn metrics(&self) -> Extra {
        let Engine { table, waiting } = self.engine();
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut rows = vec![(KNOWN, Vec::new(), table.known)];
        for (what, count) in [("forgotten", table.forgotten), ("refused", table.refused)] {
            rows.push((TABLE, vec![label("what", what)], count));
        }
        rows.extend(
            self.lookups().into_iter().map(|(result, n)| (LOOKUPS, vec![label("result", result)], n)),
        );
        rows.extend(events(waiting).into_iter().map(|(end, n)| (EVENTS, vec![label("end", end)], n)));
        for Socket { engine, path, fault, asked, failed } in self.sockets() {
            let labels = vec![label("engine", engine), label("path", &path)];
            rows.push((SOCKET_UP, labels.clone(), u64::from(fault.is_empty())));
            rows.push((SOCKET_ASKED, labels.clone(), asked));
            rows.push((SOCKET_FAILED, labels, failed));
        }
        rows
    }
}

fn events(waiting: waiting::Counters) -> BTreeMap<&'static str, u64> {
    let waiting::Counters { waited, late, crowded } = waiting;
    BTreeMap::from([("waited", waited), ("late", late), ("crowded", crowded)])
}

/// Calls `changed` whenever the first runtime appears or the last one goes.
pub fn watch(containers: &Containers, changed: impl Fn() + Send + 'static) {
    let mut available = containers.available();
    tokio::spawn(async move {
        while available.changed().await.is_ok() {
            changed();
        }
    });
}
