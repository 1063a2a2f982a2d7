//! `saker-bench AGENT`: measures the agent and prints a Markdown table.

mod agent;
mod audit;
mod report;
mod workload;

fn main() -> anyhow::Result<()> {
    let agent = std::env::args_os().nth(1).ok_or_else(|| anyhow::anyhow!("usage: saker-bench AGENT"))?;
    report::print(agent.as_ref())?;
    audit::print(agent.as_ref())
}
