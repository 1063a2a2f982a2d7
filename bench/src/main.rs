//! `saker-bench agent PROGRAM` measures the agent, `saker-bench audit PROGRAM` its audit endpoint and `saker-bench rules
//! FOLDER` the rules alone; all print Markdown tables.

mod agent;
mod allocations;
mod audit;
mod report;
mod rules;
mod workload;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args_os().skip(1);
    match (args.next().as_deref().and_then(|what| what.to_str()), args.next()) {
        (Some("agent"), Some(program)) => report::print(program.as_ref()),
        (Some("audit"), Some(program)) => audit::print(program.as_ref()),
        (Some("rules"), Some(folder)) => rules::print(folder.as_ref()),
        _ => anyhow::bail!(
            "usage: saker-bench agent PROGRAM | saker-bench audit PROGRAM | saker-bench rules FOLDER"
        ),
    }
}
