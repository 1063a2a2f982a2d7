//! `saker audit setup --follow`: does on this node what the cluster's AuditSink says. It needs no credentials: the order
//! comes as mounted files, and the agent finds the answer on the node.

use std::{
    fs,
    io::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use saker_audit_setup::{
    Plan, apiserver,
    order::{self, Answer, KUBECONFIG, ORDER, Order, Outcome, POLICY, Task},
};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::{Verdict, ready};

/// How often the order is read.
const PAUSE: Duration = Duration::from_secs(1);
/// Time for k3s to end after it was asked to.
const END: Duration = Duration::from_secs(30);

/// Until the process is asked to end.
pub(crate) fn follow(
    folder: &Path,
    node: &str,
    root: &Path,
    patience: Duration,
    out: &mut dyn Write,
) -> anyhow::Result<Verdict> {
    if node.is_empty() {
        bail!("name this node with --node: the AuditSink changes one node at a time");
    }
    let follower = Follower { folder, node, root, patience };
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let mut said = String::new();
    // Never in the middle of a step: an API server that does not come up must get its files back.
    while !stop.load(Relaxed) {
        let now = follower.step().unwrap_or_else(|error| Some(format!("{error:#}")));
        if let Some(now) = now.filter(|now| *now != said) {
            writeln!(out, "{now}")?;
            out.flush()?;
            said = now;
        }
        thread::sleep(PAUSE);
    }
    Ok(Verdict::Good)
}

struct Follower<'a> {
    folder: &'a Path,
    node: &'a str,
    root: &'a Path,
    patience: Duration,
}

impl Follower<'_> {
    /// Does what the order says, if it is this node's turn; gives what is to be said of it.
    fn step(&self) -> anyhow::Result<Option<String>> {
        let Ok(text) = self.read(ORDER) else { return Ok(None) };
        let order: Order = serde_json::from_str(&text).context(ORDER)?;
        let last = order::answer(self.root);
        match order.task(self.node, last.as_ref()) {
            None => Ok(None),
            Some(Task::Apply) => self.apply(&order).map(Some),
            Some(Task::Undo) => self.undo(&order).map(Some),
        }
    }

    fn apply(&self, order: &Order) -> anyhow::Result<String> {
        let (policy, kubeconfig) = (self.read(POLICY)?, self.read(KUBECONFIG)?);
        if order::digest(&policy, &kubeconfig) != order.digest {
            return Ok("waiting for the policy and the kubeconfig of the order".to_owned());
        }
        let done = Plan::with_kubeconfig(self.root, policy, kubeconfig).and_then(|plan| {
            let done = plan.apply(self.root, &mut || self.start(&plan, order.restart));
            if done.is_err() && order.restart {
                restart(self.root, &plan);
            }
            done
        });
        let outcome = if done.is_ok() { Outcome::Applied } else { Outcome::RolledBack };
        self.answer(order, outcome, done.err().map(|e| e.to_string()).unwrap_or_default())
    }

    fn undo(&self, order: &Order) -> anyhow::Result<String> {
        let done = Plan::with_kubeconfig(self.root, String::new(), String::new()).and_then(|plan| {
            plan.undo(self.root)?;
            if order.restart {
                restart(self.root, &plan);
            }
            Ok(())
        });
        match done {
            Ok(()) => {
                order::set_answer(self.root, None)?;
                Ok("taken back".to_owned())
            }
            Err(error) => self.answer(order, Outcome::Failed, error.to_string()),
        }
    }

    fn answer(&self, order: &Order, outcome: Outcome, message: String) -> anyhow::Result<String> {
        let said = format!("{outcome:?} {}: {message}", order.revision);
        let answer = Answer { revision: order.revision.clone(), outcome, message };
        order::set_answer(self.root, Some(&answer))?;
        Ok(said.trim_end_matches([':', ' ']).to_owned())
    }

    /// Whether the API server runs with the new settings. Of k3s, a person may have to see to that.
    fn start(&self, plan: &Plan, may_restart: bool) -> bool {
        if plan.manifest().is_none() && !(may_restart && restart(self.root, plan)) {
            return true;
        }
        ready::wait(self.root, plan, self.patience)
    }

    fn read(&self, name: &str) -> anyhow::Result<String> {
        let path = self.folder.join(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }
}

/// Ends k3s, which systemd (or the container's runtime) starts again. False if it does not run; an API server of
/// another kind on the same machine is none of ours.
fn restart(root: &Path, plan: &Plan) -> bool {
    if plan.manifest().is_some() {
        return false;
    }
    let found = apiserver::of_distribution(apiserver::processes(root), plan.distribution);
    let Some(process) = found.into_iter().next() else { return false };
    let pid = process.folder.file_name().and_then(|name| name.to_str()?.parse().ok());
    let Some(pid) = pid else { return false };
    // An error shows in the process that goes on.
    let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    let asked = Instant::now();
    while process.folder.exists() && asked.elapsed() < END {
        thread::sleep(Duration::from_millis(100));
    }
    !process.folder.exists()
}
