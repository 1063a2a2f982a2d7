//! The outputs that are configured, together.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use saker_alert::{Alert, Renderer};

use crate::delivery::{Backoff, Counts, Delivery, Transport};

/// What the configuration of every output can do.
pub trait OutputConfig {
    /// The name in metrics and logs.
    fn name(&self) -> &'static str;

    /// Whether it is wanted.
    fn enabled(&self) -> bool;

    /// Makes the transport, which renders alerts by itself.
    fn build(&self, renderer: Renderer) -> Result<Box<dyn Transport>, BuildError>;
}

/// An output that cannot be had as configured.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// No output is enabled.
    #[error(
        "no output is enabled, so no alert would be seen: set stdout_output.enabled, file_output.enabled or http_output.enabled to true"
    )]
    NoOutput,
    /// A value must be given.
    #[error("{0} is empty: set it, for example to {1}")]
    Missing(&'static str, &'static str),
    /// A value is no good.
    #[error("{key}: {reason}")]
    Invalid {
        /// The key in the configuration.
        key: &'static str,
        /// What is wrong with its value.
        reason: String,
    },
    /// The output's thread does not start.
    #[error("cannot start the thread of an output: {0}")]
    Thread(#[from] io::Error),
}

/// Every enabled output, each with a queue and a thread of its own.
pub struct Outputs(Vec<Delivery>);

impl Outputs {
    /// Starts the enabled ones with queues of `capacity` alerts.
    pub fn start(
        configs: &[&dyn OutputConfig],
        renderer: &Renderer,
        capacity: usize,
    ) -> Result<Self, BuildError> {
        let start = |config: &&dyn OutputConfig| {
            let transport = config.build(renderer.clone())?;
            Ok(Delivery::start(config.name(), transport, capacity, Backoff::default())?)
        };
        let enabled = configs.iter().filter(|config| config.enabled());
        let started: Vec<_> = enabled.map(start).collect::<Result<_, BuildError>>()?;
        if started.is_empty() { Err(BuildError::NoOutput) } else { Ok(Self(started)) }
    }

    /// Gives an alert to every output; never waits.
    pub fn send(&self, alert: Alert) {
        let alert = Arc::new(alert);
        self.0.iter().for_each(|output| output.send(&alert));
    }

    /// Whether so many alerts, or half a queue of them if that is less, would be taken by some output. Where none
    /// has room, alerts would be lost.
    pub fn has_room(&self, alerts: usize) -> bool {
        self.0.iter().any(|output| output.has_room(alerts))
    }

    /// Opens files anew, after a log rotation.
    pub fn reopen(&self) {
        self.0.iter().for_each(Delivery::reopen);
    }

    /// What became of the alerts so far, by output.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, Counts)> {
        self.0.iter().map(|output| (output.name(), output.counts()))
    }

    /// Delivers what is queued, for at most `patience`, and tells what became of all alerts.
    pub fn close(&self, patience: Duration) -> Vec<(&'static str, Counts)> {
        let deadline = Instant::now() + patience;
        self.0.iter().for_each(|output| output.begin_close(deadline));
        self.0.iter().map(|output| (output.name(), output.finish_close(deadline))).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{path::Path, process::Command};

    use saker_alert::{Format, Priority};

    use super::*;
    use crate::{file, stdout};

    /// An alert of this message.
    pub(crate) fn alert(message: &str) -> Arc<Alert> {
        Arc::new(Alert {
            time: 1_000_000_000,
            rule: "A rule".to_owned(),
            priority: Priority::Notice,
            source: "syscall".to_owned(),
            message: message.to_owned(),
            output_fields: serde_json::Map::new(),
            tags: Vec::new(),
            hostname: "node-1".to_owned(),
        })
    }

    fn start(configs: &[&dyn OutputConfig]) -> Result<Outputs, BuildError> {
        Outputs::start(configs, &Renderer::new(Format::default()), 10)
    }

    #[test]
    fn without_any_output_nothing_starts() {
        let off = stdout::Config { enabled: false };
        let error = start(&[&off, &file::Config::default()]).err().unwrap();
        assert!(matches!(error, BuildError::NoOutput));
    }

    #[test]
    fn room_is_where_one_output_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = |path: &Path| file::Config { enabled: true, keep_alive: true, filename: path.to_owned() };
        let pipe = dir.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        // Opening a pipe that nobody reads hangs, as a dead sink does.
        let stuck = start(&[&file(&pipe)]).unwrap();
        assert!(stuck.has_room(10_000));
        for _ in 0..7 {
            stuck.send(Alert::clone(&alert("m")));
        }
        assert!(stuck.has_room(3) && !stuck.has_room(4));
        let both = start(&[&file(&pipe), &file(Path::new("/dev/null"))]).unwrap();
        for _ in 0..7 {
            both.send(Alert::clone(&alert("m")));
        }
        let start = Instant::now();
        while both.counts().last().unwrap().1.sent < 7 {
            assert!(start.elapsed() < Duration::from_mins(1), "{:?}", both.counts().last());
            std::thread::yield_now();
        }
        assert!(both.has_room(10));
        // Lets the openers go.
        drop(std::fs::File::open(&pipe));
    }

    #[test]
    fn a_full_disk_harms_no_other_output() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| file::Config {
            enabled: true,
            keep_alive: true,
            filename: if name == "full" { "/dev/full".into() } else { dir.path().join(name) },
        };
        let outputs = start(&[&file("full"), &file("good")]).unwrap();
        for _ in 0..3 {
            outputs.send(Alert::clone(&alert("m")));
        }
        let counts = outputs.close(Duration::from_mins(1));
        let expected = [Counts { failed: 3, ..Counts::default() }, Counts { sent: 3, ..Counts::default() }];
        assert_eq!(counts.into_iter().map(|(_, c)| c).collect::<Vec<_>>(), expected);
    }
}
