//! The cluster's rules change again and again, some of them malformed, while events flow; and what a node does when
//! they cannot be had or kept.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use saker_crds::bundle::{Manifest, Shard, ShardRef, pack, sha256};
use saker_rules::{bundle::Bundle, load::SourceFile};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    api_server::ApiServer,
    running::{PATIENCE, Running, can_run_live, is_root, start_in},
};

/// Swaps of a test run.
const SWAPS: usize = 1000;
/// Each so many bundles are malformed.
const MALFORMED: usize = 5;
/// Between two markers.
const MARKER_PAUSE: Duration = Duration::from_millis(2);
/// Between two opens of the load.
const LOAD_PAUSE: Duration = Duration::from_micros(200);

/// A cluster with a bundle, and an agent that may follow it.
struct Node {
    api: ApiServer,
    /// The state outlives the agent.
    home: TempDir,
}

impl Node {
    fn new() -> Self {
        Self { api: ApiServer::start(), home: TempDir::new().unwrap() }
    }

    fn state(&self) -> std::path::PathBuf {
        self.home.path().join("state")
    }

    fn agent(&self, arguments: &[&str]) -> Running {
        let kubeconfig = format!("kubernetes.kubeconfig={}", self.api.kubeconfig(self.home.path()).display());
        let state = format!("state_dir={}", self.state().display());
        let own = [
            "-o",
            "kubernetes.enabled=true",
            "-o",
            "kubernetes.namespace=ns",
            "-o",
            &kubeconfig,
            "-o",
            &state,
        ];
        start_in(TempDir::new().unwrap(), &[&own, arguments].concat())
    }

    fn without_probe(&self) -> Running {
        self.agent(&["--disable-source", "syscall"])
    }

    fn put(&self, bundle: &Bundle) -> String {
        let (manifest, shards) = pack(&bundle.to_text(), None).unwrap();
        self.api.put(&manifest, &shards);
        manifest.hash
    }
}

fn status(agent: &Running) -> Value {
    serde_json::from_str(&agent.get("/status").1).unwrap()
}

/// Looks at `/status` until it is as wanted.
#[track_caller]
fn until(agent: &Running, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let seen = status(agent);
        if wanted(&seen) {
            return seen;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: {seen:#}\n{}", agent.stderr.all().join("\n"));
        thread::sleep(Duration::from_millis(10));
    }
}

#[track_caller]
fn runs(agent: &Running, hash: &str) -> Value {
    until(agent, &format!("the agent runs {hash}"), |seen| {
        seen["bundle"] == hash && seen["rules"]["last_error"].is_null()
    })
}

fn list(item: &str) -> Bundle {
    Bundle::new([SourceFile::new("falcorule/ns/a.yaml", format!("- list: a\n  items: [{item}]\n{RULE}"))])
}

/// An agent without a single rule does not start.
const RULE: &str = "- rule: R\n  desc: d\n  condition: evt.type = open\n  output: o\n  priority: DEBUG\n";

fn rule(name: &str, set: usize, folder: &Path) -> SourceFile {
    let text = format!(
        "- rule: {name}\n  desc: d\n  condition: evt.type in (open, openat, openat2, creat) and fd.name startswith {}/m.\n  output: set {set} file %fd.name\n  priority: WARNING\n",
        folder.display()
    );
    SourceFile::new(format!("falcorule/ns/{name}.yaml"), text)
}

/// Two rules in two files that match the same events, and one that changes what the kernel filters.
fn set(number: usize, folder: &Path, malformed: bool) -> Bundle {
    let other = format!(
        "- rule: Other\n  desc: d\n  condition: evt.type in ({}) and fd.name = /nowhere/{number}\n  output: o {}\n  priority: DEBUG\n",
        if number.is_multiple_of(2) { "open, openat" } else { "open, openat, connect" },
        if malformed { "%no.such.field" } else { "%fd.name" },
    );
    let other = SourceFile::new("falcorule/ns/other.yaml", other);
    let defaults = saker_rulesets::DEFAULT.iter().filter(|_| is_long());
    let defaults = defaults.map(|(name, text)| SourceFile::new(*name, *text));
    Bundle::new(defaults.chain([rule("Marker", number, folder), rule("Twin", number, folder), other]))
}

/// Whether every bundle holds the default rules, too, which takes minutes to compile so often (`make bench`).
fn is_long() -> bool {
    std::env::var_os("SAKER_SWAPS").is_some_and(|value| value == "long")
}

/// What may be wrong with a bundle; whether it comes into force all the same.
fn put_malformed(node: &Node, number: usize, bundle: &Bundle) -> bool {
    let (mut manifest, mut shards) = pack(&bundle.to_text(), None).unwrap();
    match number / MALFORMED % 6 {
        0 => node.api.put_manifest(&format!("{{\"hash\": {number}")),
        1 => {
            shards[0].bytes[20] ^= 1;
            node.api.put(&manifest, &shards);
        }
        2 => node.api.put(&manifest, &[]),
        3 => {
            manifest.hash = sha256(number.to_string().as_bytes());
            node.api.put(&manifest, &shards);
        }
        4 => {
            let (manifest, shards) = noise(number);
            node.api.put(&manifest, &shards);
        }
        // Whole and of the right hash; one of its rules does not compile, and is left out alone.
        _ => {
            node.put(&set(number, node.home.path(), true));
            return true;
        }
    }
    false
}

/// Right hashes over what is no bundle.
fn noise(number: usize) -> (Manifest, Vec<Shard>) {
    let text = format!("no bundle {number}");
    let shard = Shard { name: format!("noise-{number}"), bytes: text.clone().into_bytes() };
    let shards = vec![ShardRef { name: shard.name.clone(), sha256: sha256(&shard.bytes) }];
    (Manifest { hash: sha256(text.as_bytes()), generation: 1, previous: None, shards }, vec![shard])
}

/// Opens files until it is dropped.
struct Opener(Arc<AtomicBool>, Option<thread::JoinHandle<Vec<Instant>>>);

impl Opener {
    /// `open` gets the number of the call.
    fn start(pause: Duration, open: impl Fn(usize) + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut times = Vec::new();
            while !stopped.load(Relaxed) {
                times.push(Instant::now());
                open(times.len() - 1);
                thread::sleep(pause);
            }
            times
        });
        Self(stop, Some(thread))
    }

    fn stop(mut self) -> Vec<Instant> {
        self.0.store(true, Relaxed);
        self.1.take().unwrap().join().unwrap()
    }
}

#[test]
fn rules_are_swapped_under_load_without_missing_an_event() {
    if !can_run_live("rules_are_swapped_under_load_without_missing_an_event") {
        return;
    }
    let node = Node::new();
    let folder = node.home.path().to_owned();
    let first = node.put(&set(0, &folder, false));
    let agent = node.agent(&[
        "-o",
        "json_output=true",
        "-o",
        "rule_matching=all",
        "-o",
        "outputs_queue.capacity=1000000",
        "-o",
        "log_level=debug",
    ]);
    agent.log("processes were there before");
    runs(&agent, &first);
    let file = move |kind: &str, number: usize| folder.join(format!("{kind}.{number}"));
    let markers = Opener::start(MARKER_PAUSE, {
        let file = file.clone();
        move |number| {
            drop(fs::File::create(file("m", number)).and_then(|_| fs::remove_file(file("m", number))));
        }
    });
    // The filter leaves a path that is not plain to the rules.
    let load = Opener::start(LOAD_PAUSE, move |_| drop(fs::File::open(file("./none", 0))));

    let (begin, mut last) = (Instant::now(), first);
    for number in 1..=SWAPS {
        let bundle = set(number, node.home.path(), false);
        let told = agent.stderr.count(REFUSED);
        if !number.is_multiple_of(MALFORMED) {
            last = node.put(&bundle);
            wait_for_swap(&agent, &last);
        } else if put_malformed(&node, number, &bundle) {
            last = pack(&set(number, node.home.path(), true).to_text(), None).unwrap().0.hash;
            wait_for_swap(&agent, &last);
        } else {
            wait(&agent, "a refusal", || agent.stderr.count(REFUSED) > told);
            assert_eq!(status(&agent)["bundle"], last.as_str(), "the last good rules stay");
        }
    }
    let took = begin.elapsed();
    let (opened, loaded) = (markers.stop(), load.stop().len());
    wait(&agent, "the last marker", || agent.stdout.count(&format!("m.{}\"", opened.len() - 1)) >= 2);
    assert_eq!(status(&agent)["sources"]["syscall"]["lost"], 0);
    let delays = judge(&agent, &opened);
    report(&agent, took, loaded, &delays);
}

const REFUSED: &str = "are not taken over";

#[track_caller]
fn wait(agent: &Running, what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "no {what}: {:#}", status(agent));
        thread::sleep(Duration::from_millis(1));
    }
}

#[track_caller]
fn wait_for_swap(agent: &Running, hash: &str) {
    wait(agent, "swap", || status(agent)["bundle"] == hash);
}

/// Every marker made both alerts, of one set, and sets come one after the other. Gives back how late the alerts were.
fn judge(agent: &Running, opened: &[Instant]) -> Vec<Duration> {
    let mut sets: Vec<Vec<usize>> = vec![Vec::new(); opened.len()];
    let mut delays = Vec::new();
    for (at, line) in agent.stdout.timed() {
        let Ok(alert) = serde_json::from_str::<Value>(&line) else { continue };
        if alert["rule"] != "Marker" && alert["rule"] != "Twin" {
            continue;
        }
        let text = alert["output"].as_str().unwrap();
        let set = text.split("set ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        let path = alert["output_fields"]["fd.name"].as_str().unwrap();
        let number: usize = path.rsplit("m.").next().unwrap().parse().unwrap();
        sets[number].push(set.parse().unwrap());
        delays.push(at.saturating_duration_since(opened[number]));
    }
    let mut newest = 0;
    for (number, seen) in sets.iter().enumerate() {
        assert!(
            matches!(seen[..], [a, b] if a == b && a >= newest),
            "marker {number}: {seen:?} after set {newest}"
        );
        newest = seen[0];
    }
    delays.sort();
    delays
}

fn report(agent: &Running, took: Duration, loaded: usize, delays: &[Duration]) {
    let mut pauses: Vec<_> = agent.stderr.all().iter().filter_map(|line| pause(line)).collect();
    pauses.sort();
    let at = |sorted: &[Duration], part: usize| sorted[(sorted.len() - 1) * part / 100];
    let line = format!(
        "{SWAPS} swaps in {:.1} s, {} markers and {loaded} other opens: pause p50 {:?} p99 {:?} max {:?}; alert after p50 {:?} p99 {:?} max {:?}",
        took.as_secs_f64(),
        delays.len() / 2,
        at(&pauses, 50),
        at(&pauses, 99),
        at(&pauses, 100),
        at(delays, 50),
        at(delays, 99),
        at(delays, 100),
    );
    // Past the harness, which keeps what a passing test prints.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// How long the syscall thread was held up, from the log: `pause=12.3µs`.
fn pause(line: &str) -> Option<Duration> {
    let text = line.split("pause=").nth(1)?.split(' ').next()?;
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "ns" => 1e-9,
        "µs" => 1e-6,
        "ms" => 1e-3,
        _ => 1.0,
    };
    Some(Duration::from_secs_f64(digits.parse::<f64>().ok()? * unit))
}

#[test]
fn a_watch_that_breaks_is_taken_up_again() {
    let node = Node::new();
    node.put(&list("one"));
    let agent = node.without_probe();
    runs(&agent, &list("one").hash);
    node.api.cut();
    runs(&agent, &node.put(&list("two")));
    node.api.forget_history();
    runs(&agent, &node.put(&list("three")));
    node.api.stop();
    agent.log("cannot watch the cluster's rules");
    assert_eq!(status(&agent)["bundle"], list("three").hash);
    node.api.go_on();
    runs(&agent, &node.put(&list("four")));
}

#[test]
fn a_node_starts_with_what_it_kept_a_day_ago_while_the_api_is_away() {
    let node = Node::new();
    let hash = node.put(&list("kept"));
    let agent = node.without_probe();
    runs(&agent, &hash);
    agent.interrupt();
    node.api.stop();
    let kept = node.state().join("bundle");
    assert!(Command::new("touch").args(["-d", "25 hours ago"]).arg(&kept).status().unwrap().success());
    let agent = node.without_probe();
    runs(&agent, &hash);
    agent.interrupt();

    // What is damaged on disk is not used; the built-in rules are there instead.
    let good = fs::read(&kept).unwrap();
    fs::write(&kept, &good[..good.len() - 1]).unwrap();
    let agent = node.without_probe();
    agent.log("the kept rules of the cluster are not used");
    let seen = until(&agent, "the agent runs", |seen| seen["rules"]["loaded"] != 0);
    assert!(seen["bundle"].is_null(), "{seen:#}");
    node.api.go_on();
    runs(&agent, &hash);
}

#[test]
fn deleted_config_maps_are_told_and_the_rules_stay() {
    let node = Node::new();
    let hash = node.put(&list("one"));
    let agent = node.without_probe();
    runs(&agent, &hash);
    node.api.delete_all();
    let told =
        |part: &'static str| move |seen: &Value| seen["rules"]["last_error"].to_string().contains(part);
    let seen = until(&agent, "the manifest's end is told", told("no ConfigMap saker-manifest"));
    assert_eq!(seen["bundle"], hash.as_str());
    // The same bundle again: all is well.
    node.put(&list("one"));
    runs(&agent, &hash);

    let (manifest, shards) = pack(&list("two").to_text(), None).unwrap();
    node.api.put(&manifest, &[]);
    let seen = until(&agent, "a missing shard is told", told("cannot fetch shard"));
    assert_eq!(seen["bundle"], hash.as_str());
    node.api.put(&manifest, &shards);
    runs(&agent, &manifest.hash);
}

#[test]
fn what_a_newer_operator_adds_is_ignored_and_what_it_changes_is_refused() {
    let node = Node::new();
    let hash = node.put(&list("known"));
    let agent = node.without_probe();
    runs(&agent, &hash);

    let newer = list("known").to_text().replace("# saker bundle v1", "# saker bundle v2");
    let (manifest, shards) = pack(&newer, None).unwrap();
    node.api.put(&manifest, &shards);
    let told = |seen: &Value| {
        seen["rules"]["last_error"].to_string().contains("is the operator newer than this agent?")
    };
    assert_eq!(until(&agent, "another format is told", told)["bundle"], hash.as_str());

    // Fields that this agent does not know say nothing against what it does know.
    let (manifest, shards) = pack(&list("next").to_text(), None).unwrap();
    node.api.put(&manifest, &shards);
    let mut text = serde_json::to_value(&manifest).unwrap();
    text["signature"] = "of a later version".into();
    node.api.put_manifest(&text.to_string());
    runs(&agent, &manifest.hash);
}

/// A small filesystem, until it is dropped.
struct Tmpfs<'a>(&'a Path);

impl<'a> Tmpfs<'a> {
    fn mount(folder: &'a Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "saker-test"]).arg(folder).status();
        assert!(mounted.unwrap().success());
        Self(folder)
    }
}

impl Drop for Tmpfs<'_> {
    fn drop(&mut self) {
        // It may be busy for a moment still.
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_is_told_and_the_last_good_rules_stay_on_it() {
    if !is_root() {
        let _ = writeln!(std::io::stderr(), "skipped: needs root to mount a small filesystem");
        return;
    }
    let node = Node::new();
    let state = node.state();
    let _disk = Tmpfs::mount(&state);
    let small = node.put(&list("small"));
    let agent = node.without_probe();
    runs(&agent, &small);
    let kept = fs::read(state.join("bundle")).unwrap();

    fs::write(state.join("filler"), vec![0; 32 << 10]).unwrap();
    let large = node.put(&list(&"x".repeat(100 << 10)));
    let seen = until(&agent, "the full disk is told", |seen| !seen["rules"]["not_kept"].is_null());
    assert!(seen["rules"]["not_kept"].to_string().contains("No space left"), "{seen:#}");
    assert_eq!(seen["bundle"], large.as_str(), "it runs all the same");
    assert_eq!(fs::read(state.join("bundle")).unwrap(), kept, "what was kept before is whole");
    assert!(!state.join("bundle.new").exists(), "a part of a bundle takes no room");
    node.api.stop();
    agent.interrupt();
    let agent = node.without_probe();
    runs(&agent, &small);

    // Room again: what runs is kept without another change.
    node.api.go_on();
    let medium = node.put(&list(&"y".repeat(40 << 10)));
    until(&agent, "the full disk is told", |seen| !seen["rules"]["not_kept"].is_null());
    fs::remove_file(state.join("filler")).unwrap();
    until(&agent, "it is kept", |seen| {
        seen["rules"]["not_kept"].is_null() && seen["bundle"] == medium.as_str()
    });
    assert_eq!(fs::read_to_string(state.join("bundle")).unwrap().lines().next(), Some(medium.as_str()));
}
