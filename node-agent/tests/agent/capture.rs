//! What the agent captures gives the same alerts again.

use std::{
    fs,
    fs::File,
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use saker_alert::{Format, Renderer};
use saker_capture::Reader;
use saker_engine::{CaptureEngine, Options, RulesHandle};
use saker_events::load_options;
use saker_rules::{
    append_output::AppendOutput,
    load::{LoadOptions, SourceFile, load},
};

use crate::{
    live::metric,
    running::{Running, can_run_live, start},
};

/// Rules whose alerts tell much of who did it, on a file and on everything that runs below the shell.
fn rules(marker: &Path) -> String {
    let who = "%evt.type %proc.cmdline %proc.exe %proc.exepath %proc.cwd %proc.pname %proc.aname[2] %proc.sid %proc.tty \
        %proc.vpid %proc.ppid %proc.is_exe_writable %user.name %user.uid %group.name %user.loginuid";
    format!(
        "- rule: File read\n  desc: d\n  condition: evt.type in (open, openat, openat2) and fd.name = {0}\n  output: MINE {who} %evt.args %fd.name %fd.num %evt.res\n  priority: WARNING\n\
         - rule: Program run\n  desc: d\n  condition: evt.type = execve and proc.pcmdline contains {0}\n  output: MINE {who}\n  priority: WARNING\n",
        marker.display()
    )
}

/// The alerts that the rules give over a capture.
pub(crate) fn replay(capture: &Path, rules: String) -> Vec<String> {
    // The agent appends what suggests itself, unless it is told otherwise.
    let append_output = vec![AppendOutput { suggested_output: true, ..AppendOutput::default() }];
    let load_options = LoadOptions { append_output, ..load_options() };
    let loaded = load(&[SourceFile::from_bytes("mine".to_owned(), rules.into_bytes())], &load_options);
    let options = Options::new("test-node");
    let mut engine = CaptureEngine::new(&RulesHandle::new(loaded.rules.unwrap()), &options);
    let (renderer, mut lines) = (Renderer::new(Format::default()), Vec::new());
    let mut reader = Reader::new(File::open(capture).unwrap()).unwrap();
    while let Some(entry) = reader.next().unwrap() {
        engine.entry(entry, &mut |alert| lines.push(renderer.line(&alert).clone()));
    }
    lines
}

fn mine(agent: &Running) -> Vec<String> {
    agent.stdout.all().into_iter().filter(|line| line.contains("MINE")).collect()
}

#[test]
fn a_capture_gives_the_same_alerts_as_the_agent() {
    if !can_run_live("a_capture_gives_the_same_alerts_as_the_agent") {
        return;
    }
    let dir = tempfile::TempDir::new().unwrap();
    let marker = dir.path().join("marker");
    fs::write(&marker, "x").unwrap();
    std::os::unix::fs::symlink(&marker, dir.path().join("link")).unwrap();
    fs::write(dir.path().join("mine.yaml"), rules(&marker)).unwrap();
    let file = dir.path().join("mine.yaml");
    let arguments = ["--capture-to", "@/live.scap", "--rules", file.to_str().unwrap()];
    let agent = start(&arguments);
    agent.log("capturing to ");
    let script = format!(
        "cat {0}; cd {1}; cat link; cat ./marker; id; cat {0} x",
        marker.display(),
        dir.path().display()
    );
    Command::new("sh").args(["-c", &script]).output().unwrap();
    agent.alert(&format!("openat cat {} x", marker.display()));
    let (capture, live) = (agent.path("live.scap"), mine(&agent));
    agent.signal("INT");
    agent.log("capture ");
    let again = replay(&capture, rules(&marker));
    assert!(live.len() >= 8, "{live:#?}");
    assert!(live.iter().any(|line| line.contains("evasion_resolved_path=")), "{live:#?}");
    assert_eq!(live, again);
}

/// Makes calls with parameters of many kinds: the standard library polls where it connects in time, and where it reads
/// both outputs of a program. The last one closes this file.
fn make_calls(last: &Path) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect_timeout(&listener.local_addr().unwrap(), Duration::from_mins(1)).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(2500))).unwrap();
    stream.set_nodelay(true).unwrap();
    assert!(stream.take_error().unwrap().is_none());
    drop((UnixStream::pair().unwrap(), stream));
    Command::new("true").output().unwrap();
    drop(File::open(last).unwrap());
    // Only the kernel knows its port.
    std::mem::forget(listener);
}

/// This thread, as the kernel counts.
fn tid() -> String {
    let own = fs::read_link("/proc/thread-self").unwrap();
    own.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn parameters_read_back_from_a_capture_are_the_same() {
    if !can_run_live("parameters_read_back_from_a_capture_are_the_same") {
        return;
    }
    let dir = tempfile::TempDir::new().unwrap();
    let (marker, file) = (dir.path().join("marker"), dir.path().join("mine.yaml"));
    fs::write(&marker, "x").unwrap();
    // Sockets of a pair have no name in a capture; the kernel names one that is closed by where it has both.
    let rules = format!(
        "- rule: Calls\n  desc: d\n  condition: thread.tid = {} and evt.type in (poll, ppoll, setsockopt, getsockopt, \
         socketpair, pipe2, close) and not (evt.type = close and fd.type = unix)\n  output: MINE %evt.type %evt.res %fd.num %fd.type %fd.name nums=%fdlist.nums \
         names=%fdlist.names ports=%fdlist.cports->%fdlist.sports %evt.args\n  priority: WARNING\n",
        tid()
    );
    fs::write(&file, &rules).unwrap();
    let agent = start(&["--capture-to", "@/live.scap", "--rules", file.to_str().unwrap()]);
    agent.log("capturing to ");
    // The rule is about this thread.
    thread::scope(|scope| scope.spawn(|| metric(&agent, "saker_probe_hook{hook=\"sys_enter\"} 1")).join())
        .unwrap();
    make_calls(&marker);
    agent.alert(&format!(" file {} nums=", marker.display()));
    let (capture, live) = (agent.path("live.scap"), mine(&agent));
    agent.signal("INT");
    agent.log("capture ");
    let has = |words: &str| assert!(live.iter().any(|line| line.contains(words)), "no {words}: {live:#?}");
    has("level=1(SOL_SOCKET) optname=20(SO_RCVTIMEO) val=2500000000(2.5s) optlen=16");
    has("level=2(SOL_TCP) optname=0(UNKNOWN)");
    has("optname=4(SO_ERROR) val=0");
    has("poll ");
    has("names=<NA>,<NA> ");
    has("names=127.0.0.1:");
    assert_eq!(live, replay(&capture, rules));
}

#[test]
fn a_capture_ends_at_its_time_and_detection_goes_on() {
    if !can_run_live("a_capture_ends_at_its_time_and_detection_goes_on") {
        return;
    }
    let agent = start(&["--capture-to", "@/live.scap", "--capture-seconds", "1"]);
    agent.log("capturing to ");
    std::thread::sleep(Duration::from_millis(1200));
    Command::new("cat").arg("/etc/shadow").output().unwrap();
    agent.log("its time is over; detection goes on");
    agent.alert("/etc/shadow");
    let capture = agent.path("live.scap");
    assert!(replay(&capture, rules(Path::new("/nowhere"))).is_empty());
    let (status, log) = agent.interrupt();
    assert!(status.success() && log.contains(" came after its end"), "{log}");
}

#[test]
fn a_capture_that_cannot_be_written_stops_the_start() {
    let agent = start(&["--capture-to", "@/no/folder/live.scap"]);
    let (status, log) = agent.end();
    assert!(!status.success());
    assert!(log.contains("cannot write the capture ") && log.contains("No such file"), "{log}");
}
