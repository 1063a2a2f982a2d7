//! Prints the tables of docs/performance.md; FOLDER has upstream's rules, `../captures` beside it what is replayed.

mod agent;
mod allocations;
mod audit;
mod clock;
mod replay;
mod report;
mod rules;
mod workload;

fn main() -> anyhow::Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["agent", program] => report::print(program.as_ref()),
        ["audit", program] => audit::print(program.as_ref()),
        ["rules", folder] => rules::print(folder.as_ref()).and_then(|()| replay::print(folder.as_ref())),
        _ => anyhow::bail!("usage: saker-bench agent|audit PROGRAM | saker-bench rules FOLDER"),
    }
}
