//! Processes that are meant to confuse: what they do is told all the same, one line of valid JSON for each alert.

use std::{
    ffi::CString,
    fs,
    io::Write as _,
    os::unix::ffi::OsStringExt,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::running::{PATIENCE, Running, can_run_live, copy_program, start_in};

/// An agent that tells of every exec and of opens below its directory, as JSON.
fn agent(test: &str) -> Option<Running> {
    if !can_run_live(test) {
        return None;
    }
    let dir = tempfile::TempDir::new().unwrap();
    let opened = format!("fd.name startswith {}/x", dir.path().display());
    let rules = format!(
        "- {{rule: Opened, desc: d, condition: \"evt.type in (open, openat) and {opened}\", priority: INFO, \
         output: \"%fd.name %proc.name %proc.pid\"}}\n\
         - {{rule: Run, desc: d, condition: \"evt.type in (execve, execveat) and proc.args contains MARK\", \
         priority: INFO, output: \"%proc.name %proc.args %proc.aname[20] %proc.pid %proc.ppid\"}}\n"
    );
    fs::create_dir(dir.path().join("rules.d")).unwrap();
    fs::write(dir.path().join("rules.d/mine.yaml"), rules).unwrap();
    let agent = start_in(dir, &["-o", "rules_files=[@/rules.d]", "-o", "json_output=true"]);
    agent.log("processes were there before");
    Some(agent)
}

/// The alert of this rule whose output field has this text.
#[track_caller]
fn alert(agent: &Running, rule: &str, field: &str, text: &str) -> Value {
    let started = Instant::now();
    loop {
        for line in agent.stdout.all() {
            let alert: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let value = alert["output_fields"][field].as_str().unwrap_or_default();
            if alert["rule"] == rule && value.contains(text) {
                return alert;
            }
        }
        assert!(started.elapsed() < PATIENCE, "no {rule} with {text:?} in {field}: {:?}", agent.stderr.all());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Figures for who reads along (`--nocapture`).
fn say(figures: &str) {
    let _ = writeln!(std::io::stderr(), "{figures}");
}

fn open(path: &[u8]) {
    let path = CString::new(path).unwrap();
    // The agent does not tell of itself, and this test is another process.
    drop(fs::File::open(std::ffi::OsString::from_vec(path.into_bytes())));
}

#[test]
fn paths_of_any_bytes_are_told() {
    let Some(agent) = agent("paths_of_any_bytes_are_told") else { return };
    let folder = agent.dir.path().to_str().unwrap().to_owned();
    for byte in 1..=255_u8 {
        if byte != b'/' {
            open(&[folder.as_bytes(), b"/x", format!("{byte:03}-").as_bytes(), &[byte], b"\n{\"\\"].concat());
        }
    }
    for byte in [1, 10, 27, 34, 92, 127, 128, 255_u8] {
        alert(&agent, "Opened", "fd.name", &format!("/x{byte:03}-"));
    }
}

/// Nothing is there that the kernel could tell the path of, and Falco's words for long ones say nothing.
#[test]
fn long_paths_of_missing_files_are_told() {
    let Some(agent) = agent("long_paths_of_missing_files_are_told") else { return };
    let folder = agent.dir.path().to_str().unwrap().to_owned();
    open(format!("{folder}/{}x-dots", "./".repeat(1800)).as_bytes());
    open(format!("{folder}/x-names/{}", "name/".repeat(400)).as_bytes());
    for name in ["/x-dots", "/x-names/name/name/"] {
        alert(&agent, "Opened", "evasion.resolved_path", name);
    }
}

#[test]
fn names_and_arguments_with_control_characters_stay_on_one_line() {
    let Some(agent) = agent("names_and_arguments_with_control_characters_stay_on_one_line") else { return };
    let program = agent.path("a\u{1b}[2Jb");
    copy_program("/bin/true", &program);
    let bytes = |text: &[u8]| std::ffi::OsString::from_vec(text.to_vec());
    Command::new(&program)
        .arg("MARK one")
        .arg(bytes(b"\x1b]0;t\x07\n\r{\"rule\":\"x\"}\xff\xfe"))
        .status()
        .unwrap();
    let alert = alert(&agent, "Run", "proc.args", "MARK one");
    assert!(alert["output_fields"]["proc.name"].as_str().unwrap().starts_with('a'), "{alert}");
}

#[test]
fn two_mebibytes_of_arguments_are_told_as_far_as_they_fit() {
    let Some(agent) = agent("two_mebibytes_of_arguments_are_told_as_far_as_they_fit") else { return };
    let part = "y".repeat(100_000);
    Command::new("/bin/true").arg("MARK two").args(vec![part; 18]).status().unwrap();
    let alert = alert(&agent, "Run", "proc.args", "MARK two");
    let length = alert["output_fields"]["proc.args"].as_str().unwrap().len();
    assert!((4000..=8200).contains(&length), "{length}");
}

#[test]
fn a_process_that_is_gone_at_once_and_a_deep_ancestry_are_told() {
    let Some(agent) = agent("a_process_that_is_gone_at_once_and_a_deep_ancestry_are_told") else { return };
    // Each shell runs the next one and waits for it.
    let script = "n=$1; if [ $n -gt 0 ]; then sh $0 $((n-1)); true; else /bin/true MARK deep; fi";
    let file = agent.path("deep.sh");
    fs::write(&file, script).unwrap();
    Command::new("sh").arg(&file).arg("60").status().unwrap();
    let deep = alert(&agent, "Run", "proc.args", "MARK deep");
    assert_eq!(deep["output_fields"]["proc.aname[20]"], "sh", "{deep}");
    // The parent is gone before its child runs anything.
    Command::new("sh").args(["-c", "(sleep 0.05; /bin/true MARK orphan) & exit"]).status().unwrap();
    alert(&agent, "Run", "proc.args", "MARK orphan");
}

#[test]
fn twenty_thousand_descriptors_are_no_matter() {
    let Some(agent) = agent("twenty_thousand_descriptors_are_no_matter") else { return };
    let script = format!(
        "import os,resource\nresource.setrlimit(resource.RLIMIT_NOFILE,(resource.getrlimit(resource.RLIMIT_NOFILE)[1],)*2)\n\
         n=0\ntry:\n while n<20000:\n  os.open('/dev/null',0); n+=1\nexcept OSError: os.close(n+2)\n\
         os.open('{}/x-many',os.O_CREAT)\n",
        agent.dir.path().display()
    );
    if Command::new("python3").args(["-c", &script]).status().is_ok_and(|status| status.success()) {
        alert(&agent, "Opened", "fd.name", "/x-many");
    }
}

/// Runs the program in its first argument, then makes another process of the same id, which opens a file.
const REUSE_PID: &str = r#"
import ctypes,os,struct,sys,time
old=os.fork()
if old==0: os.execv(sys.argv[1],[sys.argv[1],"MARK","old"])
os.waitpid(old,0)
libc=ctypes.CDLL(None,use_errno=True)
ids=ctypes.c_int(old)
clone=ctypes.create_string_buffer(struct.pack("=11Q",0,0,0,0,17,0,0,0,ctypes.addressof(ids),1,0))
for _ in range(200):
 new=libc.syscall(435,clone,88)
 if new==0:
  os.open(sys.argv[2],os.O_CREAT)
  os._exit(0)
 if new>0: break
 time.sleep(0.01)
else: sys.exit("clone3: errno %d"%ctypes.get_errno())
os.waitpid(new,0)
print(new)
"#;

#[test]
fn a_process_with_the_id_of_another_has_nothing_of_it() {
    let Some(agent) = agent("a_process_with_the_id_of_another_has_nothing_of_it") else { return };
    let (program, file) = (agent.path("the-old-one"), agent.path("x-reused"));
    copy_program("/bin/true", &program);
    let reuse = Command::new("python3").args(["-c", REUSE_PID]).arg(&program).arg(file).output().unwrap();
    assert!(reuse.status.success(), "{reuse:?}");
    let pid: u64 = String::from_utf8(reuse.stdout).unwrap().trim().parse().unwrap();
    let old = alert(&agent, "Run", "proc.args", "MARK old");
    let new = alert(&agent, "Opened", "fd.name", "/x-reused");
    for of in [&old, &new] {
        assert_eq!(of["output_fields"]["proc.pid"], pid);
    }
    assert_eq!(old["output_fields"]["proc.name"], "the-old-one");
    assert!(new["output_fields"]["proc.name"].as_str().unwrap().starts_with("python3"), "{new}");
}

/// `SAKER_FORKS` is how many; a million takes minutes.
#[test]
fn many_forks_do_not_fill_the_memory() {
    let Some(agent) = agent("many_forks_do_not_fill_the_memory") else { return };
    let forks: u32 = std::env::var("SAKER_FORKS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    // Two shells, because forks of small programs are quick.
    let script = "for _ in 1 2; do (i=0; while [ $i -lt $0 ]; do (:); i=$((i+1)); done) & done; wait";
    let started = Instant::now();
    assert!(Command::new("sh").args(["-c", script, &(forks / 2).to_string()]).status().unwrap().success());
    let took = started.elapsed();
    // Again and again: the ring may be full still.
    while agent.stdout.count("MARK after") == 0 {
        Command::new("/bin/true").arg("MARK after").status().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert!(started.elapsed() < took + PATIENCE, "no alert after the forks: {:?}", agent.stderr.all());
    }
    let kib = agent.memory("VmRSS:");
    say(&format!("{kib} KiB after {forks} forks in {took:?}"));
    assert!(kib <= 128 << 10, "{kib} KiB after {forks} forks");
}

#[test]
fn an_agent_that_was_frozen_goes_on_and_raises_no_false_alarm() {
    let Some(agent) = agent("an_agent_that_was_frozen_goes_on_and_raises_no_false_alarm") else { return };
    agent.signal("STOP");
    Command::new("/bin/true").arg("MARK frozen").status().unwrap();
    std::thread::sleep(Duration::from_secs(5));
    agent.signal("CONT");
    alert(&agent, "Run", "proc.args", "MARK frozen");
    std::thread::sleep(Duration::from_secs(4));
    assert!(!agent.stderr.all().iter().any(|line| line.contains("does not report any more")));
    assert_eq!(agent.get("/healthz").0, 200);
}

/// Finds the map of wanted calls of the process in its first argument, and takes connect out of it.
const CHANGE_MAP: &str = r#"
import ctypes,glob,platform,re,struct,sys
BPF={"x86_64":321}.get(platform.machine(),280)
libc=ctypes.CDLL(None,use_errno=True)
def bpf(command,*words):
 attr=ctypes.create_string_buffer(struct.pack("="+"".join(f for f,_ in words),*(w for _,w in words)),64)
 done=libc.syscall(BPF,command,attr,64)
 if done<0: sys.exit("bpf %d: errno %d"%(command,ctypes.get_errno()))
 return done
def read(name):
 try: return open(name).read()
 except OSError: return "" # closed meanwhile
# Numbers of 11 words: calls, families of sockets, marks.
WANTED=88
found=0
for info in map(read, glob.glob("/proc/%s/fdinfo/*"%sys.argv[1])):
 sizes=dict(re.findall(r"(\w+):\s+(\w+)",info))
 if sizes.get("value_size")==str(WANTED):
  fd=bpf(14,("I",int(sizes["map_id"])))
  key,value=ctypes.create_string_buffer(4),ctypes.create_string_buffer(WANTED)
  element=(("I",fd),("I",0),("Q",ctypes.addressof(key)),("Q",ctypes.addressof(value)),("Q",0))
  bpf(1,*element)
  value[5]=bytes([value[5][0]^4])
  bpf(2,*element)
  found+=1
if found!=1: sys.exit("%d maps of %d bytes"%(found,WANTED))
"#;

#[test]
fn a_changed_map_of_the_probe_is_an_alert_and_fails_healthz() {
    let Some(agent) = agent("a_changed_map_of_the_probe_is_an_alert_and_fails_healthz") else { return };
    assert_eq!(agent.get("/healthz").0, 200);
    let changed =
        Command::new("python3").args(["-c", CHANGE_MAP, &agent.pid().to_string()]).output().unwrap();
    assert!(changed.status.success(), "{changed:?}");
    let started = Instant::now();
    alert(&agent, "Saker internal: hook silent", "hook", "map syscalls");
    say(&format!("a changed map was told after {:?}", started.elapsed()));
    assert_ne!(agent.get("/healthz").0, 200);
}
