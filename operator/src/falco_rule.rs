//! The reconcile: all FalcoRules and FalcoRuleExceptions of the cluster become one bundle, and each is told what
//! became of it.

mod admit;
mod apply;
mod build;
mod dereference;
pub(crate) mod resource;
mod update_status;
mod validate;

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Client, api::ObjectMeta, runtime::events::Recorder, runtime::reflector::Store};
use saker_crds::{FalcoRule, FalcoRuleException};
use saker_rules::load::Loaded;
use tokio::sync::Mutex;

pub use admit::{Admission, admit};
pub use apply::Applied;
pub use resource::Resource;
pub use update_status::update_status;
pub use validate::Compiler;

use crate::{
    agents::Agents, held::Held, metrics::Metrics, pace::Pace, saker_node::Nodes, shipped::Shipped,
    tally::Tally, tenancy::Tenancy, unreadable::Unreadable,
};

/// What a reconcile works with.
pub struct Context {
    /// The API.
    pub client: Client,
    /// Where the bundle goes.
    pub namespace: String,
    /// Every FalcoRule, as the watch last saw them.
    pub rules: Store<FalcoRule>,
    /// Every FalcoRuleException, likewise.
    pub exceptions: Store<FalcoRuleException>,
    /// The nodes' agents.
    pub agents: Agents,
    /// The nodes themselves.
    pub nodes: Nodes,
    /// Hash of the token by which agents know the operator; none if there is no place to keep one.
    pub token_sha256: Option<String>,
    /// Objects of the watches that cannot be read.
    pub unreadable: Unreadable,
    /// What is remembered from one round to the next.
    pub ledger: Mutex<Ledger>,
    /// Checks rules.
    pub compiler: Arc<Compiler>,
    /// Publishes Events.
    pub recorder: Recorder,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Whose end is the bundle's.
    pub owner: Option<OwnerReference>,
}

/// What a leader remembers from one round to the next; whoever leads next begins anew.
#[derive(Debug, Default)]
pub struct Ledger {
    pub(crate) tally: Tally,
    pub(crate) pace: Pace,
    pub(crate) held: Held,
    pub(crate) shipped: Shipped,
}

/// The step that failed. An invalid FalcoRule is no error: its status says so.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "one variant per step")]
pub enum Error {
    #[error("failed to read the bundle in the cluster: {0}")]
    Dereference(#[source] kube::Error),
    #[error("failed to compile the rules: {0}")]
    Validate(#[source] tokio::task::JoinError),
    #[error("failed to pack the bundle: {0}")]
    Build(#[source] build::Error),
    #[error("failed to apply the bundle: {0}")]
    Apply(#[source] kube::Error),
    #[error("failed to update the status of {0}: {1}")]
    UpdateStatus(String, #[source] kube::Error),
    #[error("failed to find the agents: {0}")]
    AskAgents(#[source] kube::Error),
}

impl Error {
    /// The step's name, for metrics.
    pub fn step(&self) -> &'static str {
        match self {
            Self::Dereference(_) => "dereference",
            Self::Validate(_) => "validate",
            Self::Build(_) => "build",
            Self::Apply(_) => "apply",
            Self::UpdateStatus(..) | Self::AskAgents(_) => "update_status",
        }
    }
}

/// Whether there is something to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Every node runs the bundle.
    Converged,
    /// Some node is on its way, or does not answer.
    Waiting,
}

/// One round from the cluster's state to the bundle and the statuses.
pub async fn reconcile(context: &Context) -> Result<(Applied, Progress), Error> {
    // client required
    let found = dereference::dereference(context).await.map_err(Error::Dereference)?;
    let (compiler, token, now) =
        (Arc::clone(&context.compiler), context.token_sha256.clone(), jiff::Timestamp::now());
    // Compiling is work for a thread of its own: the Lease is renewed meanwhile, and the webhook answers.
    let prepared = tokio::task::spawn_blocking(move || {
        // pure
        let validated = validate::validate(found.resources, &compiler, now);
        // pure
        build::build(validated, found.cluster, token.as_deref())
    });
    let prepared = prepared.await.map_err(Error::Validate)?.map_err(Error::Build)?;
    // client required
    let mut applied = apply::apply(context, prepared).await.map_err(Error::Apply)?;
    // client required; again and again while nodes are on their way
    let progress = update_status::update_status(context, &mut applied).await?;
    Ok((applied, progress))
}

/// Everything that rules come from, as the watches last saw it, in the order of loading.
pub fn resources(
    rules: &Store<FalcoRule>,
    exceptions: &Store<FalcoRuleException>,
    tenancy: &Tenancy,
) -> Vec<Resource> {
    let rules = rules.state().into_iter().map(Resource::Rule);
    let exceptions = exceptions.state().into_iter().map(Resource::Exception);
    dereference::in_order(rules.chain(exceptions).collect(), tenancy)
}

/// Whether the resources are no longer those that the bundle was made of.
pub fn is_outdated(context: &Context, applied: &Applied) -> bool {
    let made_of = applied.verdicts.iter().map(|verdict| verdict.resource.metadata());
    !made_of.map(version).eq(versions(context))
}

/// What some work makes of the rules of now, compiled: on a thread of its own, because both may take seconds.
pub async fn with_loaded<T: Send + 'static>(
    context: &Context,
    work: impl FnOnce(&Loaded) -> T + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    let (compiler, resources) = (Arc::clone(&context.compiler), now(context));
    let now = jiff::Timestamp::now();
    tokio::task::spawn_blocking(move || work(&compiler.loaded(resources, now))).await
}

/// What tells whether the resources are still the same.
pub fn versions(context: &Context) -> Vec<(Option<String>, Option<i64>)> {
    now(context).iter().map(|resource| version(resource.metadata())).collect()
}

fn now(context: &Context) -> Vec<Resource> {
    resources(&context.rules, &context.exceptions, context.compiler.tenancy())
}

fn version(metadata: &ObjectMeta) -> (Option<String>, Option<i64>) {
    (metadata.uid.clone(), metadata.generation)
}

#[cfg(test)]
mod tests;
