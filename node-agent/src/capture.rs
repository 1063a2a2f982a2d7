//! The capture that the agent writes beside its alerts (`--capture-to`).

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use saker_capture::{Limits, Recorder};
use saker_events::{Event, container::Container};

use crate::args::Args;

/// A capture in the making. What goes wrong with it is logged and ends it; detection goes on.
pub struct Capture {
    recorder: Recorder,
    file: PathBuf,
}

impl Capture {
    /// Makes the file, if one is asked for.
    pub fn create(args: &Args) -> anyhow::Result<Option<Self>> {
        let Some(file) = args.capture_to.clone() else { return Ok(None) };
        let duration = Some(Duration::from_secs(args.capture_seconds));
        let limits = Limits { bytes: args.capture_max_size << 20, duration };
        let recorder = Recorder::create(&file, limits)
            .with_context(|| format!("cannot write the capture {}", file.display()))?;
        Ok(Some(Self { recorder, file }))
    }

    /// Takes note of a process that was there before.
    pub fn existing(&mut self, event: &Event) {
        self.recorder.existing(event);
    }

    /// Writes what was there before.
    pub fn begin(&mut self) {
        match self.recorder.begin() {
            Ok(()) => tracing::info!("capturing to {}", self.file.display()),
            Err(error) => tracing::error!(%error, "The capture {} is incomplete", self.file.display()),
        }
    }

    /// Writes an event of a process in a container or outside; `true` if the capture ends with it.
    pub fn event(&mut self, event: &Event, container: Option<&Arc<Container>>) -> bool {
        let ended = self.recorder.event(event, container);
        if let Some(why) = &ended {
            tracing::info!("the capture {} ends: {why}; detection goes on", self.file.display());
        }
        ended.is_some()
    }

    /// Takes note of events that never arrived.
    pub fn lost(&mut self, count: u64) {
        self.recorder.lost(count);
    }

    /// Whether events still go into it.
    pub fn is_running(&self) -> bool {
        !self.recorder.has_ended()
    }

    /// Completes the file and says what it holds and lacks.
    pub fn finish(self) {
        match self.recorder.finish() {
            Ok(summary) => tracing::info!("capture {}: {summary}", self.file.display()),
            Err(error) => tracing::error!(%error, "The capture {} is incomplete", self.file.display()),
        }
    }
}
