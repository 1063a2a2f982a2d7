//! `stdout_output`: one line per alert on standard output.

use std::io::{self, Stdout, Write};

use saker_alert::{Alert, Renderer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BuildError, OutputConfig, SendError, Transport};

/// Alerts on standard output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether to write alerts there.
    pub enabled: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl OutputConfig for Config {
    fn name(&self) -> &'static str {
        "stdout"
    }

    fn enabled(&self) -> bool {
        self.enabled
    }

    fn build(&self, renderer: Renderer) -> Result<Box<dyn Transport>, BuildError> {
        Ok(Box::new(Lines { renderer, to: io::stdout() }))
    }
}

struct Lines {
    renderer: Renderer,
    to: Stdout,
}

impl Transport for Lines {
    fn send(&mut self, alert: &Alert) -> Result<(), SendError> {
        let line = self.renderer.line(alert) + "\n";
        let mut to = self.to.lock();
        to.write_all(line.as_bytes())
            .and_then(|()| to.flush())
            .map_err(|e| SendError::Final(format!("cannot write to standard output: {e}")))
    }
}
