//! Alerts about Saker itself, source `internal` (specification §5.3).

use saker_alert::{Alert, Priority};
use serde_json::Map;

/// Name of the rule that reports lost syscall events.
pub const SYSCALL_EVENT_DROP: &str = "Falco internal: syscall event drop";

/// Events that never reached the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drops<'a> {
    /// When the loss was found, nanoseconds since the Unix epoch.
    pub time: u64,
    /// Name of the node.
    pub hostname: &'a str,
    /// Events lost, by cause.
    pub lost: &'a [(&'a str, u64)],
}

impl Drops<'_> {
    /// How many events were lost.
    pub fn total(&self) -> u64 {
        self.lost.iter().fold(0, |sum, (_, n)| sum.saturating_add(*n))
    }

    /// The alert that says so.
    pub fn alert(&self) -> Alert {
        let mut output_fields = Map::new();
        output_fields.insert("n_drops".to_owned(), self.total().into());
        for (cause, n) in self.lost {
            output_fields.insert(format!("n_drops_{cause}"), (*n).into());
        }
        let shown: Vec<String> = output_fields.iter().map(|(key, n)| format!("{key}=\"{n}\"")).collect();
        Alert {
            time: self.time,
            rule: SYSCALL_EVENT_DROP.to_owned(),
            priority: Priority::Debug,
            source: "internal".to_owned(),
            message: format!("{SYSCALL_EVENT_DROP} ({})", shown.join(" ")),
            output_fields,
            tags: Vec::new(),
            hostname: self.hostname.to_owned(),
        }
    }
}

/// Name of the rule that reports a hook without a word.
pub const SILENT_HOOK: &str = "Saker internal: hook silent";

/// A hook in the kernel that does not tell what it must: the node is blind for what it reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilentHook<'a> {
    /// When it was noticed, nanoseconds since the Unix epoch.
    pub time: u64,
    /// Name of the node.
    pub hostname: &'a str,
    /// The kernel's name of the hook.
    pub hook: &'a str,
}

impl SilentHook<'_> {
    /// The alert that says so.
    pub fn alert(&self) -> Alert {
        let mut output_fields = Map::new();
        output_fields.insert("hook".to_owned(), self.hook.into());
        Alert {
            time: self.time,
            rule: SILENT_HOOK.to_owned(),
            priority: Priority::Critical,
            source: "internal".to_owned(),
            message: format!("{SILENT_HOOK} (hook=\"{}\")", self.hook),
            output_fields,
            tags: Vec::new(),
            hostname: self.hostname.to_owned(),
        }
    }
}

/// Name of the rule that reports a source without events.
pub const SOURCE_SILENT: &str = "Saker internal: source silent";

/// A source from which nothing comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence<'a> {
    /// When it was found, nanoseconds since the Unix epoch.
    pub time: u64,
    /// Name of the node.
    pub hostname: &'a str,
    /// The source.
    pub source: &'a str,
    /// How long nothing came.
    pub seconds: u64,
    /// Time of the latest event, nanoseconds since the Unix epoch; 0 if there was none.
    pub last_event: u64,
}

impl Silence<'_> {
    /// The alert that says so.
    pub fn alert(&self) -> Alert {
        let Self { source, seconds, last_event, .. } = *self;
        let mut output_fields = Map::new();
        output_fields.insert("source".to_owned(), source.into());
        output_fields.insert("seconds".to_owned(), seconds.into());
        output_fields.insert("last_event".to_owned(), last_event.into());
        Alert {
            time: self.time,
            rule: SOURCE_SILENT.to_owned(),
            priority: Priority::Warning,
            source: "internal".to_owned(),
            message: format!("{SOURCE_SILENT} (source={source} seconds={seconds} last_event={last_event})"),
            output_fields,
            tags: Vec::new(),
            hostname: self.hostname.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_hook_is_told_by_name() {
        let alert = SilentHook { time: 5, hostname: "node-1", hook: "sys_exit" }.alert();
        assert_eq!(alert.message, "Saker internal: hook silent (hook=\"sys_exit\")");
        assert_eq!((alert.priority, alert.source.as_str()), (Priority::Critical, "internal"));
    }

    #[test]
    fn drops_are_told_with_their_causes() {
        let drops = Drops { time: 5, hostname: "node-1", lost: &[("buffer", 3), ("table", 4)] };
        let alert = drops.alert();
        assert_eq!(
            alert.message,
            "Falco internal: syscall event drop (n_drops=\"7\" n_drops_buffer=\"3\" n_drops_table=\"4\")"
        );
        assert_eq!(alert.source, "internal");
        assert_eq!(alert.output_fields["n_drops"], 7);
    }

    #[test]
    fn silence_is_told_with_its_length() {
        let silence =
            Silence { time: 5, hostname: "node-1", source: "k8s_audit", seconds: 60, last_event: 0 };
        let alert = silence.alert();
        assert_eq!(alert.message, "Saker internal: source silent (source=k8s_audit seconds=60 last_event=0)");
        assert_eq!((alert.source.as_str(), alert.priority), ("internal", Priority::Warning));
    }
}
