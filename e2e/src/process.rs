//! A program of ours, running.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::{PATIENCE, cluster::NODE, say, within};

/// Ends with its owner. What it prints is in two files.
pub struct Process {
    child: Child,
    out: PathBuf,
    log: PathBuf,
}

impl Process {
    /// Starts a program from `$SAKER_BIN_DIR`; its output goes to `folder`.
    pub fn start<I: IntoIterator<Item: AsRef<OsStr>>>(
        program: &str,
        folder: &Path,
        kubeconfig: &Path,
        args: I,
    ) -> anyhow::Result<Self> {
        Self::start_with(program, folder, kubeconfig, args, &[])
    }

    /// The same with more in its environment.
    pub fn start_with<I: IntoIterator<Item: AsRef<OsStr>>>(
        program: &str,
        folder: &Path,
        kubeconfig: &Path,
        args: I,
        env: &[(&str, &OsStr)],
    ) -> anyhow::Result<Self> {
        let binaries = std::env::var_os("SAKER_BIN_DIR").context("SAKER_BIN_DIR is not set: run make e2e")?;
        let (out, log) = (folder.join(format!("{program}.out")), folder.join(format!("{program}.log")));
        let append = |path| File::options().create(true).append(true).open(path);
        let child = Command::new(Path::new(&binaries).join(program))
            .args(args)
            .env("KUBECONFIG", kubeconfig)
            // As the DaemonSet says it: the name of the node that the test's pod is on.
            .env("FALCO_HOSTNAME", NODE)
            .envs(arenas(program))
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(append(&out)?)
            .stderr(append(&log)?)
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        Ok(Self { child, out, log })
    }

    /// The alerts of a rule among the JSON lines that it printed.
    pub fn alerts(&self, rule: &str) -> Vec<Value> {
        let lines = fs::read_to_string(&self.out).unwrap_or_default();
        let alerts = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        alerts.filter(|alert| alert["rule"] == rule).collect()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends it a signal, by name.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status()?;
        Ok(())
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it ever had, in KiB.
    pub fn peak_memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let value = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        value.trim().trim_end_matches(" kB").parse().ok()
    }

    /// Whether it has ended, and with success.
    pub fn ended(&mut self) -> Option<bool> {
        self.child.try_wait().ok()?.map(|status| status.success())
    }

    /// Asks it to end, and waits. One that does not is killed.
    ///
    /// # Errors
    /// If it had to be killed.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        self.signal("TERM")?;
        // A frozen one does not hear of it otherwise.
        self.signal("CONT")?;
        if within(PATIENCE, || self.ended()).is_none() {
            self.child.kill()?;
            self.child.wait()?;
            bail!("{} had to be killed: it did not end within {PATIENCE:?}", self.log.display());
        }
        Ok(())
    }
}

/// As the Deployment says it.
fn arenas(program: &str) -> Option<(&'static str, &'static str)> {
    (program == "saker-operator").then_some(("MALLOC_ARENA_MAX", "1"))
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(e) = self.stop() {
            say(&format!("{e:#}"));
        }
    }
}
