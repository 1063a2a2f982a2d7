//! Prints the tables of docs/performance.md on running agents; those on rules are `cargo bench`'s.

mod agent;
mod audit;
mod report;
mod workload;

fn main() -> anyhow::Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["agent", program] => report::print(program.as_ref()),
        ["audit", program] => audit::print(program.as_ref()),
        _ => anyhow::bail!("usage: saker-bench agent|audit PROGRAM"),
    }
}
