//! The configuration: `saker.yaml` with Falco's key names where the meaning is the same.

mod container_engines;
pub mod document;
mod expand;
mod legacy;
mod options;
mod problem;
mod sections;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

pub use container_engines::ContainerEngines;
use legacy::{Ignored, Unavailable};
pub use problem::ConfigError;
use saker_alert::{Format, Priority};
use saker_outputs::{OutputConfig, file, http, stdout};
use saker_rules::{append_output::AppendOutput, select::Selection};
use schemars::JsonSchema;
pub use sections::{
    DropAction, Engine, EngineKind, K8sAudit, Kubernetes, LogLevel, LogStart, Metrics, OutputsQueue,
    RuleMatching, SyscallEventDrops, Webserver,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Read if no other file is named; it need not exist.
pub const DEFAULT_FILE: &str = "/etc/saker/saker.yaml";
/// Rules of the machine's own, later than the built-in ones.
pub const RULES_DIRECTORY: &str = "/etc/saker/rules.d";
/// Names the built-in rules in `rules_files`.
pub const BUILT_IN_RULES: &str = "built-in";
/// Alerts that may wait for one output.
const DEFAULT_QUEUE: usize = 10_000;
/// Bytes of a configuration file.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, clippy::struct_field_names, reason = "the keys are Falco's")]
pub struct Config {
    /// Rules files and directories of `*.yaml`, later ones over earlier ones. `built-in` stands for
    /// the default rules, or for those of the cluster once they are known.
    pub rules_files: Vec<PathBuf>,
    /// Enables and disables rules, in this order, after all files are read.
    #[schemars(with = "Vec<serde_json::Value>")]
    pub rules: Vec<Selection>,
    /// Read changed rules files without a restart.
    pub watch_config_files: bool,
    /// Rules less urgent than this are not loaded.
    #[serde(serialize_with = "priority_name", deserialize_with = "parse_priority")]
    #[schemars(with = "String")]
    pub priority: Priority,
    /// Which rules make an alert of an event that several match.
    pub rule_matching: RuleMatching,

    /// Alerts as JSON objects instead of text.
    pub json_output: bool,
    /// JSON: the text of the alert under `output`.
    pub json_include_output_property: bool,
    /// JSON: the text without time and priority under `message`.
    pub json_include_message_property: bool,
    /// JSON: the values under `output_fields`.
    pub json_include_output_fields_property: bool,
    /// JSON: the tags of the rule.
    pub json_include_tags_property: bool,
    /// Additions to the output of rules: text, fields, for rules of a source, of tags, of a name.
    #[schemars(with = "Vec<serde_json::Value>")]
    pub append_output: Vec<AppendOutput>,
    /// Date and UTC offset instead of the local time of day.
    pub time_format_iso_8601: bool,

    /// Alerts on standard output.
    pub stdout_output: stdout::Config,
    /// Alerts in a file.
    pub file_output: file::Config,
    /// Alerts to an HTTP endpoint.
    pub http_output: http::Config,
    /// Not available yet: alerts to syslog.
    pub syslog_output: Unavailable,
    /// Not available yet: alerts to a program.
    pub program_output: Unavailable,
    /// The queue before each output.
    pub outputs_queue: OutputsQueue,

    /// Where syscall events come from.
    pub engine: Engine,
    /// The container runtimes that are asked for names, images and pods.
    pub container_engines: ContainerEngines,
    /// What to do when events are lost.
    pub syscall_event_drops: SyscallEventDrops,
    /// The HTTP server.
    pub webserver: Webserver,
    /// Audit events of the Kubernetes API server.
    pub k8s_audit: K8sAudit,
    /// The counters.
    pub metrics: Metrics,
    /// The rules of the cluster.
    pub kubernetes: Kubernetes,
    /// Directory of what the agent keeps: the last good rules of the cluster.
    pub state_dir: PathBuf,
    /// The least urgent lines of the agent's own log.
    pub log_level: LogLevel,

    /// Not available yet: bytes of buffers as base64.
    pub buffer_format_base64: Unavailable,
    /// Not available yet: further files merged into this one.
    pub config_files: Unavailable,
    /// Not available yet: fields of fixed value.
    pub static_fields: Unavailable,
    /// Not available yet: captures of what led to an alert.
    pub capture: Unavailable,
    /// Ignored: which calls are read follows from the rules.
    pub base_syscalls: Ignored,
    /// Ignored: an alert is written at once.
    pub buffered_outputs: Ignored,
    /// Ignored: tables have limits of their own.
    pub falco_libs: Ignored,
    /// Ignored: there is one log.
    pub libs_logger: Ignored,
    /// Ignored: the k8s_audit and container plugins are built in.
    pub load_plugins: Ignored,
    /// Ignored: the log goes to standard error.
    pub log_stderr: Ignored,
    /// Ignored: the log goes to standard error.
    pub log_syslog: Ignored,
    /// Ignored: each output has its own queue, so none blocks another.
    pub output_timeout: Ignored,
    /// Ignored: the k8s_audit and container plugins are built in.
    pub plugins: Ignored,
    /// Ignored: the plugins are built in.
    pub plugins_hostinfo: Ignored,
    /// Ignored: a quiet kernel is no fault.
    pub syscall_event_timeouts: Ignored,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rules_files: vec![BUILT_IN_RULES.into(), RULES_DIRECTORY.into()],
            rules: Vec::new(),
            watch_config_files: true,
            priority: Priority::Debug,
            rule_matching: RuleMatching::First,
            json_output: false,
            json_include_output_property: true,
            json_include_message_property: false,
            json_include_output_fields_property: true,
            json_include_tags_property: true,
            append_output: vec![AppendOutput { suggested_output: true, ..AppendOutput::default() }],
            time_format_iso_8601: false,
            stdout_output: stdout::Config::default(),
            file_output: file::Config::default(),
            http_output: http::Config::default(),
            syslog_output: Unavailable,
            program_output: Unavailable,
            outputs_queue: OutputsQueue::default(),
            engine: Engine::default(),
            container_engines: ContainerEngines::default(),
            syscall_event_drops: SyscallEventDrops::default(),
            webserver: Webserver::default(),
            k8s_audit: K8sAudit::default(),
            metrics: Metrics::default(),
            kubernetes: Kubernetes::default(),
            state_dir: PathBuf::from("/var/lib/saker"),
            log_level: LogLevel::Info,
            buffer_format_base64: Unavailable,
            config_files: Unavailable,
            static_fields: Unavailable,
            capture: Unavailable,
            base_syscalls: Ignored,
            buffered_outputs: Ignored,
            falco_libs: Ignored,
            libs_logger: Ignored,
            load_plugins: Ignored,
            log_stderr: Ignored,
            log_syslog: Ignored,
            output_timeout: Ignored,
            plugins: Ignored,
            plugins_hostinfo: Ignored,
            syscall_event_timeouts: Ignored,
        }
    }
}

impl Config {
    /// Reads the file, or the default one if there is any, and applies the options of the command
    /// line. With the configuration come warnings about keys that do nothing.
    pub fn load(file: Option<&Path>, options: &[String]) -> Result<(Self, Vec<String>), ConfigError> {
        let (path, text) = read(file)?;
        let config = Self::parse(&path, &text, options, |name| std::env::var(name).ok())?;
        Ok((config, document::warnings(&text)))
    }

    /// Reads a text and applies the options to its values.
    fn parse(
        path: &Path,
        text: &str,
        options: &[String],
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let text = expand::expand(text, variable).map_err(|e| ConfigError::in_file(path, &e))?;
        let is_empty = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
        let read: Self = if text.lines().all(is_empty) {
            Self::default()
        } else {
            serde_saphyr::from_str(&text).map_err(|e| ConfigError::at(path, &e))?
        };
        read.check().map_err(|e| ConfigError::in_file(path, &e))?;
        options.iter().try_fold(read, |config, option| config.with_option(option))
    }

    fn with_option(self, option: &str) -> Result<Self, ConfigError> {
        let failed = |e: &dyn std::fmt::Display| ConfigError::in_option(option, e);
        let mut values = serde_json::to_value(self).map_err(|e| failed(&e))?;
        options::apply(&mut values, option).map_err(|e| failed(&e))?;
        let config =
            Self::deserialize(values).map_err(|e| failed(&problem::with_suggestion(&e.to_string())))?;
        config.check().map_err(|e| failed(&e))?;
        Ok(config)
    }

    /// What the types cannot say.
    fn check(&self) -> Result<(), String> {
        let drops = &self.syscall_event_drops;
        let ignores = drops.actions.contains(&DropAction::Ignore);
        if !(0.0..=1.0).contains(&drops.threshold) {
            return Err("syscall_event_drops.threshold must be between 0 and 1".to_owned());
        }
        if !drops.rate.is_finite() || drops.rate < 0.0 {
            return Err("syscall_event_drops.rate must be 0 or more per second".to_owned());
        }
        if ignores && drops.actions.len() > 1 {
            return Err("syscall_event_drops.actions: 'ignore' goes with no other action".to_owned());
        }
        if !(1..=10).contains(&self.engine.modern_ebpf.buf_size_preset) {
            return Err("engine.modern_ebpf.buf_size_preset must be between 1 and 10".to_owned());
        }
        let web = &self.webserver;
        let audit = &web.k8s_audit_endpoint;
        if !web.k8s_healthz_endpoint.starts_with('/') || !(audit.is_empty() || audit.starts_with('/')) {
            return Err("webserver: endpoints begin with '/'".to_owned());
        }
        if !web.ssl_enabled && !self.k8s_audit.client_ca.as_os_str().is_empty() {
            return Err("k8s_audit.client_ca needs HTTPS: set webserver.ssl_enabled too".to_owned());
        }
        Ok(())
    }

    /// How alerts are written.
    pub fn format(&self) -> Format {
        Format {
            json: self.json_output,
            output: self.json_include_output_property,
            message: self.json_include_message_property,
            output_fields: self.json_include_output_fields_property,
            tags: self.json_include_tags_property,
            iso_time: self.time_format_iso_8601,
        }
    }

    /// Every output there is.
    pub fn outputs(&self) -> [&dyn OutputConfig; 3] {
        [&self.stdout_output, &self.file_output, &self.http_output]
    }

    /// Alerts that may wait for one output.
    pub fn queue_capacity(&self) -> usize {
        if self.outputs_queue.capacity == 0 { DEFAULT_QUEUE } else { self.outputs_queue.capacity }
    }
}

/// The path and the text of the configuration file; no default file is like an empty one.
fn read(file: Option<&Path>) -> Result<(PathBuf, String), ConfigError> {
    let path = file.unwrap_or(Path::new(DEFAULT_FILE));
    let size = fs::metadata(path).map_or(0, |m| m.len());
    if size > MAX_FILE_BYTES {
        return Err(ConfigError::in_file(path, &format!("the file is larger than {MAX_FILE_BYTES} bytes")));
    }
    match fs::read_to_string(path) {
        Ok(text) => Ok((path.to_owned(), text)),
        Err(e) if file.is_none() && e.kind() == io::ErrorKind::NotFound => {
            Ok((path.to_owned(), String::new()))
        }
        Err(e) => Err(ConfigError::in_file(path, &format!("cannot read the configuration: {e}"))),
    }
}

fn parse_priority<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Priority, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn priority_name<S: Serializer>(priority: &Priority, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&priority.name().to_lowercase())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    /// A configuration, options and the words of the error, or the values that must come out.
    #[derive(Deserialize)]
    struct Case {
        name: String,
        #[serde(default)]
        yaml: String,
        #[serde(default)]
        options: Vec<String>,
        error: Option<String>,
        #[serde(default)]
        values: BTreeMap<String, Value>,
    }

    fn check(case: &Case) {
        let variable = |name: &str| (name == "PORT").then(|| "9765".to_owned());
        let result = Config::parse(Path::new("saker.yaml"), &case.yaml, &case.options, variable);
        let config = match (&case.error, result) {
            (None, result) => result.unwrap_or_else(|e| panic!("{}: {e}", case.name)),
            (Some(expected), Err(error)) => return assert_eq!(&error.to_string(), expected, "{}", case.name),
            (Some(expected), Ok(_)) => panic!("{}: accepted instead of '{expected}'", case.name),
        };
        let config = serde_json::to_value(config).unwrap();
        for (key, expected) in &case.values {
            let value = config.pointer(&format!("/{}", key.replace('.', "/")));
            assert_eq!(value, Some(expected), "{}: {key}", case.name);
        }
    }

    #[test]
    fn configurations_and_their_errors() {
        let cases: Vec<Case> = serde_saphyr::from_str(include_str!("../tests/cases/config.yaml")).unwrap();
        assert!(cases.len() > 20);
        cases.iter().for_each(check);
    }

    #[test]
    fn a_named_file_must_exist() {
        let error = Config::load(Some(Path::new("/nowhere/saker.yaml")), &[]).unwrap_err();
        let expected =
            "/nowhere/saker.yaml: cannot read the configuration: No such file or directory (os error 2)";
        assert_eq!(error.to_string(), expected);
    }
}
