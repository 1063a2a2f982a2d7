//! The running API server, and the flags that it has or will have at its next start.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{Distribution, files::place};

/// Names of programs that are or contain an API server.
const PROGRAMS: [&str; 3] = ["kube-apiserver", "k3s", "rke2"];
/// The option by which k3s and RKE2 hand arguments on.
const HANDED_ON: &str = "kube-apiserver-arg";
/// Ticks of a second in `/proc/PID/stat`: the same on every architecture of Linux.
const TICKS: u64 = 100;

/// An API server that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its folder in `/proc`.
    pub folder: PathBuf,
    /// The program first.
    pub arguments: Vec<String>,
    /// When it started, in seconds since the Unix epoch; 0 if that is not known.
    pub started: u64,
}

/// The API servers that run on the machine whose files lie below `root`, the likeliest first. None if there is none or
/// it may not be looked at; several where a container of another cluster runs beside.
pub fn processes(root: &Path) -> Vec<Process> {
    let boot = boot_time(root);
    let folders = fs::read_dir(root.join("proc")).into_iter().flatten().flatten();
    let process = |folder: PathBuf| {
        let arguments = words(&fs::read(folder.join("cmdline")).ok()?);
        rank(&arguments)?;
        let age = fs::read_to_string(folder.join("stat")).ok().and_then(|stat| start_ticks(&stat));
        let started = age.map_or(0, |ticks| boot.saturating_add(ticks / TICKS));
        Some(Process { folder, arguments, started })
    };
    let mut found: Vec<_> = folders.filter_map(|entry| process(entry.path())).collect();
    found.sort_by_key(|process| rank(&process.arguments));
    found
}

/// The process that is the API server of a distribution, if several run on the machine.
pub fn of_distribution(processes: Vec<Process>, distribution: Distribution) -> Vec<Process> {
    let is_k3s = |process: &Process| rank(&process.arguments) == Some(1);
    processes.into_iter().filter(|process| is_k3s(process) == distribution.is_k3s()).collect()
}

fn words(cmdline: &[u8]) -> Vec<String> {
    let words = cmdline.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// `kube-apiserver` itself first; the others are one program for everything: `k3s server`, but also `k3s agent`.
fn rank(arguments: &[String]) -> Option<usize> {
    // k3s puts its command into the title, so that both are one word.
    let title = arguments.first()?.rsplit('/').next()?;
    let (name, mut rest) = title.split_once(' ').unwrap_or((title, ""));
    if rest.is_empty() {
        rest = arguments.get(1).map_or("", String::as_str);
    }
    let rank = PROGRAMS.iter().position(|program| *program == name)?;
    (rank == 0 || rest.split(' ').next() == Some("server")).then_some(rank)
}

/// Field 22 of `/proc/PID/stat`; the name of the program before it may hold anything.
fn start_ticks(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

fn boot_time(root: &Path) -> u64 {
    let stat = fs::read_to_string(root.join("proc/stat")).unwrap_or_default();
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|seconds| seconds.trim().parse().ok()).unwrap_or_default()
}

/// The arguments that the configuration of k3s or RKE2 hands to its API server: their command lines do not show them.
pub(crate) fn configured(root: &Path, distribution: Distribution) -> Vec<String> {
    let Some(product) = distribution.product() else { return Vec::new() };
    let folder = format!("/etc/rancher/{product}");
    let mut arguments = Vec::new();
    for path in [format!("{folder}/config.yaml")].into_iter().chain(drop_ins(root, &folder)) {
        let text = fs::read_to_string(place(root, &path)).unwrap_or_default();
        read_configuration(&text, &mut arguments);
    }
    let units =
        ["k3s", "k3s-server", "rke2-server"].map(|unit| format!("/etc/systemd/system/{unit}.service"));
    let units = units.iter().filter_map(|unit| fs::read_to_string(place(root, unit)).ok());
    arguments.extend(units.flat_map(|unit| of_unit(&unit)));
    arguments
}

fn drop_ins(root: &Path, folder: &str) -> Vec<String> {
    let folder = format!("{folder}/config.yaml.d");
    let entries = fs::read_dir(place(root, &folder)).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let read = |name: &String| name.strip_suffix(".yaml").is_some() && !name.starts_with('.');
    let mut names: Vec<_> = names.filter(read).collect();
    names.sort();
    names.into_iter().map(|name| format!("{folder}/{name}")).collect()
}

/// A list takes the place of that of an earlier file, unless its key ends in `+`.
fn read_configuration(text: &str, arguments: &mut Vec<String>) {
    let Ok(Value::Object(settings)) = serde_saphyr::from_str(text) else { return };
    let more = settings.get(&format!("{HANDED_ON}+"));
    if let Some(list) = settings.get(HANDED_ON) {
        *arguments = texts(list);
    }
    arguments.extend(more.into_iter().flat_map(texts));
    // RKE2's own option for the policy.
    if let Some(policy) = settings.get("audit-policy-file").and_then(Value::as_str) {
        arguments.push(format!("--audit-policy-file={policy}"));
    }
}

fn texts(value: &Value) -> Vec<String> {
    let one = |value: &Value| value.as_str().map(|text| format!("--{text}"));
    match value {
        Value::Array(values) => values.iter().filter_map(one).collect(),
        value => one(value).into_iter().collect(),
    }
}

/// The arguments on the command line of a systemd unit, quoted or not.
fn of_unit(unit: &str) -> Vec<String> {
    let mut words =
        unit.split(|c: char| c.is_whitespace() || "'\"\\".contains(c)).filter(|word| !word.is_empty());
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        match word.strip_prefix("--").and_then(|word| word.strip_prefix(HANDED_ON)) {
            Some("") => found.extend(words.next()),
            Some(rest) => found.extend(rest.strip_prefix('=')),
            None => {}
        }
    }
    found.into_iter().map(|argument| format!("--{argument}")).collect()
}

/// The last value of a flag, `--name=value` or `--name value`.
pub fn flag<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let mut values = arguments.iter().enumerate().filter_map(|(at, argument)| {
        let rest = argument.strip_prefix("--")?.strip_prefix(name)?;
        match rest.strip_prefix('=') {
            Some(value) => Some(value),
            None if rest.is_empty() => arguments.get(at.checked_add(1)?).map(String::as_str),
            None => None,
        }
    });
    values.next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_a_process_is_read_behind_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 4711 1000 5 1";
        assert_eq!(start_ticks(stat), Some(4711));
        assert_eq!((start_ticks("7 (a) S 1"), start_ticks("")), (None, None));
    }

    #[test]
    fn a_server_is_told_from_an_agent() {
        let rank =
            |words: &[&str]| super::rank(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(rank(&["/usr/local/bin/kube-apiserver", "--v=2"]), Some(0));
        assert_eq!(
            (rank(&["/usr/local/bin/k3s server"]), rank(&["k3s", "server", "--disable"])),
            (Some(1), Some(1))
        );
        assert_eq!(
            (rank(&["/usr/local/bin/k3s agent"]), rank(&["k3s", "kubectl"]), rank(&["k3s"])),
            (None, None, None)
        );
        assert_eq!((rank(&["rke2 server"]), rank(&["server"]), rank(&[])), (Some(2), None, None));
    }

    #[test]
    fn arguments_of_files_and_units_add_up_as_k3s_adds_them() {
        let mut arguments = Vec::new();
        read_configuration("kube-apiserver-arg: [v=2, audit-log-path=/a]", &mut arguments);
        read_configuration("kube-apiserver-arg+: audit-webhook-mode=batch", &mut arguments);
        assert_eq!(arguments, ["--v=2", "--audit-log-path=/a", "--audit-webhook-mode=batch"]);
        read_configuration("kube-apiserver-arg: [v=3]\naudit-policy-file: /p", &mut arguments);
        assert_eq!(arguments, ["--v=3", "--audit-policy-file=/p"]);
        read_configuration("[1, {", &mut arguments);
        assert_eq!(arguments.len(), 2);
        let unit = "ExecStart=/usr/local/bin/k3s \\\n    server \\\n\t'--kube-apiserver-arg=audit-log-path=/x' \\\n --kube-apiserver-arg v=4\n";
        assert_eq!(of_unit(unit), ["--audit-log-path=/x", "--v=4"]);
    }
}
