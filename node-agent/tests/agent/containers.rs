//! Alerts about real containers: of containerd itself and of its Container Runtime Interface.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tempfile::TempDir;

use crate::{
    capture::replay,
    cri::Cri,
    running::{PATIENCE, Running, can_run_live, start_in},
};

const IMAGE: &str = "saker.test/act:1";
const RULE: &str = "
- rule: Marker read in a container
  desc: d
  condition: evt.type in (open, openat, openat2) and fd.name = /marker and container.image.repository = saker.test/act
  output: >-
    marker read id=%container.id name=%container.name image=%container.image tag=%container.image.tag
    digest=%container.image.digest type=%container.type privileged=%container.privileged
    pod=%k8s.pod.name ns=%k8s.ns.name uid=%k8s.pod.uid labels=%k8s.pod.labels host=%container.host_network
  priority: WARNING
";

/// runc keeps containers of all containerds by their names in one folder, and an agent counts those that its own
/// containerd does not know: one test at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A containerd of our own, ended when dropped.
struct Containerd {
    dir: TempDir,
    child: Child,
    _alone: MutexGuard<'static, ()>,
}

/// Whether the test can run; says so if not.
fn can_run(test: &str) -> bool {
    let found = |tool: &str| {
        Command::new("which").arg(tool).stdout(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let missing: Vec<_> =
        ["containerd", "ctr", "runc", "cc", "tar"].into_iter().filter(|t| !found(t)).collect();
    if !missing.is_empty() {
        let _ = writeln!(std::io::stderr(), "{test}: skipped: needs {}", missing.join(", "));
    }
    can_run_live(test) && missing.is_empty()
}

impl Containerd {
    fn start() -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = TempDir::new().unwrap();
        let here = dir.path().display();
        let config = format!(
            r#"version = 2
root = "{here}/root"
state = "{here}/state"
[grpc]
  address = "{here}/containerd.sock"
[ttrpc]
  address = "{here}/ttrpc.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{IMAGE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
[plugins."io.containerd.internal.v1.opt"]
  path = "{here}/opt"
"#
        );
        fs::write(dir.path().join("containerd.toml"), config).unwrap();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new("containerd");
        command.arg("-c").arg(dir.path().join("containerd.toml"));
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let containerd = Self { dir, child, _alone: alone };
        containerd.wait();
        containerd.import();
        containerd
    }

    fn wait(&self) {
        let start = Instant::now();
        while !self.ctr(&["version"]).stderr(Stdio::null()).stdout(Stdio::null()).status().unwrap().success()
        {
            assert!(start.elapsed() < PATIENCE, "containerd does not answer");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// Makes the image and gives it to both kinds of client.
    fn import(&self) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/containerd/image.sh");
        run(Command::new(script).arg(self.dir.path()).arg(IMAGE));
        let image = self.dir.path().join("image.tar");
        for namespace in ["default", "k8s.io"] {
            run(self.ctr(&["-n", namespace, "images", "import", "--snapshotter", "native"]).arg(&image));
        }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("containerd.sock")
    }

    fn ctr(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("ctr");
        command.arg("-a").arg(self.socket()).args(arguments);
        command
    }

    fn agent(&self) -> Running {
        agent(&self.socket(), &[])
    }
}

/// An agent that asks this containerd and no other runtime, with further arguments.
fn agent(socket: &Path, arguments: &[&str]) -> Running {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("rules.d")).unwrap();
    fs::write(dir.path().join("rules.d/marker.yaml"), RULE).unwrap();
    let only = |key: &str| format!("container_engines.{key}.sockets[]={}", socket.display());
    let (cri, containerd) = (only("cri"), only("containerd"));
    let off = ["container_engines.docker.enabled=false", "container_engines.podman.enabled=false"];
    let all = [&["-o", &cri, "-o", &containerd, "-o", off[0], "-o", off[1]], arguments].concat();
    let agent = start_in(dir, &all);
    agent.log("processes were there before");
    agent
}

impl Drop for Containerd {
    fn drop(&mut self) {
        // What runs in containers outlives containerd, so it goes first. A failed test says so itself.
        for namespace in ["default", "k8s.io"] {
            let tasks = self.ctr(&["-n", namespace, "tasks", "ls", "-q"]).output();
            for task in String::from_utf8_lossy(&tasks.map(|o| o.stdout).unwrap_or_default()).lines() {
                let _ = self.ctr(&["-n", namespace, "tasks", "rm", "-f", task]).output();
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[track_caller]
fn check(line: &str, expected: &[&str]) {
    for text in expected {
        assert!(line.contains(text), "no {text} in {line}");
    }
}

#[test]
fn an_alert_about_a_container_of_containerd_tells_its_image() {
    if !can_run("an_alert_about_a_container_of_containerd_tells_its_image") {
        return;
    }
    let containerd = Containerd::start();
    let agent = containerd.agent();
    let arguments =
        ["run", "-d", "--snapshotter", "native", "--net-host", IMAGE, "saker-web", "/act", "/marker"];
    run(&mut containerd.ctr(&arguments));
    let (_, line) = agent.alert("marker read");
    check(
        &line,
        &[
            "id=saker-web name=saker-web image=saker.test/act:1 tag=1 digest=sha256:",
            "type=containerd privileged=false pod=<NA> ns=<NA>",
            "host=true",
        ],
    );
    let status: serde_json::Value = serde_json::from_str(&agent.get("/status").1).unwrap();
    assert_eq!(status["containers"]["lookups"]["missing"], 0, "{status}");
}

/// Whether a container is privileged is known from its engine alone, so the rule has its case here and not among
/// `tests/cases/stable_rules.yaml`.
#[test]
fn upstreams_rule_on_debugfs_fires_in_a_privileged_container_alone() {
    if !can_run("upstreams_rule_on_debugfs_fires_in_a_privileged_container_alone") {
        return;
    }
    let fixtures = PathBuf::from(std::env::var_os("SAKER_FIXTURES").unwrap_or_default());
    let rules = fixtures.join("rules/falco_rules.yaml");
    if !rules.is_file() {
        let _ = writeln!(std::io::stderr(), "skipped: needs upstream's rules in SAKER_FIXTURES");
        return;
    }
    let containerd = Containerd::start();
    let rules = format!("rules_files[]={}", rules.display());
    let agent = agent(&containerd.socket(), &["-o", &rules, "-o", "rule_matching=all"]);
    let start = |name: &str, privileged: &[&str]| {
        let settings = [&["run", "-d", "--snapshotter", "native", "--net-host"], privileged].concat();
        run(containerd.ctr(&settings).args([IMAGE, name, "/debugfs", "/marker"]));
        agent.alert(&format!("marker read id={name}"));
    };
    start("plain", &[]);
    start("mighty", &["--privileged"]);
    let (_, line) = agent.alert("Debugfs launched started in a privileged container");
    check(&line, &["process=debugfs", "command=debugfs /marker"]);
    let alerts = agent.stdout.all().iter().filter(|line| line.contains("Debugfs launched")).count();
    assert_eq!(alerts, 1, "the container without privileges fires it too");
}

#[test]
fn an_alert_about_a_pod_tells_its_name_and_namespace() {
    if !can_run("an_alert_about_a_pod_tells_its_name_and_namespace") {
        return;
    }
    let containerd = Containerd::start();
    let agent = containerd.agent();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let cri = Cri::new(&containerd.socket());
    let pod = ["web-0", "shop", "3e41dc6b-08a8-44db-bc2a-3724b18ab19a"];
    let sandbox = runtime.block_on(cri.run(pod, IMAGE, &["/marker"]));
    let (_, line) = agent.alert("marker read");
    runtime.block_on(cri.remove(&sandbox));
    check(
        &line,
        &[
            "name=front image=saker.test/act:1 tag=1",
            "type=containerd privileged=false pod=web-0 ns=shop uid=3e41dc6b-08a8-44db-bc2a-3724b18ab19a",
            "labels=app:shop host=true",
        ],
    );
}

#[test]
fn a_capture_tells_of_containers() {
    if !can_run("a_capture_tells_of_containers") {
        return;
    }
    let containerd = Containerd::start();
    let keep = TempDir::new().unwrap();
    let capture = keep.path().join("live.scap");
    let agent = agent(&containerd.socket(), &["--capture-to", capture.to_str().unwrap()]);
    agent.log("capturing to ");
    let arguments =
        ["run", "-d", "--snapshotter", "native", "--net-host", IMAGE, "saker-web", "/act", "/marker"];
    run(&mut containerd.ctr(&arguments));
    agent.alert("marker read");
    let lines = agent.stdout.clone();
    agent.interrupt();
    let live: Vec<_> = lines.all().into_iter().filter(|line| line.contains("marker read")).collect();
    let again = replay(&capture, RULE.to_owned());
    check(&again[0], &["name=saker-web image=saker.test/act:1 tag=1 digest=sha256:"]);
    assert_eq!(live, again);
}

#[test]
fn rules_are_blind_until_a_runtime_appears() {
    if !can_run_live("rules_are_blind_until_a_runtime_appears") {
        return;
    }
    let dir = TempDir::new().unwrap();
    let socket = dir.path().join("runtime.sock");
    let agent = agent(&socket, &[]);
    let blind = || {
        let status: serde_json::Value = serde_json::from_str(&agent.get("/status").1).unwrap();
        status["rules"]["blind"].as_u64().unwrap()
    };
    agent.log("rule 'Marker read in a container' is blind: container.image.repository is what a container runtime tells");
    let before = blind();
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let start = Instant::now();
    while blind() == before {
        assert!(start.elapsed() < PATIENCE, "{before} rules are still blind");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(agent.get("/metrics").1.contains("saker_container_socket_up{engine=\"cri\""));
}
