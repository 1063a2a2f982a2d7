//! Look-ups that may wait for a file system, on threads of their own: whoever mounts one that never answers holds up such
//! a thread, and no event. A thread that is held up has a place, and gives it back when the file system answers or is gone.

use std::{
    os::fd::OwnedFd,
    sync::{
        Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

/// How long an event waits for an answer; one takes some 50 µs. A machine that runs tests may be too busy for it.
const PATIENCE: Duration = Duration::from_millis(if cfg!(test) { 500 } else { 5 });
/// Without such look-ups after one that was not answered: a file system that answers too late, again and again, must not
/// hold up the events by more than a twentieth of the time.
const REST: Duration = Duration::from_millis(100);
/// Threads that may be held up; as long as so many are, there are no such look-ups.
pub(super) const MAX_HELD_UP: usize = 8;

/// A path below an opened root directory.
type Question = (OwnedFd, Vec<u8>);
type Answer = Option<OwnedFd>;

/// The threads that look.
#[derive(Debug, Default)]
pub(super) struct Slow(Mutex<Workers>);

#[derive(Debug, Default)]
struct Workers {
    free: Option<Worker>,
    held_up: Vec<Worker>,
    rests_until: Option<Instant>,
}

#[derive(Debug)]
struct Worker {
    questions: SyncSender<Question>,
    answers: Receiver<Answer>,
}

impl Slow {
    /// What the path leads to, if it can be told soon.
    pub(super) fn look_up(&self, root: OwnedFd, path: Vec<u8>) -> Answer {
        self.workers().look_up((root, path))
    }

    /// How many look-ups wait for a file system.
    pub(super) fn held_up(&self) -> usize {
        self.workers().held_up.len()
    }

    fn workers(&self) -> MutexGuard<'_, Workers> {
        let mut workers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        workers.take_back();
        workers
    }
}

impl Workers {
    fn look_up(&mut self, question: Question) -> Answer {
        if self.rests_until.is_some_and(|end| Instant::now() < end) {
            return None;
        }
        let worker = self.free.take().or_else(|| self.start())?;
        worker.questions.try_send(question).ok()?;
        match worker.answers.recv_timeout(PATIENCE) {
            Ok(answer) => {
                self.free = Some(worker);
                return answer;
            }
            Err(RecvTimeoutError::Timeout) => self.hold_up(worker),
            Err(RecvTimeoutError::Disconnected) => {}
        }
        None
    }

    fn start(&self) -> Option<Worker> {
        if self.is_off() { None } else { Worker::start() }
    }

    fn is_off(&self) -> bool {
        self.held_up.len() >= MAX_HELD_UP
    }

    fn hold_up(&mut self, worker: Worker) {
        self.held_up.push(worker);
        self.rests_until = Instant::now().checked_add(REST);
        if self.is_off() {
            tracing::warn!(
                held_up = MAX_HELD_UP,
                "A file system does not answer: where links lead that are not quite new is not told until it does or \
                 is unmounted"
            );
        }
    }

    /// Frees the places of those whose file system answered, too late for the event.
    fn take_back(&mut self) {
        let was_off = self.is_off();
        self.free = self.held_up.extract_if(.., |worker| worker.is_back()).last().or(self.free.take());
        if was_off && !self.is_off() {
            tracing::info!("It is told again where links lead: a file system answers");
        }
    }
}

impl Worker {
    fn start() -> Option<Self> {
        let ((questions, asked), (answer, answers)) = (sync_channel(1), channel());
        let thread = thread::Builder::new().name("links".to_owned());
        thread.spawn(move || work(&asked, &answer)).ok()?;
        Some(Self { questions, answers })
    }

    /// Whether the answer came that nobody waits for any more; or none ever will, as the thread ended.
    fn is_back(&self) -> bool {
        !matches!(self.answers.try_recv(), Err(TryRecvError::Empty))
    }
}

fn work(asked: &Receiver<Question>, answers: &Sender<Answer>) {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    while let Ok((root, path)) = asked.recv() {
        let found = openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT).ok();
        if answers.send(found).is_err() {
            return;
        }
    }
}
