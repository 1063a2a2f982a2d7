//! Addresses of the names that rules compare with, looked up by the machine's resolver beside the events. A look-up may
//! take as long as it likes: it holds up one of a few threads, and nothing else.

mod table;

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, ToSocketAddrs},
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::Instant,
};

use prometheus::proto::MetricType;
use saker_events::{SYSCALL_SOURCE, fields, host_names::HostNames};
use saker_rules::load::Loaded;
use serde::Serialize;

use crate::metrics::family::{Extra, Spec};
use table::{Name, Table, Turn};

const NAMES: Spec =
    ("saker_host_names", "Names that rules compare with, by what is known", MetricType::GAUGE);
const ADDRESSES: Spec =
    ("saker_host_name_addresses", "Addresses of names, those beyond the bound apart", MetricType::GAUGE);
const LOOKUPS: Spec =
    ("saker_host_name_lookups_total", "Look-ups of names by what they came to", MetricType::COUNTER);

/// Look-ups at a time.
const MAX_THREADS: usize = 4;

/// Shared by the status, the metrics and the reload of rules. Without look-ups all is zero.
#[derive(Default)]
pub struct State(OnceLock<Arc<Lookups>>);

/// The part of `/status` about names of addresses.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    names: BTreeMap<&'static str, usize>,
    addresses: BTreeMap<&'static str, usize>,
    lookups: BTreeMap<&'static str, u64>,
    faults: Vec<Fault>,
}

#[derive(Debug, Serialize)]
struct Fault {
    name: String,
    reason: String,
    /// Whether addresses from before count.
    kept: bool,
}

/// Finds out the addresses of a name.
type LookUp = Box<dyn Fn(&str) -> Result<Vec<IpAddr>, String> + Send + Sync>;

struct Lookups {
    table: Mutex<Table>,
    /// The names changed.
    changed: Condvar,
    threads: Mutex<usize>,
    known: HostNames,
    look_up: LookUp,
}

impl State {
    /// Names are looked up from now on; what is known of them is in the answer.
    pub fn start(&self) -> HostNames {
        self.0.get_or_init(|| Lookups::new(Box::new(ask_the_machine))).known.clone()
    }

    /// Looks up the names that the rules compare with.
    pub fn want(&self, loaded: &Loaded) {
        let Some(lookups) = self.0.get() else { return };
        if let Err(error) = lookups.want(loaded.compared(SYSCALL_SOURCE, fields::is_host_name)) {
            tracing::error!(%error, "No thread can be started to look names up");
        }
    }

    /// Rules that compare with names of which no address is known, with the reason.
    pub fn blind(&self) -> Vec<(String, String)> {
        self.0.get().map(|lookups| lookups.table().blind()).unwrap_or_default()
    }

    /// For `/status`.
    pub fn report(&self) -> Report {
        self.0.get().map(|lookups| Report::of(&lookups.table())).unwrap_or_default()
    }

    /// For `/metrics`.
    pub fn metrics(&self) -> Extra {
        let Report { names, addresses, lookups, .. } = self.report();
        let label = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        let gauge = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let names = names.into_iter().map(|(state, n)| (NAMES, label("state", state), gauge(n)));
        let addresses = addresses.into_iter().map(|(state, n)| (ADDRESSES, label("state", state), gauge(n)));
        let lookups = lookups.into_iter().map(|(result, n)| (LOOKUPS, label("result", result), n));
        names.chain(addresses).chain(lookups).collect()
    }
}

impl Report {
    fn of(table: &Table) -> Self {
        let mut names =
            BTreeMap::from([("known", 0), ("kept", 0), ("unknown", 0), ("refused", table.refused())]);
        let mut addresses = BTreeMap::from([("known", 0), ("left_out", 0)]);
        let mut faults = Vec::new();
        for (key, name) in table.names() {
            *names.entry(state(name)).or_default() += 1;
            *addresses.entry("known").or_default() += name.addresses.len();
            *addresses.entry("left_out").or_default() += name.left_out;
            let kept = !name.addresses.is_empty();
            let fault = name.fault.clone();
            faults.extend(fault.map(|reason| Fault { name: key.to_string(), reason, kept }));
        }
        let lookups = BTreeMap::from([("found", table.found), ("failed", table.failed)]);
        Self { names, addresses, lookups, faults }
    }
}

fn state(name: &Name) -> &'static str {
    match (name.addresses.is_empty(), &name.fault) {
        (true, _) => "unknown",
        (false, Some(_)) => "kept",
        (false, None) => "known",
    }
}

impl Lookups {
    fn new(look_up: LookUp) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::default(),
            changed: Condvar::new(),
            threads: Mutex::default(),
            known: HostNames::looked_up(),
            look_up,
        })
    }

    /// Looks up the texts that these rules compare with, and no others.
    fn want<'r>(
        self: &Arc<Self>,
        compared: impl Iterator<Item = (&'r str, Vec<&'r [u8]>)>,
    ) -> io::Result<()> {
        let mut table = self.table();
        table.want(compared, Instant::now());
        self.known.swap(table.by_address());
        let names = table.names().count();
        drop(table);
        self.changed.notify_all();
        self.start_threads(names)
    }

    /// As many as can be of use; they stay, and end with the program.
    fn start_threads(self: &Arc<Self>, names: usize) -> io::Result<()> {
        let mut threads = lock(&self.threads);
        while *threads < names.min(MAX_THREADS) {
            let lookups = Arc::clone(self);
            thread::Builder::new().name("host-names".to_owned()).spawn(move || lookups.work())?;
            *threads += 1;
        }
        Ok(())
    }

    fn work(&self) {
        loop {
            let name = self.next();
            let answer = (self.look_up)(&name);
            let mut table = self.table();
            if table.answer(&name, answer, Instant::now()) {
                self.known.swap(table.by_address());
            }
        }
    }

    /// Waits for the next name to look up.
    fn next(&self) -> Arc<str> {
        let mut table = self.table();
        loop {
            table = match table.next(Instant::now()) {
                Turn::Ask(name) => return name,
                Turn::Wait(None) => self.changed.wait(table).unwrap_or_else(PoisonError::into_inner),
                Turn::Wait(Some(pause)) => {
                    self.changed.wait_timeout(table, pause).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }
}

/// Asks whom the machine asks: its files, then its name servers. Both are in the C library, also in that of the image's
/// program, which has no other modules to ask.
fn ask_the_machine(name: &str) -> Result<Vec<IpAddr>, String> {
    let found = (name, 0).to_socket_addrs().map_err(|error| error.to_string())?;
    Ok(found.map(|address| address.ip()).collect())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc::{Receiver, Sender, channel},
        time::Duration,
    };

    use super::*;

    const PATIENCE: Duration = Duration::from_mins(1);

    /// Look-ups of which those of `slow…` never end; each tells its name first.
    fn lookups() -> (Arc<Lookups>, Receiver<String>) {
        let (sender, asked): (Sender<String>, _) = channel();
        let look_up = move |name: &str| {
            // An error says that the test is over.
            drop(sender.send(name.to_owned()));
            while name.starts_with("slow") {
                thread::park();
            }
            Ok(vec![IpAddr::from([10, 0, 0, 1])])
        };
        (Lookups::new(Box::new(look_up)), asked)
    }

    fn want(lookups: &Arc<Lookups>, names: &[&'static str]) {
        let texts = names.iter().map(|name| name.as_bytes()).collect();
        lookups.want([("r", texts)].into_iter()).unwrap();
    }

    fn until(lookups: &Arc<Lookups>, done: impl Fn(&Report) -> bool) -> Report {
        let start = Instant::now();
        loop {
            let report = Report::of(&lookups.table());
            if done(&report) {
                return report;
            }
            assert!(start.elapsed() < PATIENCE, "{report:?}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_look_up_that_hangs_holds_up_no_other() {
        let (lookups, asked) = lookups();
        want(&lookups, &["slow1", "slow2", "slow3", "quick1", "quick2"]);
        let mut all: Vec<_> = (0..5).map(|_| asked.recv_timeout(PATIENCE).unwrap()).collect();
        let report = until(&lookups, |report| report.names["known"] == 2);
        assert_eq!((report.names["unknown"], report.lookups["found"]), (3, 2), "{report:?}");
        let blind = lookups.table().blind();
        assert!(blind[0].1.contains("'slow1', 'slow2', 'slow3'"), "{blind:?}");
        // New rules do not wait for it, either.
        want(&lookups, &["slow1", "quick3"]);
        until(&lookups, |report| report.names["known"] == 1 && report.lookups["found"] == 3);
        all.extend(asked.try_iter());
        all.sort();
        assert_eq!(all, ["quick1", "quick2", "quick3", "slow1", "slow2", "slow3"], "each once");
    }

    #[test]
    fn the_machine_knows_what_is_a_name() {
        // No file or name server has these.
        assert_eq!(ask_the_machine("192.0.2.1"), Ok(vec![IpAddr::from([192, 0, 2, 1])]));
        assert!(ask_the_machine("no name\0").is_err());
    }

    #[test]
    fn nothing_is_looked_up_before_the_start() {
        let state = State::default();
        assert!(state.metrics().is_empty() && state.blind().is_empty());
        state.start();
        assert_eq!(state.metrics().len(), 8);
    }
}
