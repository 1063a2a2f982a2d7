//! Look-ups: a queue, all sockets asked at once, and a later try for what was not told in time.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use saker_events::container::{Container, Engine, Lookup, Metadata};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::{Instant, sleep, timeout},
};

use crate::{
    Counts, Kind, Settings, SocketReport,
    counters::{Counters, count},
    limits::Limits,
    socket::Socket,
};

/// Time that events wait for an answer.
const PATIENCE: Duration = Duration::from_millis(if cfg!(test) { 5000 } else { 500 });
/// Between two tries in that time: a container may be seen before its runtime has noted it down.
const PAUSE: Duration = Duration::from_millis(50);
/// Before each later try.
const LATER: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(40)];
/// Before each further try, as long as the container has a process: its runtime may be down for a long time.
const SLOW: Duration = Duration::from_mins(5);
/// References to a container that nobody but the engine's table and its look-up keeps.
const UNUSED: usize = 2;
/// Containers that wait for a look-up.
const QUEUE: usize = 1024;
/// Look-ups at the same time.
const PARALLEL: usize = 16;
/// Containers that are given a later try.
const MAX_LATER: usize = 1024;
/// How often sockets are looked for.
const WATCH: Duration = Duration::from_secs(5);

/// Finds out about containers; clones share everything.
#[derive(Debug, Clone)]
pub struct Containers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    sockets: Vec<Socket>,
    queue: mpsc::Sender<(Arc<Container>, Instant)>,
    counters: Counters,
    parallel: Semaphore,
    later: Semaphore,
    available: watch::Sender<bool>,
}

/// What came of asking all sockets.
enum Outcome {
    Found(Box<Metadata>),
    /// Nobody knows the container.
    Unknown,
    /// There was nobody to ask.
    Nobody,
}

impl Containers {
    /// Looks containers up from now on, on the current Tokio runtime.
    pub fn start(settings: &Settings) -> Self {
        let limits = Limits { label_max_len: settings.label_max_len };
        let engines = settings.engines.iter();
        let paths = engines.flat_map(|engine| engine.sockets.iter().map(|path| (engine.kind, path)));
        let sockets: Vec<_> = paths.map(|(kind, path)| Socket::new(kind, path.clone(), limits)).collect();
        let (queue, mut asked) = mpsc::channel(QUEUE);
        let available = watch::Sender::new(sockets.iter().any(Socket::exists));
        let shared = Arc::new(Shared {
            sockets,
            queue,
            counters: Counters::default(),
            parallel: Semaphore::new(PARALLEL),
            later: Semaphore::new(MAX_LATER),
            available,
        });
        let worker = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Some((container, since)) = asked.recv().await {
                tokio::spawn(Arc::clone(&worker).resolve(container, since));
            }
        });
        tokio::spawn(Arc::clone(&shared).watch());
        Self(shared)
    }

    /// Whether there is any socket to ask; told again when that changes.
    pub fn available(&self) -> watch::Receiver<bool> {
        self.0.available.subscribe()
    }

    /// What look-ups came to.
    pub fn counts(&self) -> Counts {
        self.0.counters.read()
    }

    /// The sockets and what became of their look-ups.
    pub fn sockets(&self) -> Vec<SocketReport> {
        self.0.sockets.iter().map(Socket::report).collect()
    }
}

impl Lookup for Containers {
    fn look_up(&self, container: &Arc<Container>) {
        // LXC has no socket to ask.
        if container.engine == Engine::Lxc || self.0.sockets.is_empty() {
            return;
        }
        count(&self.0.counters.asked);
        container.set_pending(true);
        if self.0.queue.try_send((Arc::clone(container), Instant::now())).is_err() {
            container.set_pending(false);
            count(&self.0.counters.refused);
        }
    }
}

impl Shared {
    /// Looks a container up until it is found or gone.
    async fn resolve(self: Arc<Self>, container: Arc<Container>, since: Instant) {
        let soon = timeout(PATIENCE.saturating_sub(since.elapsed()), self.soon(&container)).await;
        container.set_pending(false);
        if soon == Ok(true) {
            return count(&self.counters.found);
        }
        let Ok(_permit) = self.later.try_acquire() else { return count(&self.counters.refused) };
        for pause in LATER {
            sleep(pause).await;
            if self.found_late(&container).await {
                return;
            }
        }
        count(&self.counters.missing);
        while Arc::strong_count(&container) > UNUSED && !self.found_late(&container).await {
            sleep(SLOW).await;
        }
    }

    /// One try after events have stopped waiting.
    async fn found_late(&self, container: &Container) -> bool {
        let Outcome::Found(metadata) = self.ask(container).await else { return false };
        container.set_metadata(*metadata);
        count(&self.counters.late);
        count(&self.counters.found);
        true
    }

    /// Tries again and again while events wait; whether the container was found.
    async fn soon(&self, container: &Container) -> bool {
        loop {
            match self.ask(container).await {
                Outcome::Found(metadata) => {
                    container.set_metadata(*metadata);
                    return true;
                }
                Outcome::Nobody => return false,
                Outcome::Unknown => sleep(PAUSE).await,
            }
        }
    }

    /// The CRI and Docker know more of a container than containerd itself, which is asked last.
    async fn ask(&self, container: &Container) -> Outcome {
        let _permit = self.parallel.acquire().await;
        let mut outcome = Outcome::Nobody;
        for last in [false, true] {
            let sockets =
                self.sockets.iter().filter(|s| (s.kind == Kind::Containerd) == last && s.is_ready());
            let mut answers: FuturesUnordered<_> = sockets.map(|s| s.find(&container.full_id)).collect();
            while let Some(answer) = answers.next().await {
                match answer {
                    Ok(Some(metadata)) => return Outcome::Found(Box::new(metadata)),
                    Ok(None) => outcome = Outcome::Unknown,
                    // The socket has noted it.
                    Err(_) => {}
                }
            }
        }
        outcome
    }

    /// Tells when the first socket appears and when the last one goes.
    async fn watch(self: Arc<Self>) {
        loop {
            sleep(WATCH).await;
            let any = self.sockets.iter().any(Socket::exists);
            self.available.send_if_modified(|known| std::mem::replace(known, any) != any);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tempfile::TempDir;

    use super::*;
    use crate::{
        SocketState,
        fake::{self, Manner},
    };

    fn container() -> Arc<Container> {
        Arc::new(Container::new("3".repeat(64), Engine::Containerd))
    }

    fn engine(kind: Kind, path: &Path) -> crate::Engine {
        crate::Engine { kind, sockets: vec![path.to_owned()] }
    }

    fn start(engines: Vec<crate::Engine>) -> Containers {
        Containers::start(&Settings { engines, label_max_len: 100 })
    }

    /// Looks a container up and waits as long as an event would; returns how long that was.
    async fn look_up(containers: &Containers, container: &Arc<Container>) -> Duration {
        let start = Instant::now();
        containers.look_up(container);
        until("it is looked up", || !container.is_pending()).await;
        start.elapsed()
    }

    async fn until(what: &str, done: impl Fn() -> bool) {
        let start = Instant::now();
        while !done() {
            assert!(start.elapsed() < Duration::from_mins(1), "not within a minute: {what}");
            sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn runtimes_answer_or_are_survived() {
        let cases = [
            (Manner::Answers, "Up"),
            (Manner::KnowsNothing, "Up"),
            (Manner::Hangs, "Failing(Timeout)"),
            (Manner::Lies, "Failing(Wrong)"),
            (Manner::Overflows, "Failing(Refused"),
            (Manner::Refuses, "Failing(Refused"),
            (Manner::Closes, "Failing("),
            (Manner::Babbles, "Failing("),
        ];
        for (manner, expected) in cases {
            let dir = TempDir::new().unwrap();
            let path = dir.path().join("cri.sock");
            fake::cri(&path, manner);
            let (containers, container) = (start(vec![engine(Kind::Cri, &path)]), container());
            look_up(&containers, &container).await;
            assert_eq!(container.metadata().is_some(), manner == Manner::Answers, "{manner:?}");
            let report = containers.sockets().remove(0);
            assert!(format!("{:?}", report.state).starts_with(expected), "{manner:?}: {report:?}");
        }
    }

    #[tokio::test]
    async fn the_cri_tells_of_the_container_and_its_pod() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("cri.sock");
        fake::cri(&path, Manner::Answers);
        let (containers, container) = (start(vec![engine(Kind::Cri, &path)]), container());
        look_up(&containers, &container).await;
        let metadata = container.metadata().unwrap();
        let pod = metadata.pod.as_ref().unwrap();
        assert_eq!((metadata.name.as_str(), metadata.image_tag()), ("web", "1.27"));
        assert_eq!((metadata.image_digest.as_str(), metadata.privileged), ("sha256:00ff", Some(true)));
        assert_eq!((pod.name.as_str(), pod.namespace.as_str(), pod.uid.as_str()), ("web-0", "shop", "3e41"));
        assert_eq!((pod.sandbox_id.as_str(), metadata.cni_json.as_str()), ("5a", r#"{"Interfaces":{}}"#));
        assert_eq!(containers.counts(), Counts { asked: 1, found: 1, ..Counts::default() });
    }

    #[tokio::test]
    async fn docker_answers_while_another_runtime_hangs() {
        let answer = r#"{"Id": "ID", "Name": "/web", "Image": "sha256:00", "Config": {"Image": "nginx:1.27",
            "Labels": {"io.kubernetes.pod.name": "web-0"}, "Healthcheck": {"Test": ["CMD-SHELL", "true"]}},
            "HostConfig": {"Privileged": true, "NetworkMode": "host"}, "RepoDigests": ["nginx@sha256:ff"],
            "Mounts": [{"Source": "/a", "Destination": "/b", "Mode": "z", "RW": true, "Propagation": "rprivate"}],
            "NetworkSettings": {"IPAddress": "", "Networks": {"bridge": {"IPAddress": "172.17.0.2"}}}}"#;
        let dir = TempDir::new().unwrap();
        let (hangs, docker) = (dir.path().join("cri.sock"), dir.path().join("docker.sock"));
        fake::cri(&hangs, Manner::Hangs);
        fake::docker(&docker, "200 OK", answer);
        let containers = start(vec![engine(Kind::Cri, &hangs), engine(Kind::Docker, &docker)]);
        let container = container();
        look_up(&containers, &container).await;
        let metadata = container.metadata().unwrap();
        assert_eq!((metadata.name.as_str(), metadata.image.as_str()), ("web", "nginx:1.27"));
        assert_eq!((metadata.image_id.as_str(), metadata.image_digest.as_str()), ("00", "sha256:ff"));
        assert_eq!((metadata.host_network, metadata.host_pid), (Some(true), Some(false)));
        assert_eq!(metadata.mounts[0].text(), "/a:/b:z:true:rprivate");
        assert_eq!((metadata.healthcheck.as_str(), metadata.ip.as_str()), ("/bin/sh -c true", "172.17.0.2"));
        assert_eq!(metadata.pod.as_ref().unwrap().name, "web-0");
        assert_eq!(container.engine(), Engine::Docker);
    }

    #[tokio::test]
    async fn docker_may_answer_with_anything() {
        for (status, answer) in [
            ("404 Not Found", "{}"),
            ("500 Oops", "{}"),
            ("200 OK", "[]"),
            ("200 OK", r#"{"Id": 7}"#),
            ("200 OK", r#"{"Id": "another"}"#),
            ("999 x", ""),
        ] {
            let dir = TempDir::new().unwrap();
            let path = dir.path().join("docker.sock");
            fake::docker(&path, status, answer);
            let (containers, container) = (start(vec![engine(Kind::Docker, &path)]), container());
            look_up(&containers, &container).await;
            assert!(container.metadata().is_none(), "{status} {answer}");
            assert!(containers.sockets()[0].asked > 0, "{status} {answer}");
        }
    }

    #[tokio::test]
    async fn a_socket_that_fails_is_left_alone_for_a_while() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("cri.sock");
        fake::cri(&path, Manner::Hangs);
        let containers = start(vec![engine(Kind::Cri, &path)]);
        look_up(&containers, &container()).await;
        look_up(&containers, &container()).await;
        let report = containers.sockets().remove(0);
        assert_eq!((report.asked, report.failed), (1, 1));
    }

    #[tokio::test]
    async fn a_runtime_that_comes_later_is_asked_then() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("cri.sock");
        let containers = start(vec![engine(Kind::Cri, &path)]);
        let container = container();
        look_up(&containers, &container).await;
        fake::cri(&path, Manner::Answers);
        until("it is found", || containers.counts().found > 0).await;
        assert!(container.metadata().is_some());
        assert_eq!((containers.counts().found, containers.counts().late), (1, 1));
    }

    #[tokio::test]
    async fn without_a_socket_nobody_waits() {
        let dir = TempDir::new().unwrap();
        let containers = start(vec![engine(Kind::Cri, &dir.path().join("none.sock"))]);
        assert!(!*containers.available().borrow());
        let waited = look_up(&containers, &container()).await;
        assert!(waited < PATIENCE, "{waited:?}");
        assert_eq!(containers.sockets()[0].state, SocketState::Absent);
    }

    #[tokio::test]
    async fn a_crowd_is_refused_and_counted() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("cri.sock");
        fake::cri(&path, Manner::Answers);
        let containers = start(vec![engine(Kind::Cri, &path)]);
        // Nothing is taken from the queue before this task waits.
        let crowd: Vec<_> = (0..=QUEUE).map(|_| container()).collect();
        for container in &crowd {
            containers.look_up(container);
        }
        assert!(!crowd[QUEUE].is_pending() && crowd[0].is_pending());
        assert_eq!(containers.counts().refused, 1);
    }
}
