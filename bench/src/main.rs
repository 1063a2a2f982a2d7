//! `saker-bench agent PROGRAM` measures the agent, `saker-bench audit PROGRAM` its audit endpoint and `saker-bench rules
//! FOLDER` the rules alone; all print Markdown tables.

mod agent;
mod allocations;
mod audit;
mod clock;
mod report;
mod rules;
mod workload;

fn main() -> anyhow::Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["agent", program] => report::print(program.as_ref()),
        ["audit", program] => audit::print(program.as_ref()),
        ["rules", folder] => rules::print(folder.as_ref()),
        _ => anyhow::bail!("usage: saker-bench agent|audit PROGRAM | saker-bench rules FOLDER"),
    }
}
