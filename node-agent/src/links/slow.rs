//! Look-ups that may wait for a file system, on a thread of their own: whoever mounts one that never answers holds up
//! that thread, and no event.

use std::{
    os::fd::OwnedFd,
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
    time::Duration,
};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

/// How long an event waits for an answer; one takes some 50 µs.
const PATIENCE: Duration = Duration::from_millis(5);
/// Threads that may be held up; after that there are no such look-ups any more.
const MAX_HELD_UP: usize = 8;

/// A path below an opened root directory.
type Question = (OwnedFd, Vec<u8>);
type Answer = Option<OwnedFd>;

/// The thread that looks now, and how many were held up before it.
#[derive(Debug, Default)]
pub(super) struct Slow(Mutex<(Option<Worker>, usize)>);

#[derive(Debug)]
struct Worker {
    questions: SyncSender<Question>,
    answers: Receiver<Answer>,
}

impl Slow {
    /// What the path leads to, if it can be told soon.
    pub(super) fn look_up(&self, root: OwnedFd, path: Vec<u8>) -> Answer {
        let (worker, held_up) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if worker.is_none() && *held_up < MAX_HELD_UP {
            *worker = Worker::start();
        }
        let asked = worker.as_ref().and_then(|worker| {
            worker.questions.try_send((root, path)).ok()?;
            worker.answers.recv_timeout(PATIENCE).ok()
        });
        if asked.is_none() && worker.take().is_some() {
            *held_up = held_up.saturating_add(1);
        }
        asked?
    }
}

impl Worker {
    fn start() -> Option<Self> {
        let ((questions, asked), (answer, answers)) = (sync_channel(1), channel());
        let thread = thread::Builder::new().name("links".to_owned());
        thread.spawn(move || work(&asked, &answer)).ok()?;
        Some(Self { questions, answers })
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
