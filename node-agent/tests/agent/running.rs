//! A running agent and what it says.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long the tests wait for anything; a good run waits a fraction of it.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Lines of one stream, with the time of their arrival.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<(Instant, String)>>>);

impl Lines {
    fn follow(&self, stream: impl Read + Send + 'static) -> JoinHandle<()> {
        let lines = Arc::clone(&self.0);
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                lines.lock().unwrap().push((Instant::now(), line));
            }
        })
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|(_, line)| line.clone()).collect()
    }

    /// With the time of their arrival.
    pub(crate) fn timed(&self) -> Vec<(Instant, String)> {
        self.0.lock().unwrap().clone()
    }

    /// Lines with this text.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|(_, line)| line.contains(text)).count()
    }

    fn find(&self, text: &str) -> Option<(Instant, String)> {
        self.0.lock().unwrap().iter().rev().find(|(_, line)| line.contains(text)).cloned()
    }
}

/// The program with a directory of its own; killed when dropped.
pub(crate) struct Running {
    pub(crate) dir: TempDir,
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
    child: Child,
    readers: Vec<JoinHandle<()>>,
}

pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

/// Whether the live tests can run; says so if not.
pub(crate) fn can_run_live(test: &str) -> bool {
    let can = is_root() && Path::new("/sys/kernel/btf/vmlinux").exists();
    if !can {
        let _ = writeln!(std::io::stderr(), "{test}: skipped: needs root and BTF");
    }
    can
}

/// Starts the program with arguments made from its directory, which holds an empty `rules.d`.
pub(crate) fn start(arguments: &[&str]) -> Running {
    start_in(TempDir::new().unwrap(), arguments)
}

/// Starts the program in a directory; `@` in arguments stands for it.
pub(crate) fn start_in(dir: TempDir, arguments: &[&str]) -> Running {
    let mut command = command(dir.path());
    command.args(arguments.iter().map(|a| a.replace('@', dir.path().to_str().unwrap())));
    spawn(dir, command)
}

/// In a mount namespace of its own, what the machine's resolver reads is in the directory `$0`.
const OWN_RESOLVER: &str =
    "for file in hosts resolv.conf; do mount --bind $0/$file /etc/$file || exit 1; done; exec \"$@\"";

/// Starts the program in a directory with these for `/etc/hosts`, and asking this name server.
pub(crate) fn start_with_names(dir: TempDir, hosts: &str, server: &str, arguments: &[&str]) -> Running {
    fs::write(dir.path().join("hosts"), hosts).unwrap();
    let resolver = format!("nameserver {server}\noptions timeout:30 attempts:5\n");
    fs::write(dir.path().join("resolv.conf"), resolver).unwrap();
    let plain = command(dir.path());
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "sh", "-c", OWN_RESOLVER]).arg(dir.path()).arg(plain.get_program());
    unshare.args(plain.get_args()).args(arguments).env("FALCO_HOSTNAME", "test-node").env_remove("RUST_LOG");
    spawn(dir, unshare)
}

/// Starts the program as a user that is not root, with these capabilities and no others (`+bpf,+perfmon`).
pub(crate) fn start_with_capabilities(capabilities: &str) -> Running {
    let dir = TempDir::new().unwrap();
    let program = dir.path().join("saker-agent");
    copy_program(env!("CARGO_BIN_EXE_saker-agent"), &program);
    std::os::unix::fs::chown(dir.path(), Some(65534), Some(65534)).unwrap();
    let only = format!("-all,{capabilities}");
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps", &only]);
    setpriv.args(["--ambient-caps", &only, "--bounding-set", &only]).arg(program);
    let plain = command(dir.path());
    setpriv.args(plain.get_args()).env("FALCO_HOSTNAME", "test-node");
    spawn(dir, setpriv)
}

/// Copies a program by another process: one that a test starts meanwhile would have the copy open for writing, and the
/// kernel runs no such file.
pub(crate) fn copy_program(program: &str, to: &Path) {
    assert!(Command::new("cp").arg(program).arg(to).status().unwrap().success(), "{program}");
}

fn spawn(dir: TempDir, mut command: Command) -> Running {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (stdout, stderr) = (Lines::default(), Lines::default());
    let readers =
        vec![stdout.follow(child.stdout.take().unwrap()), stderr.follow(child.stderr.take().unwrap())];
    Running { dir, stdout, stderr, child, readers }
}

/// The program with a configuration that touches nothing outside of `dir`.
fn command(dir: &Path) -> Command {
    fs::create_dir_all(dir.join("rules.d")).unwrap();
    let config = dir.join("saker.yaml");
    if !config.exists() {
        let text = format!(
            "rules_files: [built-in, {0}/rules.d]\nstate_dir: {0}/state\nwebserver: {{listen_port: 0}}\n",
            dir.display()
        );
        fs::write(&config, text).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_saker-agent"));
    command.arg("-c").arg(config).env("FALCO_HOSTNAME", "test-node").env_remove("RUST_LOG");
    command
}

/// Runs the program to its end as a user without privileges.
pub(crate) fn run_unprivileged(arguments: &[&str]) -> (ExitStatus, String) {
    let dir = TempDir::new().unwrap();
    let program = dir.path().join("saker-agent");
    copy_program(env!("CARGO_BIN_EXE_saker-agent"), &program);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(dir.path(), open).unwrap();
    let mut command = Command::new(&program);
    command.args(arguments).args(["-o", "webserver.listen_port=0"]);
    if is_root() {
        command.uid(65534).gid(65534);
    }
    let output = command.output().unwrap();
    (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
}

impl Running {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Waits for a line with this text on standard output.
    #[track_caller]
    pub(crate) fn alert(&self, text: &str) -> (Instant, String) {
        self.wait_for(&self.stdout, text)
    }

    /// Waits for a line with this text in the log.
    #[track_caller]
    pub(crate) fn log(&self, text: &str) -> String {
        self.wait_for(&self.stderr, text).1
    }

    #[track_caller]
    fn wait_for(&self, lines: &Lines, text: &str) -> (Instant, String) {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(found) = lines.find(text) {
                return found;
            }
            thread::sleep(Duration::from_millis(2));
        }
        panic!("no line with '{text}':\n{}\n{}", self.stdout.all().join("\n"), self.stderr.all().join("\n"))
    }

    /// Where the HTTP server listens.
    #[track_caller]
    pub(crate) fn address(&self) -> String {
        let line = self.log("listening on http://");
        let rest = line.split("listening on http://").nth(1).unwrap();
        rest.split(": ").next().unwrap().to_owned()
    }

    /// Status and body of the answer to a request.
    #[track_caller]
    pub(crate) fn request(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}");
        write!(head, "Content-Length: {}\r\n\r\n", body.len()).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.request("GET", path, "", b"")
    }

    /// Waits until the answer to a request has this text, and gives it.
    #[track_caller]
    pub(crate) fn until(&self, path: &str, text: &str) -> String {
        let start = Instant::now();
        loop {
            let (_, answer) = self.get(path);
            if answer.contains(text) {
                return answer;
            }
            assert!(start.elapsed() < PATIENCE, "no {text} in {answer}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Memory in KiB, by its name in `/proc/PID/status`.
    pub(crate) fn memory(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        value.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Number of open files.
    pub(crate) fn files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits for the end; the exit status and everything in the log.
    #[track_caller]
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.readers.drain(..).for_each(|reader| reader.join().unwrap());
                return (status, self.stderr.all().join("\n"));
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("the agent does not end:\n{}", self.stderr.all().join("\n"))
    }

    /// Ends it as Ctrl-C does.
    #[track_caller]
    pub(crate) fn interrupt(self) -> (ExitStatus, String) {
        self.signal("INT");
        self.end()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
