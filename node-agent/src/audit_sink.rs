//! What the cluster's AuditSink has this agent do: serve the API server's webhook with the operator's certificates, or
//! follow its log. And what the agent sees of the API server on its node, for the operator to read in `/status`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use saker_audit_setup::{
    Machine, Webhook,
    order::{self, ORDER, Order},
};
use saker_crds::agent::{self, ApiServer};
use saker_source_k8s_audit::{Access, Connections, Tls, TlsFiles};
use tokio::{
    select,
    sync::oneshot,
    task::{JoinHandle, block_in_place},
    time::{MissedTickBehavior, interval},
};

use crate::{
    audit::Audit, audit_access::given, audit_log::AuditLog, config::Config, status::Status, web::audit_routes,
};

/// How often the folder and the API server are looked at.
const PAUSE: Duration = Duration::from_secs(2);

/// A task that does what the AuditSink says.
pub struct AuditSink {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl AuditSink {
    /// Ends once what was taken is evaluated.
    pub async fn stop(self) {
        // Errors say that the task ended before.
        let _ = self.end.send(());
        let _ = self.task.await;
    }
}

/// Starts the task, if the configuration names a folder.
pub fn start(config: &Config, audit: &Audit, status: &Arc<Status>) -> Option<AuditSink> {
    let folder = given(&config.k8s_audit.sink_folder)?.to_owned();
    let (end, ended) = oneshot::channel();
    let follower = Follower {
        folder,
        root: root(),
        config: config.clone(),
        audit: audit.clone(),
        status: Arc::clone(status),
        serving: None,
        log: None,
        problem: String::new(),
    };
    Some(AuditSink { end, task: tokio::spawn(follower.run(ended)) })
}

/// The files of the node: in a pod that shares the node's processes, those of its first.
fn root() -> PathBuf {
    let root = PathBuf::from(env::var_os("HOST_ROOT").unwrap_or_else(|| "/".into()));
    if root.join("proc").exists() { root } else { PathBuf::from("/proc/1/root") }
}

struct Follower {
    folder: PathBuf,
    root: PathBuf,
    config: Config,
    audit: Audit,
    status: Arc<Status>,
    serving: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    log: Option<(PathBuf, AuditLog)>,
    /// What was last said, so that it is said once.
    problem: String,
}

impl Follower {
    async fn run(mut self, mut ended: oneshot::Receiver<()>) {
        let mut ticks = interval(PAUSE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            select! {
                _ = &mut ended => break,
                _ = ticks.tick() => {}
            }
            block_in_place(|| self.look());
            let problem = self.serve().err().map(|e| format!("{e:#}")).unwrap_or_default();
            if !problem.is_empty() && problem != self.problem {
                tracing::warn!("no audit events by the AuditSink's webhook yet: {problem}");
            }
            self.problem = problem;
        }
        if let Some((shutdown, server)) = self.serving.take() {
            let _ = shutdown.send(());
            let _ = server.await;
        }
        block_in_place(|| self.log.into_iter().for_each(|(_, log)| log.stop()));
    }

    /// Looks at the API server, and follows its log if that is wanted.
    fn look(&mut self) {
        let found = Machine::look(&self.root);
        let order = order(&self.folder);
        let log = found.as_ref().and_then(|machine| machine.log.clone());
        *self.status.api_server() = found.map(|machine| api_server(machine, order::answer(&self.root)));
        let named = Some(PathBuf::from(&order.log_file)).filter(|path| !path.as_os_str().is_empty());
        // A file that the configuration names is followed already.
        let wanted = order.tail && given(&self.config.k8s_audit.log_file).is_none();
        self.follow(named.or(log).filter(|_| wanted).map(|path| below(&self.root, &path)));
    }

    fn follow(&mut self, wanted: Option<PathBuf>) {
        if self.log.as_ref().map(|(path, _)| path) == wanted.as_ref() {
            return;
        }
        self.log.take().into_iter().for_each(|(_, log)| log.stop());
        let Some(path) = wanted else { return };
        match AuditLog::start(&path, &self.config, &self.audit, &self.status.audit) {
            Ok(log) => self.log = Some((path, log)),
            Err(e) => tracing::error!("cannot follow {}: {e}", path.display()),
        }
    }

    /// Serves the webhook as soon as there are certificates; later ones are read when they change.
    fn serve(&mut self) -> anyhow::Result<()> {
        if self.serving.is_some() {
            return Ok(());
        }
        let file = |name| self.folder.join(name);
        let files =
            TlsFiles { certificate: file("tls.crt"), key: file("tls.key"), client_ca: Some(file("ca.crt")) };
        let tls = Tls::load(files)?;
        let address = self.config.k8s_audit.sink_listen;
        let listener = saker_source_k8s_audit::listen(address)
            .map_err(|e| anyhow::anyhow!("cannot listen on {address} (k8s_audit.sink_listen): {e}"))?;
        let paths = saker_source_k8s_audit::Config::default().paths;
        let access = Access { token: None, certificate: true };
        let counters = Arc::clone(&self.status.audit);
        let routes = audit_routes(paths, access, Arc::clone(&counters), Some(self.audit.clone()));
        let connections = Connections { tls: Some(tls), ..Connections::default() };
        let (shutdown, ended) = oneshot::channel::<()>();
        let ended = async {
            let _ = ended.await;
        };
        tracing::info!("listening on https://{address} for the API server's audit events");
        let server = saker_source_k8s_audit::serve(listener, routes, connections, counters, ended);
        self.serving = Some((shutdown, tokio::spawn(server)));
        Ok(())
    }
}

/// What the operator orders; nothing as long as it has not.
fn order(folder: &Path) -> Order {
    let text = fs::read_to_string(folder.join(ORDER)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn api_server(machine: Machine, answer: Option<order::Answer>) -> ApiServer {
    ApiServer {
        distribution: machine.distribution.to_string(),
        webhook: match machine.webhook {
            Webhook::None => agent::Webhook::None,
            Webhook::Saker => agent::Webhook::Saker,
            Webhook::Other(path) => agent::Webhook::Other(path),
        },
        restart_required: machine.restart_required,
        policy: machine.policy,
        log: machine.log.map(|path| path.display().to_string()),
        answer: answer.map(|order::Answer { revision, outcome, message }| agent::Answer {
            revision,
            outcome: format!("{outcome:?}"),
            message,
        }),
    }
}
