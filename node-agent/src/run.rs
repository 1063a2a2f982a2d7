//! How the agent starts, what it waits for, and how it ends.

use std::{
    fs, io,
    io::Write as _,
    path::Path,
    process::ExitCode,
    sync::{Arc, mpsc::Sender},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use clap::Parser;
use saker_alert::Renderer;
use saker_containers::Containers;
use saker_engine::{AuditEngine, Links, Matching, Options, RulesHandle, SyscallEngine, hostname};
use saker_events::{container::Lookup, host_names::HostNames, process::Living, schema};
use saker_outputs::Outputs;
use saker_rules::{bundle::Bundle, ruleset::RuleSetBuilder};
use saker_source_k8s_audit::Access;
use saker_source_syscall::{FilterMode, HookState, Probe, RingBytes, Settings};
use tokio::{
    runtime::{Handle, Runtime},
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, oneshot},
};

use crate::{
    alerts::Alerts,
    args::{Args, Source},
    audit::Audit,
    audit_access::{self, given},
    audit_log::AuditLog,
    audit_silence,
    audit_sink::{self, AuditSink},
    bundle::{self, Cache},
    capture::Capture,
    config::{Config, EngineKind, K8sAudit, Kubernetes, RuleMatching, document},
    containers, log,
    reload::{self, Reloader, Update},
    rules_source::RulesSource,
    status::Status,
    summary,
    syscalls::{self, Control},
    wanted::Wanted,
    web::{self, Server},
};

/// Time for the outputs to deliver what is queued at the end.
const PATIENCE: Duration = Duration::from_secs(5);
/// What else can be done where the probe does not run.
const WITHOUT_SYSCALLS: &str = "\nRead syscall events as root (sudo saker-agent), or do without them, which needs no privileges: saker-agent --disable-source syscall";

/// The program: reads the command line, runs, and turns the result into an exit code.
pub fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nothing to do if standard error is closed.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    if args.config_schema {
        return print(&format!("{:#}", document::schema()));
    }
    let (config, warnings) = Config::load(args.config.as_deref(), &args.option)?;
    log::start(config.log_level);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let source = RulesSource::new(&config.rules_files, &args.rules);
    if args.dry_run {
        return dry_run(&config, &source);
    }
    let runtime = Runtime::new().context("cannot start the runtime of the HTTP server")?;
    let _entered = runtime.enter();
    let agent = Agent::start(&config, source, args)?;
    runtime.block_on(agent.wait())?;
    agent.stop(&runtime)
}

/// Says what is wrong with the rules, and nothing else.
fn dry_run(config: &Config, source: &RulesSource) -> anyhow::Result<()> {
    let (loaded, rejected, problems) = reload::check(config, source);
    if problems.is_empty() {
        return print(&format!("configuration and rules are good: rules loaded {loaded}/{loaded}"));
    }
    bail!("rules loaded {loaded}/{}:\n{}", loaded + rejected, problems.join("\n"))
}

fn print(text: &str) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{text}").context("cannot write to standard output")
}

/// Everything that runs.
struct Agent {
    status: Arc<Status>,
    syscall: Option<(Arc<Control>, JoinHandle<()>)>,
    audit: Option<JoinHandle<()>>,
    audit_log: Option<AuditLog>,
    audit_sink: Option<AuditSink>,
    server: Option<(oneshot::Sender<()>, tokio::task::JoinHandle<()>)>,
    updates: Sender<Update>,
}

impl Agent {
    fn start(config: &Config, source: RulesSource, args: &Args) -> anyhow::Result<Self> {
        let wants = wanted(config, &args.disable_source)?;
        let access = if wants.k8s_audit { audit_access::access(config)? } else { Access::default() };
        let tls = audit_access::tls(config)?;
        let listener = config.webserver.enabled.then(|| web::bind(&config.webserver)).transpose()?;
        let outputs =
            Outputs::start(&config.outputs(), &Renderer::new(config.format()), config.queue_capacity())?;
        let status = Arc::new(Status::new(hostname(), Alerts::new(outputs)));
        if config.kubernetes.enabled {
            status.operator.expect();
        }
        let containers = wants.syscall.then(|| containers::start(config));
        if let Some(containers) = &containers {
            status.containers.set(containers);
        }
        // Before the first rules, whose names are looked up when they are loaded.
        let host_names = if wants.syscall { status.host_names.start() } else { HostNames::default() };
        let rules = RulesHandle::new(RuleSetBuilder::new(schema()).build());
        let cache = Cache::new(&config.state_dir);
        let bundle = cached_rules(config, &cache);
        let reloader = first_rules(config, source, bundle, &rules, &status)?;

        let lookup = containers.clone().map(|containers| Arc::new(containers) as Arc<dyn Lookup>);
        let options = Options { containers: lookup, host_names, ..syscall_options(config, &status) };
        let engine = || SyscallEngine::new(&rules, &options);
        let syscall = || start_syscalls(config, reloader.wanted(), engine(), args, &status);
        let syscall = wants.syscall.then(syscall).transpose()?;
        let engine = || AuditEngine::new(rules.clone(), &engine_options(config, &status));
        let audit = wants.k8s_audit.then(|| Audit::start(engine(), Arc::clone(&status))).transpose()?;
        let control = syscall.as_ref().map(|(control, _)| Arc::clone(control));
        let (intake, audit) = audit.unzip();
        let counters = Arc::clone(&status.audit);
        let log = given(&config.k8s_audit.log_file).zip(intake.as_ref());
        let log = log.map(|(path, intake)| AuditLog::start(path, config, intake, &counters));
        let audit_log = log.transpose()?;
        let audit_sink = intake.as_ref().and_then(|intake| audit_sink::start(config, intake, &status));
        audit_silence::watch(config.k8s_audit.silent_after, &status);
        let server = Server {
            status: Arc::clone(&status),
            audit: intake,
            access,
            tls,
            counters,
            syscalls: control.clone(),
        };
        let server = listener.map(|listener| serve(config, listener, server));
        let want = move |wanted| {
            if let Some(control) = &control {
                control.want(wanted);
            }
        };
        let updates = reload::start(reloader, Arc::clone(&status), config.watch_config_files, want)?;
        follow_cluster(config, cache, &status, &updates)?;
        follow_runtimes(containers.as_ref(), &updates);
        if wants.syscall {
            tracing::info!("try it: sudo sh -c 'cat /etc/shadow'");
        }
        Ok(Self { status, syscall, audit, audit_log, audit_sink, server, updates })
    }

    /// Until a signal or a fault ends the agent.
    async fn wait(&self) -> anyhow::Result<()> {
        let on = |kind| signal(kind).context("cannot wait for signals");
        let (mut int, mut term) = (on(SignalKind::interrupt())?, on(SignalKind::terminate())?);
        let (mut hangup, mut user) = (on(SignalKind::hangup())?, on(SignalKind::user_defined1())?);
        loop {
            tokio::select! {
                _ = int.recv() => return Ok(()),
                _ = term.recv() => return Ok(()),
                () = self.status.ended() => return Ok(()),
                _ = user.recv() => self.status.alerts.outputs().reopen(),
                _ = hangup.recv() => {
                    tracing::info!("SIGHUP: rules are read again");
                    self.updates.send(Update::Files).context("the rules cannot be read again")?;
                }
            }
        }
    }

    /// Sources first, then what they feed, so that nothing on its way is lost.
    fn stop(self, runtime: &Runtime) -> anyhow::Result<()> {
        if let Some((shutdown, server)) = self.server {
            // An error says that the server ended before.
            let _ = shutdown.send(());
            runtime.block_on(server)?;
        }
        if let Some((control, thread)) = self.syscall {
            control.stop();
            join(thread);
        }
        self.audit_sink.into_iter().for_each(|sink| runtime.block_on(sink.stop()));
        self.audit_log.into_iter().for_each(AuditLog::stop);
        self.audit.into_iter().for_each(join);
        let outputs = self.status.alerts.outputs().close(PATIENCE);
        write!(io::stderr(), "{}", summary::summary(&self.status, &outputs))?;
        match self.status.end_reason() {
            Some(reason) => bail!("{reason}"),
            None => Ok(()),
        }
    }
}

fn join(thread: JoinHandle<()>) {
    // A thread that panicked has said so.
    let _ = thread.join();
}

struct Wants {
    syscall: bool,
    k8s_audit: bool,
}

fn wanted(config: &Config, without: &[Source]) -> anyhow::Result<Wants> {
    let syscall = config.engine.kind == EngineKind::ModernEbpf && !without.contains(&Source::Syscall);
    let posted = config.webserver.enabled && !config.webserver.k8s_audit_endpoint.is_empty();
    let K8sAudit { log_file, sink_folder, .. } = &config.k8s_audit;
    let otherwise = given(log_file).or(given(sink_folder)).is_some();
    let k8s_audit = (posted || otherwise) && !without.contains(&Source::K8sAudit);
    if !(syscall || k8s_audit) {
        bail!(
            "every source of events is disabled: leave one of syscall and k8s_audit (which needs webserver.enabled, or a k8s_audit.log_file)"
        );
    }
    Ok(Wants { syscall, k8s_audit })
}

/// The cluster's rules of the last run, if they are wanted.
fn cached_rules(config: &Config, cache: &Cache) -> Option<Bundle> {
    let bundle = cache.load().filter(|_| config.kubernetes.enabled)?;
    Some(bundle.for_machine(&cache.load_labels()))
}

/// Follows the cluster's rules, if they are wanted.
fn follow_cluster(
    config: &Config,
    cache: Cache,
    status: &Status,
    updates: &Sender<Update>,
) -> anyhow::Result<()> {
    if !config.kubernetes.enabled {
        return Ok(());
    }
    let Kubernetes { kubeconfig, namespace, manifest, .. } = config.kubernetes.clone();
    let kubeconfig = Some(kubeconfig).filter(|path| !path.as_os_str().is_empty());
    let running = status.rules().bundle.clone();
    let source = bundle::Source { kubeconfig, namespace, manifest, node: status.hostname.clone() };
    let following = Handle::current().block_on(bundle::follow(source, cache, running));
    let mut bundles = following.context("cannot follow the cluster's rules")?;
    let (updates, places) = (updates.clone(), Arc::new(Semaphore::new(1)));
    tokio::spawn(async move {
        // One at a time: bundles that come faster than they compile wait in the cluster.
        while let (Ok(place), Some(update)) =
            (Arc::clone(&places).acquire_owned().await, bundles.recv().await)
        {
            // An error says that the agent ends.
            drop(updates.send(Update::Cluster(update, place)));
        }
    });
    Ok(())
}

/// Rules are blind or not by what can be asked.
fn follow_runtimes(containers: Option<&Containers>, updates: &Sender<Update>) {
    let Some(containers) = containers else { return };
    let updates = updates.clone();
    // An error says that the agent ends.
    containers::watch(containers, move || drop(updates.send(Update::Runtimes)));
}

/// The rules to start with; what is wrong with some of them does not keep the others from running.
fn first_rules(
    config: &Config,
    source: RulesSource,
    bundle: Option<Bundle>,
    rules: &RulesHandle,
    status: &Status,
) -> anyhow::Result<Reloader> {
    let mut reloader = Reloader::new(config, source, bundle, rules.clone());
    let problems = reloader.first(status);
    if status.rules().loaded.is_empty() && !problems.is_empty() {
        bail!("no rule can be loaded:\n{}", problems.join("\n"));
    }
    for problem in &problems {
        tracing::error!("Left out: {problem}");
    }
    Ok(reloader)
}

fn start_syscalls(
    config: &Config,
    wanted: Wanted,
    engine: SyscallEngine,
    args: &Args,
    status: &Arc<Status>,
) -> anyhow::Result<(Arc<Control>, JoinHandle<()>)> {
    let capture = Capture::create(args)?;
    let filter = if args.verify_filter { FilterMode::Mark } else { FilterMode::Drop };
    let bulk = 1 << 19 << config.engine.modern_ebpf.buf_size_preset;
    let settings =
        Settings { syscalls: wanted.syscalls, ring_bytes: RingBytes { bulk, ..RingBytes::default() } };
    let mut probe = Probe::load(&settings).map_err(|error| anyhow!("{error}{WITHOUT_SYSCALLS}"))?;
    probe.set_filter(wanted.filter.as_ref(), filter)?;
    probe.set_families(wanted.families, filter)?;
    probe.set_closing(wanted.closing)?;
    tell_hooks(&probe);
    let drops = config.syscall_event_drops.clone();
    syscalls::start(probe, wanted, filter, engine, capture, drops, Arc::clone(status))
        .context("cannot start the syscall thread")
}

fn tell_hooks(probe: &Probe) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let btf = if Path::new("/sys/kernel/btf/vmlinux").exists() { "with BTF" } else { "without BTF" };
    tracing::info!("kernel {} {btf}", release.trim());
    let attached =
        probe.hooks().iter().filter(|hook| hook.state == HookState::Attached).map(|hook| hook.name);
    tracing::info!("hooks attached: {}", attached.collect::<Vec<_>>().join(", "));
    for hook in probe.hooks() {
        if let HookState::Off(reason) = &hook.state {
            tracing::warn!("hook {} is off: {reason}", hook.name);
        }
    }
}

fn serve(
    config: &Config,
    listener: tokio::net::TcpListener,
    server: Server,
) -> (oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let (shutdown, ended) = oneshot::channel();
    if let Ok(address) = listener.local_addr() {
        let path = Some(&config.webserver.k8s_audit_endpoint).filter(|path| !path.is_empty());
        let audit = path.filter(|_| server.audit.is_some());
        let what = audit.map(|path| format!("audit events on {path}, ")).unwrap_or_default();
        let scheme = if server.tls.is_some() { "https" } else { "http" };
        tracing::info!(
            "listening on {scheme}://{address}: {what}{}, /status, /metrics",
            config.webserver.k8s_healthz_endpoint
        );
    }
    let metrics = config.metrics.enabled && config.webserver.prometheus_metrics_enabled;
    let ended = async {
        // An error says that the other end is gone, which is an end too.
        let _ = ended.await;
    };
    (shutdown, tokio::spawn(server.run(listener, config.webserver.clone(), metrics, ended)))
}

/// With what the machine can be asked beside events.
fn syscall_options(config: &Config, status: &Status) -> Options {
    let links = Some(Arc::clone(&status.links) as Arc<dyn Links>);
    let living = Some(Arc::clone(&status.living) as Arc<dyn Living>);
    Options { links, living, ..engine_options(config, status) }
}

fn engine_options(config: &Config, status: &Status) -> Options {
    let matching = match config.rule_matching {
        RuleMatching::First => Matching::First,
        RuleMatching::All => Matching::All,
    };
    let (iso8601, boot_time) = (config.time_format_iso_8601, saker_source_syscall::boot_time());
    Options { matching, iso8601, boot_time, hits: Arc::clone(&status.hits), ..Options::new(hostname()) }
}
