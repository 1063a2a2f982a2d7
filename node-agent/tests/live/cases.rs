//! The table of cases and its judge.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::Value;

use crate::running::{Running, can_run_live, start_with_names};

/// Upstream's rules one by one, and ways around one of them.
const TABLES: [&str; 2] =
    [include_str!("../cases/stable_rules.yaml"), include_str!("../cases/bypasses.yaml")];
/// In the environment of every process of a case, and so in its alerts.
const MARK: &str = "SAKER_CASE";
const PATIENCE: Duration = Duration::from_mins(1);
/// The names that the agent's machine knows.
const HOSTS: &str = "127.0.0.77 kubernetes.default.svc.cluster.local\n";

/// One row of the table.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    rule: String,
    /// What is tried, where a rule has several cases.
    #[serde(default)]
    shape: String,
    /// Runs once per call, which scripts name `$CALL`.
    #[serde(default)]
    calls: Vec<String>,
    /// Why it cannot fire here.
    skip: Option<String>,
    #[serde(default)]
    fires: String,
    #[serde(default)]
    quiet: String,
    #[serde(default)]
    container: bool,
    #[serde(default)]
    expected: BTreeMap<String, Value>,
}

/// Whether the first argument asks for an action, not for tests.
pub(crate) fn is_action(argument: &str) -> bool {
    !argument.starts_with('-') && !argument.is_empty()
}

/// Runs every case and reports as the usual test runner does.
pub(crate) fn run() -> ExitCode {
    let fixtures = env::var("SAKER_FIXTURES").map(PathBuf::from).unwrap_or_default();
    let rules = fixtures.join("rules/falco_rules.yaml");
    if !can_run_live("live") {
        return ExitCode::SUCCESS;
    }
    if !rules.is_file() {
        eprintln!("live: skipped: needs upstream's rules in SAKER_FIXTURES");
        return ExitCode::SUCCESS;
    }
    let cases: Vec<Case> = TABLES.iter().flat_map(|table| read(table)).collect();
    let lab = Lab::new(&rules);
    let run = cases.iter().filter(|case| case.skip.is_none());
    report(&run.map(|case| (case, lab.judge(case))).collect::<Vec<_>>(), &cases)
}

/// The cases of a table, one for each of their calls.
fn read(table: &str) -> Vec<Case> {
    let cases: Vec<Case> = serde_saphyr::from_str(table).expect("a table of cases");
    let per_call = |case: Case| -> Vec<Case> {
        let with = |call: &String| Case {
            shape: format!("{} by {call}", case.shape),
            fires: format!("CALL={call}; {}", case.fires),
            ..case.clone()
        };
        if case.calls.is_empty() { vec![case] } else { case.calls.iter().map(with).collect() }
    };
    cases.into_iter().flat_map(per_call).collect()
}

fn report(verdicts: &[(&Case, Result<(), String>)], cases: &[Case]) -> ExitCode {
    let failed = verdicts.iter().filter(|(_, verdict)| verdict.is_err()).count();
    for (case, verdict) in verdicts {
        match verdict {
            Ok(()) => println!("test {} {} ... ok", case.rule, case.shape),
            Err(reason) => println!("test {} {} ... FAILED\n    {reason}", case.rule, case.shape),
        }
    }
    for case in cases {
        if let Some(reason) = &case.skip {
            eprintln!("live: {} {}: skipped: {reason}", case.rule, case.shape);
        }
    }
    let (passed, skipped) = (verdicts.len() - failed, cases.len() - verdicts.len());
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {result}. {passed} passed; {failed} failed; {skipped} ignored; 0 measured; 0 filtered out"
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A running agent and what the scripts need.
struct Lab {
    agent: Running,
    cgroup: Option<PathBuf>,
}

impl Lab {
    fn new(rules: &Path) -> Self {
        let dir = tempfile::TempDir::new().expect("a directory");
        open_to_all(dir.path());
        let config = format!(
            "rules_files: [{}]\nstate_dir: {}/state\nwebserver: {{listen_port: 0}}\njson_output: true\nrule_matching: all\n\
             append_output: [{{extra_fields: [\"proc.env[{MARK}]\", fd.name, fd.type, fd.sip.name, evt.res]}}]\n",
            rules.display(),
            dir.path().display(),
        );
        fs::write(dir.path().join("saker.yaml"), config).expect("a configuration");
        let agent = start_with_names(dir, HOSTS, "127.0.0.96", &[]);
        agent.log("processes were there before");
        agent.until("/metrics", "saker_host_names{state=\"known\"} 1");
        Self { agent, cgroup: container_cgroup() }
    }

    /// Fires the rule once with the fields that the table says, and not at all by the neighbour.
    fn judge(&self, case: &Case) -> Result<(), String> {
        let mark = |kind| format!("{} {} {kind}", case.rule, case.shape);
        self.act(case, &case.quiet, &mark("quiet"));
        self.act(case, &case.fires, &mark("fires"));
        let started = Instant::now();
        let alert = loop {
            match self.alert(&case.rule, &mark("fires")) {
                Some(alert) => break alert,
                None if started.elapsed() > PATIENCE => return Err("no alert".to_owned()),
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        // Both scripts went through the same queues in their order.
        if let Some(alert) = self.alert(&case.rule, &mark("quiet")) {
            return Err(format!("the neighbour fires it too: {alert}"));
        }
        let wrong =
            case.expected.iter().find(|(field, value)| alert["output_fields"][field.as_str()] != **value);
        wrong.map_or(Ok(()), |(field, value)| Err(format!("{field} is not {value}: {alert}")))
    }

    fn alert(&self, rule: &str, mark: &str) -> Option<Value> {
        let lines = self.agent.stdout.all();
        let mut alerts = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let marked = format!("proc.env[{MARK}]");
        alerts.find(|alert| alert["rule"] == rule && alert["output_fields"][&marked] == mark)
    }

    fn act(&self, case: &Case, script: &str, mark: &str) {
        let dir = tempfile::TempDir::new().expect("a directory");
        open_to_all(dir.path());
        let enter = match &self.cgroup {
            Some(cgroup) if case.container => format!("echo $$ > {}/cgroup.procs; ", cgroup.display()),
            _ => String::new(),
        };
        let script = format!("name() {{ ln -s $ACT $DIR/$1; }}; {enter}{script}");
        let act = env::current_exe().expect("the path of this program");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &script]).env("ACT", act).env("DIR", dir.path()).env(MARK, mark);
        // What a script says is of no interest; what it did is.
        drop(command.output());
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(cgroup) = &self.cgroup {
            // It is empty by now, or stays.
            let _ = fs::remove_dir(cgroup);
        }
    }
}

fn open_to_all(dir: &Path) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(dir, mode).expect("a directory of ours");
}

/// A cgroup with the name that docker gives.
fn container_cgroup() -> Option<PathBuf> {
    let id = format!("{:064x}", u128::from(std::process::id()) | 0xface_0000_0000);
    let roots = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup"];
    roots
        .iter()
        .map(|root| Path::new(root).join("docker").join(&id))
        .find(|path| fs::create_dir_all(path).is_ok())
}
