//! Runs the built `saker` as a user would.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

/// What the command did.
pub struct Ran(Output);

impl Ran {
    /// The exit code.
    pub fn code(&self) -> i32 {
        self.0.status.code().expect("an exit, not a signal")
    }

    /// Standard output.
    pub fn out(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).expect("UTF-8 on standard output")
    }

    /// Standard error.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// Standard output of a command that must do well.
    pub fn success(&self) -> String {
        assert_eq!(self.code(), 0, "{}\n{}", self.out(), self.err());
        self.out()
    }

    /// Both outputs of a command that must end with this code.
    pub fn fails(&self, code: i32) -> String {
        let text = format!("{}{}", self.out(), self.err());
        assert_eq!(self.code(), code, "{text}");
        text
    }

    /// Standard output as one JSON value, whatever the exit code.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out()).unwrap_or_else(|e| panic!("{e}\n{}\n{}", self.out(), self.err()))
    }

    /// Standard output as one JSON value a line.
    pub fn json_lines(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        self.out().lines().map(parse).collect()
    }
}

/// The program under test: the one that was built with the tests, or that of `SAKER_BIN_DIR`, which may be for another
/// machine (`e2e/arm64.sh`).
pub fn program() -> PathBuf {
    let other = std::env::var_os("SAKER_BIN_DIR").map(|folder| Path::new(&folder).join("saker"));
    other.unwrap_or_else(|| env!("CARGO_BIN_EXE_saker").into())
}

fn command(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(program());
    command.args(args).env("TZ", "UTC").env("FALCO_HOSTNAME", "node-1").env("COLUMNS", "110");
    command
}

/// Runs `saker` with these arguments.
pub fn saker(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ran {
    Ran(command(args).stdin(Stdio::null()).output().expect("saker runs"))
}

/// Runs `saker` as on a machine that has no certificates of authorities.
pub fn saker_without_certificates(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ran {
    let mut command = command(args);
    command.env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/nonexistent");
    Ran(command.stdin(Stdio::null()).output().expect("saker runs"))
}

/// Runs `saker` in a directory.
pub fn saker_in(dir: &Path, args: &[String]) -> Ran {
    Ran(command(args).current_dir(dir).stdin(Stdio::null()).output().expect("saker runs"))
}

/// Runs `saker` with this text on standard input.
pub fn saker_reading(args: impl IntoIterator<Item = impl AsRef<OsStr>>, input: &str) -> Ran {
    let mut child = command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("saker runs");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("saker reads its input");
    Ran(child.wait_with_output().expect("saker ends"))
}

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

/// A directory of files for one test.
pub struct Files(tempfile::TempDir);

impl Files {
    /// Files by name and content.
    pub fn new<const N: usize>(files: [(&str, &str); N]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for (name, content) in files {
            fs::write(dir.path().join(name), content).expect("a file");
        }
        Self(dir)
    }

    /// The path of a file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The path of a file, as an argument.
    pub fn arg(&self, name: &str) -> String {
        self.path(name).to_str().expect("a UTF-8 path").to_owned()
    }
}
