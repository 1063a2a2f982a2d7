//! The `saker` command: rules checked, explained and tested, events replayed, the machine examined.
//!
//! One file per command in [`cmd`]. Exit codes: 0 done, 1 bad rules, bad input or a failed check, 2 wrong usage.

pub mod cmd;
mod http;
mod input;
mod junit;
mod ready;
mod report;
mod table;

use std::{
    io::{self, BufWriter, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

/// Runtime threat detection that speaks Falco's rule language: tools for rule authors and operators
#[derive(Debug, Parser)]
#[command(name = "saker", version, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check, describe, explain, format and test rules files
    #[command(subcommand)]
    Rules(Rules),
    /// Make the API server send audit events: the policy that the rules need, and each distribution's settings
    #[command(subcommand)]
    Audit(Audit),
    Replay(cmd::replay::Args),
    Record(cmd::record::Args),
    Fields(cmd::fields::Args),
    Doctor(cmd::doctor::Args),
    Status(cmd::status::Args),
}

#[derive(Debug, Subcommand)]
enum Rules {
    Validate(cmd::validate::Args),
    Describe(cmd::describe::Args),
    Explain(cmd::explain::Args),
    Fmt(cmd::fmt::Args),
    Test(cmd::test::Args),
}

#[derive(Debug, Subcommand)]
enum Audit {
    Policy(cmd::audit_policy::Args),
    Setup(cmd::audit_setup::Args),
}

/// How a command ended that could do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All is well: exit code 0.
    Good,
    /// What was examined is bad, and the output says why: exit code 1.
    Bad,
}

impl Verdict {
    const fn of(good: bool) -> Self {
        if good { Self::Good } else { Self::Bad }
    }
}

impl Cli {
    /// Does what the command line says; results go to `out`, remarks to standard error.
    pub fn run(self, out: &mut dyn Write) -> anyhow::Result<Verdict> {
        match self.command {
            Command::Rules(Rules::Validate(args)) => args.run(out),
            Command::Rules(Rules::Describe(args)) => args.run(out),
            Command::Rules(Rules::Explain(args)) => args.run(out),
            Command::Rules(Rules::Fmt(args)) => args.run(out),
            Command::Rules(Rules::Test(args)) => args.run(out),
            Command::Audit(Audit::Policy(args)) => args.run(out),
            Command::Audit(Audit::Setup(args)) => args.run(out),
            Command::Replay(args) => args.run(out),
            Command::Record(args) => args.run(out),
            Command::Fields(args) => args.run(out),
            Command::Doctor(args) => args.run(out),
            Command::Status(args) => args.run(out),
        }
    }
}

/// The program: reads the command line, runs, and turns the result into an exit code.
pub fn main() -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    let result = Cli::parse().run(&mut out).and_then(|verdict| Ok((verdict, out.flush()?).0));
    match result {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::FAILURE,
        // Whoever read our output has seen enough (`saker fields | head`).
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let pipe = |e: &io::Error| e.kind() == io::ErrorKind::BrokenPipe;
    error.chain().filter_map(|e| e.downcast_ref()).any(pipe)
}

/// A remark for the person at the terminal; there is nothing to do if standard error is closed.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{}", text.trim_end());
}
