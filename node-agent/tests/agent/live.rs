//! The agent on this kernel.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::running::{Running, can_run_live, start, start_in};

fn agent() -> Running {
    let agent = start(&["-o", "outputs_queue.capacity=100000"]);
    agent.log("processes were there before");
    agent
}

fn shell(script: &str) {
    Command::new("sh").args(["-c", script]).output().unwrap();
}

/// A rule that a file of ours is read.
fn rule(name: &str, file: &std::path::Path, output: &str) -> String {
    format!(
        "- rule: {name}\n  desc: d\n  condition: evt.type in (open, openat, openat2) and evt.dir = < and fd.name = {}\n  output: {output} file=%fd.name program=%proc.name parent=%proc.pname\n  priority: WARNING\n",
        file.display()
    )
}

#[test]
fn reading_the_password_file_is_an_alert() {
    if !can_run_live("reading_the_password_file_is_an_alert") {
        return;
    }
    let agent = agent();
    for line in [
        "with BTF",
        "hooks attached: ",
        "sys_exit",
        "rules loaded ",
        "listening on http://127.0.0.1:",
        "try it: ",
    ] {
        agent.log(line);
    }
    shell("cat /etc/shadow");
    agent.alert("/etc/shadow");
    let (status, summary) = agent.interrupt();
    assert!(status.success(), "{summary}");
    assert!(summary.contains(", lost: 0") && summary.contains("Events detected: "), "{summary}");
}

#[test]
fn a_new_rule_takes_effect_on_the_running_probe() {
    if !can_run_live("a_new_rule_takes_effect_on_the_running_probe") {
        return;
    }
    let agent = agent();
    let marker = agent.path("marker");
    fs::write(&marker, "x").unwrap();
    let cat = format!("cat {}", marker.display());
    let file = agent.path("rules.d/mine.yaml");
    fs::write(&file, rule("Marker read", &marker, "Marker was read")).unwrap();
    until(&agent, &cat, "Warning Marker was read");
    let (_, line) = agent.alert("Marker was read");
    assert!(line.contains("program=cat"), "{line}");

    fs::write(&file, rule("Marker read", &marker, "Marker was looked at")).unwrap();
    until(&agent, &cat, "Warning Marker was looked at");

    fs::write(&file, rule("Marker read", &marker, "Marker %nothing.at.all")).unwrap();
    let error = agent.log("The last good rules stay in force");
    assert!(error.contains("mine.yaml:"), "{error}");
    let before = agent.stdout.all().len();
    shell(&cat);
    let start = Instant::now();
    while agent.stdout.all()[before..].iter().all(|line| !line.contains("Marker was looked at")) {
        assert!(start.elapsed() < crate::running::PATIENCE, "the last good rule is gone");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(agent.stderr.all().iter().filter(|line| line.contains("hooks attached")).count(), 1);
}

/// No event tells of it: the kernel is asked while the process lives.
#[test]
fn a_rule_asks_what_its_process_was_given() {
    if !can_run_live("a_rule_asks_what_its_process_was_given") {
        return;
    }
    let agent = agent();
    let marker = agent.path("marker");
    fs::write(&marker, "x").unwrap();
    let output = "Marker from %proc.stdin.name by %proc.nthreads of %proc.fdopencount";
    let text = rule("Marker read", &marker, output);
    let text = text.replace(" and fd.name", " and proc.stdin.type = ipv4 and fd.name");
    fs::write(agent.path("rules.d/mine.yaml"), text).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let opens = format!("exec 9<{}; sleep 0.1", marker.display());
    until(&agent, &format!("bash -c 'exec </dev/tcp/127.0.0.1/{port}; {opens}'"), "Marker from 127.0.0.1:");
    let (_, line) = agent.alert("Marker from 127.0.0.1:");
    assert!(line.contains(&format!("->127.0.0.1:{port} by 1 of ")), "{line}");
    // Here it is no socket, so that the rule does not match.
    let before = agent.stdout.count("Marker from");
    shell(&format!("bash -c '{opens}' < /dev/null"));
    agent.until("/metrics", "saker_process_lookups_total{result=\"told\"}");
    assert_eq!(agent.stdout.count("Marker from"), before);
}

const CHANGE_AND_OPEN: &str = "
import os, sys
os.setsid(); os.chdir('/usr'); os.fchdir(os.open('/etc', os.O_RDONLY)); os.setgid(123); os.setuid(4321)
os.open(sys.argv[1], os.O_RDONLY)
";

/// Nothing that such a process does tells all of this, so that the calls by which it changed must be followed.
#[test]
fn an_alert_tells_what_its_process_has_become() {
    if !can_run_live("an_alert_tells_what_its_process_has_become") {
        return;
    }
    let agent = agent();
    let marker = agent.path("marker");
    fs::write(&marker, "x").unwrap();
    fs::set_permissions(agent.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let output = "Marker by %user.uid %group.gid in %proc.cwd leads %proc.is_sid_leader";
    fs::write(agent.path("rules.d/mine.yaml"), rule("Marker read", &marker, output)).unwrap();
    let python = format!("python3 -c \"{CHANGE_AND_OPEN}\" {}", marker.display());
    until(&agent, &python, "Marker by 4321 123 in /etc/ leads true");
}

const CHANGE_AND_WAIT: &str = "
import os, sys, time
os.setuid(4321); print('changed', flush=True)
while not os.path.exists(sys.argv[2]): time.sleep(0.01)
os.open(sys.argv[1], os.O_RDONLY)
";

/// The rules of before told of execs alone, which need not follow what processes change later.
#[test]
fn what_a_process_became_before_a_rule_asked_is_known() {
    if !can_run_live("what_a_process_became_before_a_rule_asked_is_known") {
        return;
    }
    let agent = start(&["-o", "rules_files=[@/rules.d]"]);
    agent.log("processes were there before");
    let marker = agent.path("marker");
    fs::write(&marker, "x").unwrap();
    fs::set_permissions(agent.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let go = agent.path("go");
    let mut python = Command::new("python3");
    python.args(["-c", CHANGE_AND_WAIT]).arg(&marker).arg(&go).stdout(Stdio::piped());
    let mut python = python.spawn().unwrap();
    let changed = BufReader::new(python.stdout.take().unwrap()).lines().next();
    assert_eq!(changed.and_then(Result::ok).as_deref(), Some("changed"));
    fs::write(agent.path("rules.d/mine.yaml"), rule("Marker read", &marker, "Marker by %user.uid")).unwrap();
    until(&agent, &format!("cat {}", marker.display()), "Marker by 0");
    fs::write(&go, "").unwrap();
    python.wait().unwrap();
    agent.alert("Marker by 4321");
}

#[test]
fn a_gap_is_told_and_the_sums_agree() {
    if !can_run_live("a_gap_is_told_and_the_sums_agree") {
        return;
    }
    let dir = tempfile::TempDir::new().unwrap();
    let marker = dir.path().join("marker");
    fs::write(&marker, "x").unwrap();
    fs::create_dir(dir.path().join("rules.d")).unwrap();
    // Each open is reported to this agent, and not to those of other tests, which must lose nothing.
    let text =
        rule("Marker read", &marker, "o").replace(" and fd.name", " and proc.name = nobody and fd.name");
    fs::write(dir.path().join("rules.d/mine.yaml"), text).unwrap();
    let agent = start_in(dir, &["-o", "engine.modern_ebpf.buf_size_preset=1", "-o", "json_output=true"]);
    agent.log("processes were there before");
    agent.signal("STOP");
    // Far more than the small ring holds.
    for _ in 0..50_000 {
        drop(fs::File::open(&marker).unwrap());
    }
    agent.signal("CONT");
    agent.alert("Falco internal: syscall event drop");
    agent.log("Events were lost because a ring was full");
    let stdout = agent.stdout.clone();
    let (status, summary) = agent.interrupt();
    assert!(status.success());
    let alerts = stdout.all();
    let alerts = alerts.iter().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let told: u64 = alerts.filter_map(|alert| alert["output_fields"]["n_drops"].as_u64()).sum();
    let line = summary.lines().find(|line| line.starts_with("Events seen from syscall: ")).unwrap();
    assert!(told > 0 && line.ends_with(&format!("lost: {told}")), "{told} told; {line}");
}

#[test]
fn the_filter_costs_no_alert() {
    if !can_run_live("the_filter_costs_no_alert") {
        return;
    }
    let agent = start(&["--verify-filter"]);
    agent.log("processes were there before");
    let link = agent.path("link");
    std::os::unix::fs::symlink("/etc/shadow", &link).unwrap();
    let link = link.display();
    // Other tests read the file, too: ours name an empty one beside it.
    let own = agent.path("own");
    std::fs::write(&own, "").unwrap();
    let own = own.display().to_string();
    shell(&format!(
        "cat {link} {own}; cat /etc/../etc/shadow {own}; cd /etc; cat hostname shadow {own}; cat /etc/shadow {own}"
    ));
    let stdout = agent.stdout.clone();
    let is_own = |line: &&String| line.contains("Password file opened") && line.contains(&own);
    let alerts = || stdout.all().iter().filter(is_own).count();
    let start = Instant::now();
    while alerts() < 4 && start.elapsed() < crate::running::PATIENCE {
        std::thread::sleep(Duration::from_millis(50));
    }
    let (_, summary) = agent.interrupt();
    assert_eq!(alerts(), 4, "{:?}", stdout.all());
    let filtered =
        summary.lines().find_map(|line| line.strip_prefix("Events filtered in the kernel: ")).unwrap();
    assert!(filtered.ends_with(", alerts that cost: 0") && !filtered.starts_with("0,"), "{summary}");
}

/// What `/metrics` says of a hook or a call, once it says so.
#[track_caller]
pub(crate) fn metric(agent: &Running, row: &str) {
    let start = Instant::now();
    loop {
        let (_, text) = agent.get("/metrics");
        if text.lines().any(|line| line == row) {
            return;
        }
        assert!(start.elapsed() < crate::running::PATIENCE, "no {row} in:\n{text}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn only_what_the_rules_need_is_traced_and_shown() {
    if !can_run_live("only_what_the_rules_need_is_traced_and_shown") {
        return;
    }
    let agent = start(&["-o", "rules_files=[@/rules.d]"]);
    metric(&agent, "saker_probe_hook{hook=\"sys_exit\"} 0");
    metric(&agent, "saker_probe_hook{hook=\"sched_process_exec\"} 1");
    let rule = |call: &str| {
        let text =
            format!("- {{rule: r, desc: d, condition: evt.type = {call}, output: o, priority: INFO}}\n");
        fs::write(agent.path("rules.d/mine.yaml"), text).unwrap();
    };
    rule("unlink");
    metric(&agent, "saker_probe_syscall{syscall=\"unlink\"} 1");
    for hook in ["sys_exit", "kmem_cache_free"] {
        metric(&agent, &format!("saker_probe_hook{{hook=\"{hook}\"}} 1"));
    }
    rule("connect");
    metric(&agent, "saker_probe_syscall{syscall=\"connect\"} 1");
    metric(&agent, "saker_probe_hook{hook=\"io_uring_complete\"} 1");
    metric(&agent, "saker_probe_hook{hook=\"kmem_cache_free\"} 0");
    assert!(!agent.get("/metrics").1.contains("syscall=\"unlink\""));
    rule("execve");
    for hook in ["io_uring_complete", "io_uring_submit_req"] {
        metric(&agent, &format!("saker_probe_hook{{hook=\"{hook}\"}} 0"));
    }
}

#[track_caller]
fn until(agent: &Running, script: &str, text: &str) {
    let start = Instant::now();
    while start.elapsed() < crate::running::PATIENCE {
        shell(script);
        std::thread::sleep(Duration::from_millis(50));
        if agent.stdout.all().iter().any(|line| line.contains(text)) {
            return;
        }
    }
    panic!("no alert with '{text}':\n{}\n{}", agent.stdout.all().join("\n"), agent.stderr.all().join("\n"));
}
