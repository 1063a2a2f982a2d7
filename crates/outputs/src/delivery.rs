//! From a queue to a transport: bounded, retried, counted; one worker thread per output.

use std::{
    hash::{BuildHasher, RandomState},
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use saker_alert::Alert;

/// The least time between two log lines about the same output.
const COMPLAINT_INTERVAL: Duration = Duration::from_mins(1);

/// Carries alerts to one place. It runs on the output's own thread and may block.
pub trait Transport: Send {
    /// Sends one alert.
    fn send(&mut self, alert: &Alert) -> Result<(), SendError>;

    /// Opens anew what it holds open, after a log rotation.
    fn reopen(&mut self) {}
}

/// An alert that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Another attempt would fail as well.
    #[error("{0}")]
    Final(String),
    /// Worth so many attempts in all, with growing pauses between them.
    #[error("{reason}")]
    Retry {
        /// What went wrong.
        reason: String,
        /// Attempts in all before the alert is given up.
        attempts: u32,
    },
}

/// What became of the alerts given to one output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Taken by the sink.
    pub sent: u64,
    /// Given up after the sink refused or the attempts were used up.
    pub failed: u64,
    /// Not queued because the queue was full, or still queued at the end.
    pub dropped: u64,
}

/// Pauses between attempts.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// Upper bound of the first pause.
    pub first: Duration,
    /// Upper bound of every pause.
    pub most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), most: Duration::from_mins(1) }
    }
}

impl Backoff {
    /// A random part (at least half, so that a pause is one) of the doubled bound: nodes that lost
    /// the same sink do not return to it all at once.
    fn pause(self, attempt: u32) -> Duration {
        let bound = self.first.saturating_mul(1 << attempt.min(16)).min(self.most);
        let random = RandomState::new().hash_one(attempt) % 1000;
        bound.mul_f64(0.5 + f64::from(u32::try_from(random).unwrap_or(0)) / 2000.0)
    }
}

/// One output at work.
pub struct Delivery {
    queue: Mutex<Option<SyncSender<Arc<Alert>>>>,
    capacity: usize,
    shared: Arc<Shared>,
    ended: Mutex<Receiver<()>>,
}

/// What the worker and the owner both see.
struct Shared {
    name: &'static str,
    backoff: Backoff,
    queued: AtomicU64,
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    reopen: AtomicBool,
    deadline: Mutex<Option<Instant>>,
    closing: Condvar,
}

impl Delivery {
    /// Starts the worker of an output with a queue of `capacity` alerts.
    pub fn start(
        name: &'static str,
        transport: Box<dyn Transport>,
        capacity: usize,
        backoff: Backoff,
    ) -> io::Result<Self> {
        let (queue, alerts) = mpsc::sync_channel(capacity);
        let (alive, ended) = mpsc::channel();
        let shared = Arc::new(Shared {
            name,
            backoff,
            queued: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            reopen: AtomicBool::new(false),
            deadline: Mutex::new(None),
            closing: Condvar::new(),
        });
        let worker = Worker { transport, complaints: Complaints::default(), shared: Arc::clone(&shared) };
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            worker.run(&alerts);
            drop(alive);
        })?;
        Ok(Self { queue: Mutex::new(Some(queue)), capacity, shared, ended: Mutex::new(ended) })
    }

    /// The output's name.
    pub fn name(&self) -> &'static str {
        self.shared.name
    }

    /// Queues an alert without waiting; a full queue drops and counts it.
    pub fn send(&self, alert: &Arc<Alert>) {
        let queue = lock(&self.queue);
        let taken = queue.as_ref().is_some_and(|queue| queue.try_send(Arc::clone(alert)).is_ok());
        let counter = if taken { &self.shared.queued } else { &self.shared.dropped };
        counter.fetch_add(1, Relaxed);
    }

    /// Whether so many alerts, or half the queue if that is less, would be taken.
    pub fn has_room(&self, alerts: usize) -> bool {
        let Counts { sent, failed, .. } = self.counts();
        let waiting = self.shared.queued.load(Relaxed).saturating_sub(sent.saturating_add(failed));
        let free = self.capacity.saturating_sub(usize::try_from(waiting).unwrap_or(usize::MAX));
        free >= alerts.min(self.capacity.div_ceil(2))
    }

    /// Has the transport opened anew before the next alert.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Relaxed);
    }

    /// What became of the alerts so far.
    pub fn counts(&self) -> Counts {
        let shared = &self.shared;
        Counts {
            sent: shared.sent.load(Relaxed),
            failed: shared.failed.load(Relaxed),
            dropped: shared.dropped.load(Relaxed),
        }
    }

    /// Takes no more alerts and gives the queued ones until `deadline`.
    pub fn begin_close(&self, deadline: Instant) {
        *lock(&self.queue) = None;
        *lock(&self.shared.deadline) = Some(deadline);
        self.shared.closing.notify_all();
    }

    /// Waits for the worker until the deadline given to [`Self::begin_close`]. What a sink that
    /// hangs still holds then is counted as dropped.
    pub fn finish_close(&self, deadline: Instant) -> Counts {
        // An error is what we wait for: the worker has let go of the other end.
        let _ = lock(&self.ended).recv_timeout(deadline.saturating_duration_since(Instant::now()));
        let counts = self.counts();
        let settled = counts.sent.saturating_add(counts.failed);
        let left = self.shared.queued.load(Relaxed).saturating_sub(settled);
        Counts { dropped: counts.dropped.saturating_add(left), ..counts }
    }
}

impl Shared {
    fn is_over(&self) -> bool {
        lock(&self.deadline).is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Waits, at most until the deadline; closing cuts the first wait short for a last attempt.
    fn pause(&self, pause: Duration) {
        let deadline = lock(&self.deadline);
        match *deadline {
            Some(at) => {
                drop(deadline);
                thread::sleep(pause.min(at.saturating_duration_since(Instant::now())));
            }
            None => drop(self.closing.wait_timeout_while(deadline, pause, |deadline| deadline.is_none())),
        }
    }
}

/// What the mutexes guard is never left half changed, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Worker {
    transport: Box<dyn Transport>,
    complaints: Complaints,
    shared: Arc<Shared>,
}

impl Worker {
    fn run(mut self, alerts: &Receiver<Arc<Alert>>) {
        while let Ok(alert) = alerts.recv() {
            if self.shared.is_over() {
                return;
            }
            if self.shared.reopen.swap(false, Relaxed) {
                self.transport.reopen();
            }
            self.deliver(&alert);
        }
    }

    fn deliver(&mut self, alert: &Alert) {
        for attempt in 0.. {
            match self.transport.send(alert) {
                Ok(()) => return self.sent(),
                Err(error) => {
                    self.complaints.complain(self.shared.name, &error);
                    if !self.again(&error, attempt) {
                        self.shared.failed.fetch_add(1, Relaxed);
                        return;
                    }
                }
            }
        }
    }

    /// Waits for the next attempt, if there is to be one.
    fn again(&self, error: &SendError, attempt: u32) -> bool {
        let SendError::Retry { attempts, .. } = error else { return false };
        if attempt.saturating_add(1) >= *attempts || self.shared.is_over() {
            return false;
        }
        self.shared.pause(self.shared.backoff.pause(attempt));
        true
    }

    fn sent(&mut self) {
        self.shared.sent.fetch_add(1, Relaxed);
        self.complaints.recovered(self.shared.name);
    }
}

/// Says that an output fails, once a minute, and that it works again.
#[derive(Default)]
struct Complaints {
    last: Option<Instant>,
    since: u64,
    failing: bool,
}

impl Complaints {
    fn complain(&mut self, output: &str, error: &SendError) {
        self.failing = true;
        self.since = self.since.saturating_add(1);
        if self.last.is_some_and(|last| last.elapsed() < COMPLAINT_INTERVAL) {
            return;
        }
        tracing::error!(output, attempts = self.since, %error, "An alert could not be delivered");
        self.last = Some(Instant::now());
        self.since = 0;
    }

    fn recovered(&mut self, output: &str) {
        if self.failing {
            tracing::info!(output, "Alerts are delivered again");
            self.failing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;
    use crate::registry::tests::alert;

    const QUICK: Backoff = Backoff { first: Duration::from_millis(1), most: Duration::from_millis(5) };

    /// Answers every call through a function of its number.
    struct Scripted<F>(Arc<AtomicU32>, F);

    impl<F: FnMut(u32) -> Result<(), SendError> + Send> Transport for Scripted<F> {
        fn send(&mut self, _: &Alert) -> Result<(), SendError> {
            (self.1)(self.0.fetch_add(1, Relaxed))
        }
    }

    fn run(
        alerts: usize,
        capacity: usize,
        patience: Duration,
        script: impl FnMut(u32) -> Result<(), SendError> + Send + 'static,
    ) -> (Counts, u32) {
        let calls = Arc::new(AtomicU32::new(0));
        let transport = Box::new(Scripted(Arc::clone(&calls), script));
        let delivery = Delivery::start("test", transport, capacity, QUICK).unwrap();
        for _ in 0..alerts {
            delivery.send(&alert("m"));
        }
        let deadline = Instant::now() + patience;
        delivery.begin_close(deadline);
        (delivery.finish_close(deadline), calls.load(Relaxed))
    }

    fn retry(attempts: u32) -> Result<(), SendError> {
        Err(SendError::Retry { reason: "busy".to_owned(), attempts })
    }

    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn the_queue_is_drained_at_the_end() {
        let (counts, calls) = run(100, 100, LONG, |_| Ok(()));
        assert_eq!((counts, calls), (Counts { sent: 100, failed: 0, dropped: 0 }, 100));
    }

    #[test]
    fn a_retried_alert_arrives_once() {
        let (counts, calls) = run(2, 2, LONG, |n| if n < 3 { retry(9) } else { Ok(()) });
        assert_eq!((counts, calls), (Counts { sent: 2, failed: 0, dropped: 0 }, 5));
    }

    #[test]
    fn attempts_come_to_an_end() {
        let (counts, calls) = run(2, 2, LONG, |_| retry(3));
        assert_eq!((counts, calls), (Counts { sent: 0, failed: 2, dropped: 0 }, 6));
    }

    #[test]
    fn what_is_refused_is_not_sent_again() {
        let (counts, calls) = run(2, 2, LONG, |_| Err(SendError::Final("no".to_owned())));
        assert_eq!((counts, calls), (Counts { sent: 0, failed: 2, dropped: 0 }, 2));
    }

    #[test]
    fn a_hanging_sink_fills_its_queue_and_the_sum_is_kept() {
        let start = Instant::now();
        let (counts, _) = run(10, 2, Duration::from_millis(50), |_| {
            thread::sleep(LONG * 2);
            Ok(())
        });
        assert_eq!(counts, Counts { sent: 0, failed: 0, dropped: 10 });
        assert!(start.elapsed() < LONG, "closing waited for the sink");
    }

    #[test]
    fn an_unreachable_sink_does_not_hold_up_the_end() {
        let (counts, _) = run(5, 5, Duration::from_millis(50), |_| retry(u32::MAX));
        assert_eq!(counts.sent, 0);
        assert_eq!(counts.failed + counts.dropped, 5);
    }

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let backoff = Backoff::default();
        for (attempt, bound) in [(0, 1), (3, 8), (40, 60)] {
            let (pause, bound) = (backoff.pause(attempt), Duration::from_secs(bound));
            assert!(bound / 2 <= pause && pause <= bound, "{attempt}: {pause:?}");
        }
    }
}
