//! Wiring: the client, the watch, the loop around the reconcile.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt,
        events::{Recorder, Reporter},
        reflector::{self, Store},
        watcher,
    },
};
use saker_crds::{FalcoRule, FalcoRuleException, FalcoRuleExceptionSpec, FalcoRuleSpec, SakerNode};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{Mutex, Notify},
    time::Instant,
};

use crate::{
    admission::{self, Admission, Knowledge},
    agents::Agents,
    args::Args,
    audit_sink::{self, AuditSinks},
    crds, default_rules,
    falco_rule::{self, Context, Error, Ledger, Progress},
    http,
    leader::{self, Leadership},
    metrics::Metrics,
    owner::{self, MANAGER},
    saker_node::Nodes,
    tenancy::Tenancy,
    token,
    unreadable::{self, Unreadable},
};

/// Changes within this time are one reconcile.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// How often the agents are asked while one of them is on its way to the bundle, at first.
const ASK_SOON: Duration = Duration::from_millis(100);
/// How often the agents are asked when all run the bundle.
const ASK_SELDOM: Duration = Duration::from_secs(10);
/// How often the bundle in the cluster is looked at although no FalcoRule changed: somebody may have touched it.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How long a failed reconcile waits for the next, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(800), Duration::from_secs(30));

/// Runs until SIGTERM or Ctrl-C; what ends it earlier is logged.
pub async fn main(args: Args) -> ExitCode {
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(ansi).init();
    let held = Mutex::new(None);
    let result = tokio::select! {
        result = run(args, &held) => result,
        () = asked_to_stop() => Ok(()),
    };
    if let Some(leadership) = held.into_inner() {
        leadership.release().await;
    }
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            tracing::error!("{e:#}");
            ExitCode::FAILURE
        }
    }
}

async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

async fn run(args: Args, held: &Mutex<Option<Arc<Leadership>>>) -> anyhow::Result<()> {
    // An error only says that a provider is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Args {
        namespace,
        fleet_namespaces,
        agent_urls,
        listen,
        webhook_listen,
        webhook_address,
        audit_endpoint,
        apply_crds,
        undo_audit,
    } = args;
    let sinks = AuditSinks { endpoint: audit_endpoint };
    let client = Client::try_default()
        .await
        .context("no credentials for a cluster: set KUBECONFIG or run in a pod")?;
    if apply_crds {
        return crds::apply(&client).await;
    }
    let namespace = namespace.unwrap_or_else(|| client.default_namespace().to_owned());
    if undo_audit {
        return audit_sink::undo(&client, &namespace).await;
    }
    let metrics = Arc::new(Metrics::new()?);
    http::serve(listen, metrics.clone()).await?;

    let changed = Arc::new(Notify::new());
    let unreadable = Unreadable::default();
    let (rules, exceptions) = watch_rules(&client, &unreadable, &changed);
    let token = token::keep(&client, &namespace).await.inspect_err(no_token).ok();
    let (token, token_sha256) = token.map(|token| (token.secret, token.sha256)).unzip();
    let context = Context {
        agents: Agents::new(agent_urls, &client, &namespace, token)?,
        nodes: nodes(&client),
        token_sha256,
        unreadable,
        ledger: Mutex::default(),
        compiler: Arc::new(default_rules::compiler(Tenancy::new(fleet_namespaces))),
        owner: owner::find(&client, &namespace).await,
        recorder: Recorder::new(client.clone(), Reporter { controller: MANAGER.to_owned(), instance: None }),
        client,
        namespace,
        rules,
        exceptions,
        metrics,
    };
    // Until the first whole list is there, nobody knows what the bundle must hold.
    context.rules.wait_until_ready().await.context("the watch of FalcoRules ended")?;
    context.exceptions.wait_until_ready().await.context("the watch of FalcoRuleExceptions ended")?;
    tracing::info!(namespace = context.namespace, falco_rules = context.rules.len(), "watching FalcoRules");
    if let Some(listen) = webhook_listen {
        admission::start(webhook(&context, webhook_address), listen).await?;
    }
    lead(&context, &changed, &sinks, held).await
}

/// Everything that rules come from, kept up to date; what this program cannot read is set apart.
fn watch_rules(
    client: &Client,
    unreadable: &Unreadable,
    changed: &Arc<Notify>,
) -> (Store<FalcoRule>, Store<FalcoRuleException>) {
    let rules = unreadable::watch(client, unreadable, |metadata| {
        let mut rule = FalcoRule::new("", FalcoRuleSpec::default());
        rule.metadata = metadata;
        rule
    });
    let exceptions = unreadable::watch(client, unreadable, |metadata| {
        let mut exception = FalcoRuleException::new("", FalcoRuleExceptionSpec::default());
        exception.metadata = metadata;
        exception
    });
    (keep(rules, changed), keep(exceptions, changed))
}

/// Writes whenever the Lease is held, until the process ends.
async fn lead(
    context: &Context,
    changed: &Notify,
    sinks: &AuditSinks,
    held: &Mutex<Option<Arc<Leadership>>>,
) -> anyhow::Result<()> {
    loop {
        let leadership = Arc::new(
            leader::lead(&context.client, &context.namespace, identity(), context.owner.clone()).await,
        );
        *held.lock().await = Some(Arc::clone(&leadership));
        *context.ledger.lock().await = Ledger::default();
        tokio::select! {
            () = reconcile_while_leading(context, changed, &leadership) => {}
            () = audit_sink::keep(context, sinks, &leadership) => {}
            () = leadership.lost() => {}
        }
        tracing::warn!("the Lease could not be renewed in time: another operator may write now");
        *held.lock().await = None;
        // Whoever leads knows it.
        context.metrics.tell_audit_sink(&[]);
    }
}

/// This process, among the operators of the cluster: the pod's name, or the host's with the process id.
fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}", host.trim(), std::process::id())
}

fn webhook(context: &Context, address: Option<std::net::SocketAddr>) -> Admission {
    Admission {
        client: context.client.clone(),
        namespace: context.namespace.clone(),
        address,
        knowledge: Knowledge {
            rules: context.rules.clone(),
            exceptions: context.exceptions.clone(),
            compiler: Arc::clone(&context.compiler),
        },
        metrics: Arc::clone(&context.metrics),
    }
}

fn no_token(error: &anyhow::Error) {
    tracing::warn!("agents that ask for a token will not answer: {error:#}");
}

/// The nodes and what is said about them; the next round sees what changed.
fn nodes(client: &Client) -> Nodes {
    let nobody = Arc::new(Notify::new());
    Nodes {
        client: client.clone(),
        known: watch::<PartialObjectMeta<Node>>(client, &nobody),
        written: watch::<SakerNode>(client, &nobody),
    }
}

/// Every object of a kind, kept up to date; each change wakes the loop.
fn watch<K>(client: &Client, changed: &Arc<Notify>) -> Store<K>
where
    K: kube::Resource<DynamicType = ()> + DeserializeOwned + Clone + std::fmt::Debug + Send + Sync + 'static,
{
    keep(watcher(Api::<K>::all(client.clone()), watcher::Config::default()), changed)
}

/// What a watch brings.
fn keep<K>(
    events: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
    changed: &Arc<Notify>,
) -> Store<K>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    // Who owns which field is of no use here, and as large as the object.
    let events = events.default_backoff().modify(|object| object.meta_mut().managed_fields = None);
    tokio::spawn(follow(events.reflect(writer), Arc::clone(changed)));
    store
}

/// Wakes the loop. The stream retries by itself.
async fn follow<K: kube::Resource<DynamicType = ()>, E: std::fmt::Display>(
    watch: impl Stream<Item = Result<watcher::Event<K>, E>>,
    changed: Arc<Notify>,
) {
    let mut watch = std::pin::pin!(watch);
    while let Some(event) = watch.next().await {
        match event {
            Ok(_) => changed.notify_one(),
            Err(e) => tracing::warn!("the watch of {} broke, trying again: {e}", K::plural(&())),
        }
    }
}

async fn reconcile_while_leading(context: &Context, changed: &Notify, leadership: &Leadership) {
    let (mut ask, mut retry) = (ASK_SOON, RETRY.0);
    while leadership.holds() {
        let Err(e) = roll_out(context, changed, &mut ask).await else {
            retry = RETRY.0;
            continue;
        };
        context.metrics.errors.with_label_values(&[e.step()]).inc();
        tracing::warn!("{e}; trying again in {retry:?}");
        tokio::time::sleep(retry).await;
        retry = (retry * 2).min(RETRY.1);
    }
}

/// Makes the bundle, and asks every `ask` how far it got, until the FalcoRules change or it is time to look again.
async fn roll_out(context: &Context, changed: &Notify, ask: &mut Duration) -> Result<(), Error> {
    let until = Instant::now() + LOOK_AGAIN;
    let (mut applied, progress) = falco_rule::reconcile(context).await?;
    context.metrics.reconciles.inc();
    *ask = next_pause(progress, *ask);
    let mut wake = Instant::now() + *ask;
    while Instant::now() < until {
        tokio::select! {
            () = changed.notified() => {
                context.unreadable.tell(&context.client).await;
                if falco_rule::is_outdated(context, &applied) {
                    *ask = ASK_SOON;
                    tokio::time::sleep(DEBOUNCE).await;
                    return Ok(());
                }
            }
            () = tokio::time::sleep_until(wake) => {
                *ask = next_pause(falco_rule::update_status(context, &mut applied).await?, *ask);
                wake = Instant::now() + *ask;
            }
        }
    }
    Ok(())
}

/// Soon at first, then less and less often.
fn next_pause(progress: Progress, last: Duration) -> Duration {
    match progress {
        Progress::Converged => ASK_SELDOM,
        Progress::Waiting => (last * 5 / 4).min(ASK_SELDOM),
    }
}
