//! `file_output`: one line per alert at the end of a file.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::PathBuf,
};

use saker_alert::{Alert, Renderer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BuildError, OutputConfig, SendError, Transport};

/// Alerts in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether to write alerts there.
    pub enabled: bool,
    /// Keep the file open between alerts; SIGUSR1 opens it anew, after a log rotation.
    pub keep_alive: bool,
    /// The file; alerts are appended.
    pub filename: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: false, keep_alive: false, filename: PathBuf::from("./events.txt") }
    }
}

impl OutputConfig for Config {
    fn name(&self) -> &'static str {
        "file"
    }

    fn enabled(&self) -> bool {
        self.enabled
    }

    fn build(&self, renderer: Renderer) -> Result<Box<dyn Transport>, BuildError> {
        if self.filename.as_os_str().is_empty() {
            return Err(BuildError::Missing("file_output.filename", "/var/log/saker/alerts.log"));
        }
        Ok(Box::new(Appender { config: self.clone(), renderer, file: None, torn: false }))
    }
}

struct Appender {
    config: Config,
    renderer: Renderer,
    file: Option<File>,
    /// A line was cut short, so the next one begins with a line feed.
    torn: bool,
}

impl Transport for Appender {
    fn send(&mut self, alert: &Alert) -> Result<(), SendError> {
        let feed = if self.torn { "\n" } else { "" };
        let line = format!("{feed}{}\n", self.renderer.line(alert));
        let result = self.append(line.as_bytes());
        if result.is_err() || !self.config.keep_alive {
            self.file = None;
        }
        let name = self.config.filename.display();
        result.map_err(|e| SendError::Final(format!("cannot write to {name}: {e}")))
    }

    fn reopen(&mut self) {
        self.file = None;
    }
}

impl Appender {
    fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => OpenOptions::new().create(true).append(true).open(&self.config.filename)?,
        };
        while !bytes.is_empty() {
            let written = file.write(bytes)?;
            bytes = bytes.get(written..).unwrap_or_default();
            self.torn = !bytes.is_empty();
        }
        self.file = Some(file);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use saker_alert::Format;

    use super::*;
    use crate::registry::tests::alert;

    fn open(filename: &Path, keep_alive: bool) -> Box<dyn Transport> {
        let config = Config { enabled: true, keep_alive, filename: filename.to_owned() };
        config.build(Renderer::new(Format::default())).unwrap()
    }

    fn lines(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().map(|line| line.split_once(": ").unwrap().1.to_owned()).collect()
    }

    #[test]
    fn alerts_are_appended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alerts");
        for keep_alive in [false, true] {
            open(&path, keep_alive).send(&alert("a")).unwrap();
        }
        assert_eq!(lines(&path), ["Notice a", "Notice a"]);
    }

    #[test]
    fn a_rotated_file_is_left_on_reopen() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("alerts"), dir.path().join("alerts.1"));
        let mut output = open(&path, true);
        output.send(&alert("a")).unwrap();
        fs::rename(&path, &old).unwrap();
        output.send(&alert("b")).unwrap();
        output.reopen();
        output.send(&alert("c")).unwrap();
        assert_eq!(
            (lines(&old), lines(&path)),
            (vec!["Notice a".into(), "Notice b".into()], vec!["Notice c".into()])
        );
    }

    #[test]
    fn a_full_disk_is_an_error_that_passes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alerts");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        for keep_alive in [false, true] {
            let mut output = open(&path, keep_alive);
            let error = output.send(&alert("a")).unwrap_err();
            assert!(error.to_string().contains("No space left on device"), "{error}");
            fs::rename(&path, dir.path().join("full")).unwrap();
            output.send(&alert("b")).unwrap();
            assert_eq!(lines(&path), ["Notice b"]);
            fs::rename(dir.path().join("full"), &path).unwrap();
        }
    }

    #[test]
    fn an_unwritable_place_is_named() {
        let error = open(Path::new("/nowhere/alerts"), false).send(&alert("a")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot write to /nowhere/alerts: No such file or directory (os error 2)"
        );
    }
}
