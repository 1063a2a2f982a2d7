//! `saker audit setup`: makes the API server of this machine send its audit events to the agent.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use clap::builder::NonEmptyStringValueParser;
use saker_audit_setup::{AuditRule, Endpoint, Machine, Plan, derive, order};
use saker_events::load_options;

use super::audit_follow;
use crate::{Verdict, input, ready};

/// Make the API server of this machine send its audit events to the agent
///
/// Finds out which distribution runs here, and prints what it needs: the audit policy that the rules ask for, the
/// webhook's kubeconfig and the settings that name both. Nothing is changed without --apply. Run it on every
/// control-plane node.
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "one for each option of which only one may be given")]
pub struct Args {
    /// Print what is needed; this is the default
    #[arg(long, group = "action")]
    print: bool,
    /// Say what is missing; the exit code is 1 if something is
    #[arg(long, group = "action")]
    check: bool,
    /// Write it. A changed kube-apiserver that does not become ready in time gets its manifest back
    #[arg(long, group = "action")]
    apply: bool,
    /// Take back what --apply wrote
    #[arg(long, group = "action")]
    undo: bool,
    /// Do what the cluster's AuditSink says, as long as this runs: DIR holds its order, policy and kubeconfig
    #[arg(long, group = "action", value_name = "DIR")]
    follow: Option<PathBuf>,
    /// With --follow, the name of this node
    #[arg(long, value_name = "NAME", default_value = "", requires = "follow")]
    node: String,
    /// Where the agent takes audit events, as the API server sees it
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8765/k8s-audit")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    endpoint: String,
    /// Certificates (PEM) by which the API server knows the agent
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Certificate (PEM) that the API server shows to the agent
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_certificate: Option<PathBuf>,
    /// The key (PEM) of that certificate
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    client_key: Option<PathBuf>,
    /// Rules files in their order, instead of the default rules
    #[arg(long, value_name = "FILE", num_args = 1..)]
    rules: Vec<PathBuf>,
    /// How long a changed kube-apiserver may take to become ready
    #[arg(long, value_name = "SECONDS", default_value_t = 90)]
    timeout: u64,
    /// The machine's files lie below this directory
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

impl Args {
    pub(crate) fn run(self, out: &mut dyn Write) -> anyhow::Result<Verdict> {
        let patience = Duration::from_secs(self.timeout);
        if let Some(folder) = &self.follow {
            return audit_follow::follow(folder, &self.node, &self.root, patience, out);
        }
        let loaded = input::load_good_or_default(&self.rules, &load_options())?;
        let policy = derive(&AuditRule::all(&loaded)).to_string();
        let plan = Plan::make(&self.root, policy, &self.endpoint()?)?;
        match (self.check, self.apply, self.undo) {
            (true, ..) => check(&self.root, &plan, out),
            (_, true, _) => apply(&self.root, &plan, patience, out),
            (_, _, true) => undo(&self.root, &plan, out),
            _ => print(&plan, out),
        }
    }

    fn endpoint(&self) -> anyhow::Result<Endpoint> {
        let read = |path: &PathBuf| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let client = match (&self.client_certificate, &self.client_key) {
            (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?)),
            _ => None,
        };
        if client.is_some() && !self.endpoint.starts_with("https://") {
            bail!("a client certificate needs an https:// endpoint; it is {}", self.endpoint);
        }
        Ok(Endpoint { url: self.endpoint.clone(), ca: self.ca.as_ref().map(read).transpose()?, client })
    }
}

/// What an order did here is no longer there, nor what became of it.
fn undo(root: &Path, plan: &Plan, out: &mut dyn Write) -> anyhow::Result<Verdict> {
    plan.undo(root)?;
    order::set_answer(root, None)?;
    writeln!(out, "{}: taken back. Restart the API server unless it is a static pod.", plan.distribution)?;
    Ok(Verdict::Good)
}

fn print(plan: &Plan, out: &mut dyn Write) -> anyhow::Result<Verdict> {
    writeln!(out, "# Distribution: {}", plan.distribution)?;
    if plan.is_applicable() {
        writeln!(out, "# `saker audit setup --apply` writes these files.")?;
    }
    for file in &plan.files {
        writeln!(out, "\n# --- {} {}", file.path, if file.secret { "(mode 0600)" } else { "" })?;
        write!(out, "{}", file.content)?;
    }
    steps(plan, out)?;
    Ok(Verdict::Good)
}

fn steps(plan: &Plan, out: &mut dyn Write) -> anyhow::Result<()> {
    plan.steps.iter().try_for_each(|step| writeln!(out, "\n{step}"))?;
    Ok(())
}

fn check(root: &Path, plan: &Plan, out: &mut dyn Write) -> anyhow::Result<Verdict> {
    let missing = plan.missing(root);
    for file in &plan.files {
        let state = if missing.contains(&file) { "missing or different" } else { "ok" };
        writeln!(out, "{}: {state}", file.path)?;
    }
    let machine = Machine::look(root);
    let sends = machine.as_ref().is_some_and(Machine::sends);
    let state = match (&machine, sends) {
        (None, _) => "not found",
        (_, true) => "sends its audit events to the agent",
        (_, false) => "was not started with these settings",
    };
    writeln!(out, "the running API server: {state}")?;
    Ok(Verdict::of(missing.is_empty() && (sends || plan.manifest().is_none())))
}

fn apply(root: &Path, plan: &Plan, patience: Duration, out: &mut dyn Write) -> anyhow::Result<Verdict> {
    if !plan.is_applicable() {
        bail!("{} takes its settings elsewhere; run without --apply to see them", plan.distribution);
    }
    plan.apply(root, &mut || plan.manifest().is_none() || ready::wait(root, plan, patience))?;
    for file in &plan.files {
        writeln!(out, "wrote {}", file.path)?;
    }
    steps(plan, out)?;
    Ok(Verdict::Good)
}
