//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Watches one node: events in, alerts out
#[derive(Debug, Parser)]
#[command(name = "saker-agent", version)]
pub struct Args {
    /// Configuration file instead of /etc/saker/saker.yaml
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Change one key of the configuration: a.b=1, list[]=x, list[0].k=v; may be repeated
    #[arg(short, long = "option", value_name = "KEY=VALUE")]
    pub option: Vec<String>,

    /// Rules file or directory, instead of all in the configuration; may be repeated
    #[arg(short, long, value_name = "PATH")]
    pub rules: Vec<PathBuf>,

    /// Do without a source of events; may be repeated
    #[arg(long, value_name = "SOURCE")]
    pub disable_source: Vec<Source>,

    /// Report what the filter in the kernel would leave out too, and count the alerts it would have cost: none
    #[arg(long)]
    pub verify_filter: bool,

    /// Also write every syscall event into this capture file, from the start on; see saker replay --capture
    #[arg(long, value_name = "FILE")]
    pub capture_to: Option<PathBuf>,

    /// End the capture after this time
    #[arg(long, value_name = "N", default_value_t = 600, requires = "capture_to")]
    pub capture_seconds: u64,

    /// End the capture when its file has this many MiB
    #[arg(long, value_name = "MIB", default_value_t = 100, requires = "capture_to")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub capture_max_size: u64,

    /// Read configuration and rules, say what is wrong with them, and end
    #[arg(long)]
    pub dry_run: bool,

    /// Print the JSON schema of the configuration
    #[arg(long)]
    pub config_schema: bool,
}

/// A source of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Source {
    /// What processes on this machine ask of the kernel
    Syscall,
    /// What clients ask of the Kubernetes API server
    K8sAudit,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn falcos_flags_are_understood() {
        let line = "saker-agent -c f -o a=1 -o b[]=2 -r x -r y --disable-source syscall --dry-run";
        let args = Args::try_parse_from(line.split(' ')).unwrap();
        assert_eq!((args.option.len(), args.rules.len(), args.dry_run), (2, 2, true));
        assert_eq!(args.disable_source, [Source::Syscall]);
    }
}
