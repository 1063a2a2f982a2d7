//! The agent under test: started as a user would start it, its alerts read from standard output.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

/// A running agent with one rule more: it fires when a file `shot-N` of our folder is opened.
pub struct Agent {
    child: Child,
    lines: BufReader<Box<dyn Read>>,
    folder: PathBuf,
}

impl Agent {
    /// Starts the agent with upstream's stable rules, or where those are not at hand its default ones, and ours;
    /// `folder` must be empty and lives as long as the agent.
    pub fn start(binary: &Path, folder: &Path) -> Result<Self> {
        let rules = folder.join("rules.yaml");
        let prefix = folder.join("shot-");
        fs::write(
            &rules,
            format!(
                "- rule: Benchmark shot\n  desc: fires once per shot\n  priority: NOTICE\n  output: \"%fd.name;\"\n  \
                 condition: evt.type in (open, openat) and fd.name startswith {}\n",
                prefix.display()
            ),
        )?;
        let mut child = Command::new(binary)
            .args(stable_rules().iter().flat_map(|rules| ["-o", rules.as_str()]))
            .args(["-o", &format!("rules_files[]={}", rules.display()), "-o", "webserver.enabled=false"])
            .args(["-o", "log_level=error"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let stdout: Box<dyn Read> = Box::new(child.stdout.take().context("a piped stdout")?);
        let lines = BufReader::new(stdout);
        Ok(Self { child, lines, folder: folder.to_owned() })
    }

    /// Starts the agent for audit events alone, with these rules, and says where it listens.
    pub fn start_audit(binary: &Path, rules: &str) -> Result<(Self, String)> {
        let mut child = Command::new(binary)
            .args(["--disable-source", "syscall", "-o", &format!("rules_files=[{rules}]")])
            .args(["-o", "webserver.listen_port=0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let mut log = BufReader::new(child.stderr.take().context("a piped stderr")?);
        let mut line = String::new();
        while !line.contains("listening on http://") {
            line.clear();
            ensure!(log.read_line(&mut line)? > 0, "the agent ended: {}", child.wait()?);
        }
        // A pipe that nobody reads would fill up.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let address = line.split("http://").nth(1).and_then(|rest| rest.split(": ").next()).unwrap_or("");
        let address = address.to_owned();
        let lines = BufReader::new(Box::new(std::io::empty()) as Box<dyn Read>);
        Ok((Self { child, lines, folder: PathBuf::new() }, address))
    }

    /// Opens `shot-0` again and again until its alert is out: the time from now to detection.
    pub fn wait_until_up(&mut self) -> Result<Duration> {
        let (start, path) = (Instant::now(), self.shot(0));
        File::create(&path)?;
        let poker = std::thread::spawn(move || {
            while start.elapsed() < Duration::from_secs(10) && path.exists() {
                let _ = File::open(&path);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        self.wait_for(0)?;
        let elapsed = start.elapsed();
        fs::remove_file(self.shot(0))?;
        poker.join().map_err(|_| anyhow::anyhow!("the opening thread panicked"))?;
        Ok(elapsed)
    }

    /// Opens `shot-N` once and waits for its alert.
    pub fn shoot(&mut self, number: usize) -> Result<Duration> {
        let path = self.shot(number);
        File::create(&path)?;
        fs::remove_file(&path)?;
        let start = Instant::now();
        self.wait_for(number)?;
        Ok(start.elapsed())
    }

    fn shot(&self, number: usize) -> PathBuf {
        self.folder.join(format!("shot-{number}"))
    }

    fn wait_for(&mut self, number: usize) -> Result<()> {
        let (wanted, mut line) = (format!("shot-{number};"), String::new());
        while !line.contains(&wanted) {
            line.clear();
            if self.lines.read_line(&mut line)? == 0 {
                bail!("the agent ended: {}", self.child.wait()?);
            }
        }
        Ok(())
    }

    /// Resident memory in KiB: all of it, and the part that is ring buffers.
    pub fn memory(&self) -> Result<(u64, u64)> {
        let (mut all, mut rings, mut in_ring) = (0, 0, false);
        for line in fs::read_to_string(format!("/proc/{}/smaps", self.child.id()))?.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("Rss:") => {
                    let kib: u64 = words.next().unwrap_or("0").parse()?;
                    all += kib;
                    rings += if in_ring { kib } else { 0 };
                }
                Some(word) if !word.ends_with(':') => in_ring = line.ends_with("bpf-map"),
                _ => {}
            }
        }
        Ok((all, rings))
    }

    /// Ends the agent. Returns how many events it says were lost.
    pub fn stop(&mut self) -> Result<u64> {
        let (mut said, stderr) = (String::new(), self.child.stderr.take());
        signal(&self.child, libc::SIGINT)?;
        stderr.context("a piped stderr")?.read_to_string(&mut said)?;
        let line = said.lines().find_map(|line| line.strip_prefix("Events seen from syscall: "));
        let lost = line.and_then(|line| line.rsplit("lost: ").next());
        lost.with_context(|| format!("no count of lost events in: {said}"))?.parse().context("a count")
    }

    /// Processor time used so far, that of ended threads included.
    pub fn cpu(&self) -> Result<Duration> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let mut clock = 0;
        let pid = i32::try_from(self.child.id())?;
        #[expect(unsafe_code, reason = "the standard library does not offer this clock")]
        // SAFETY: both calls fill a variable of ours.
        let failed = unsafe {
            libc::clock_getcpuclockid(pid, &raw mut clock) != 0
                || libc::clock_gettime(clock, &raw mut time) != 0
        };
        ensure!(!failed, "cannot read the agent's clock: {}", io::Error::last_os_error());
        Ok(Duration::new(time.tv_sec.try_into()?, time.tv_nsec.try_into()?))
    }
}

/// The option that puts upstream's stable rules in the place of the default ones.
fn stable_rules() -> Option<String> {
    let rules = PathBuf::from(std::env::var_os("SAKER_FIXTURES")?).join("rules/falco_rules.yaml");
    rules.is_file().then(|| format!("rules_files=[{}]", rules.display()))
}

fn signal(child: &Child, signal: i32) -> Result<()> {
    let pid = i32::try_from(child.id())?;
    #[expect(unsafe_code, reason = "the standard library sends no signal but SIGKILL")]
    // SAFETY: it only takes numbers; the child is not waited for yet, so the pid is its own.
    let failed = unsafe { libc::kill(pid, signal) != 0 };
    if failed { Err(io::Error::last_os_error().into()) } else { Ok(()) }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
