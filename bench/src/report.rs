//! Runs the measurements in turn and prints medians; on and off are interleaved within one run.

#![allow(clippy::print_stdout, reason = "the table is this program's output")]

use std::{path::Path, time::Duration};

use anyhow::Result;

use crate::{agent::Agent, workload};

const STARTS: usize = 5;
const SHOTS: usize = 500;
const ROUNDS: usize = 15;
/// After the first alert, until hooks that can wait are in place: what they cost belongs to the start.
const SETTLE: Duration = Duration::from_secs(2);
/// Times that the cost of an exec is measured: it is a twentieth of what an exec takes, and a machine's clock alone may
/// change by more from one second to the next.
const PAIRS: usize = 40;

/// Measures the agent at `binary` and prints the table.
pub fn print(binary: &Path) -> Result<()> {
    println!("| figure | median | min | max |\n|---|---|---|---|");
    starts(binary)?;
    quiet(binary)?;
    exec(binary)?;
    workload::ALL.iter().try_for_each(|w| overhead(binary, w))
}

fn starts(binary: &Path) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let folder = tempfile::tempdir()?;
        times.push(Agent::start(binary, folder.path())?.wait_until_up()?);
    }
    row("start to first alert, ms", times.iter().map(Duration::as_secs_f64).map(|s| s * 1e3));
    Ok(())
}

/// Memory, idle processor time and alert latency on a quiet machine.
fn quiet(binary: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut agent = Agent::start(binary, folder.path())?;
    agent.wait_until_up()?;
    std::thread::sleep(SETTLE);
    let (all, rings) = agent.memory()?;
    row("resident memory beside the rings, KiB", [all - rings].map(as_f64));
    row("resident memory of the rings, KiB", [rings].map(as_f64));
    let before = agent.cpu()?;
    std::thread::sleep(Duration::from_secs(20));
    row(
        "idle processor time, % of a core",
        [agent.cpu()?.saturating_sub(before).as_secs_f64() / 20.0 * 100.0],
    );
    let mut latencies = Vec::new();
    for shot in 1..=SHOTS {
        latencies.push(agent.shoot(shot)?.as_secs_f64() * 1e3);
        std::thread::sleep(Duration::from_millis(5));
    }
    latencies.sort_by(f64::total_cmp);
    row("alert latency, ms", latencies.iter().copied());
    row("alert latency p99, ms", latencies.get(SHOTS * 99 / 100).copied());
    Ok(())
}

/// One workload, off and on in turn. What a run with the agent takes is compared with the mean of those without it before
/// and behind: the machine's clock may change from one to the next.
fn overhead(binary: &Path, work: &workload::Workload) -> Result<()> {
    let (mut ratios, mut cpu, mut lost) = (Vec::new(), Vec::new(), 0);
    (work.run)()?;
    let mut before = (work.run)()?;
    for _ in 0..ROUNDS {
        let (on, used, missed) = with_agent(binary, work)?;
        let behind = (work.run)()?;
        ratios.push(2.0 * on.as_secs_f64() / (before + behind).as_secs_f64());
        cpu.push(used.as_secs_f64());
        lost += missed;
        before = behind;
    }
    row(&format!("{}: wall, agent on / off", work.name), ratios);
    row(&format!("{}: the agent's processor time, s", work.name), cpu);
    row(&format!("{}: events lost in all rounds", work.name), [lost].map(as_f64));
    Ok(())
}

/// What one exec takes more beside the agent, by many short runs with and without it in turn.
fn exec(binary: &Path) -> Result<()> {
    let (mut alone, mut more) = (Vec::new(), Vec::new());
    let mut before = workload::one_exec()?;
    for _ in 0..PAIRS {
        let folder = tempfile::tempdir()?;
        let mut agent = Agent::start(binary, folder.path())?;
        agent.wait_until_up()?;
        std::thread::sleep(SETTLE / 2);
        let beside = workload::one_exec()?;
        agent.stop()?;
        let behind = workload::one_exec()?;
        more.push(beside - f64::midpoint(before, behind));
        alone.push(behind);
        before = behind;
    }
    row("exec of /bin/true alone, µs", alone);
    row("exec of /bin/true: more with the agent, µs", more);
    Ok(())
}

/// What the workload takes beside the agent, the agent's processor time, and how many events were lost.
fn with_agent(binary: &Path, work: &workload::Workload) -> Result<(Duration, Duration, u64)> {
    let folder = tempfile::tempdir()?;
    let mut agent = Agent::start(binary, folder.path())?;
    agent.wait_until_up()?;
    std::thread::sleep(SETTLE);
    let before = agent.cpu()?;
    let took = (work.run)()?;
    let used = agent.cpu()?.saturating_sub(before);
    Ok((took, used, agent.stop()?))
}

#[allow(clippy::cast_precision_loss, reason = "counts here fit in 52 bits")]
pub(crate) fn as_f64(count: u64) -> f64 {
    count as f64
}

/// One row: median, least and most of the values.
pub(crate) fn row(name: &str, values: impl IntoIterator<Item = f64>) {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    if let (Some(min), Some(median), Some(max)) =
        (values.first(), values.get(values.len() / 2), values.last())
    {
        println!("| {name} | {median:.3} | {min:.3} | {max:.3} |");
    }
}
