//! An alert as one line: Falco's text (specification §5.2) or JSON (§5.3).

use std::fmt::Write as _;

use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Alert, Priority};

/// How alerts are written; Falco's switches of the same meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the configuration")]
pub struct Format {
    /// One JSON object instead of text.
    pub json: bool,
    /// JSON: the text line under `output`.
    pub output: bool,
    /// JSON: the text without time and priority under `message`.
    pub message: bool,
    /// JSON: the values under `output_fields`.
    pub output_fields: bool,
    /// JSON: the rule's `tags`.
    pub tags: bool,
    /// Date and UTC offset instead of the local time of day.
    pub iso_time: bool,
}

impl Default for Format {
    fn default() -> Self {
        Self { json: false, output: true, message: false, output_fields: true, tags: true, iso_time: false }
    }
}

/// Writes alerts in one format and time zone.
#[derive(Debug, Clone)]
pub struct Renderer {
    format: Format,
    zone: TimeZone,
}

/// Falco's JSON object; the order of the fields is the order of the keys.
#[derive(Serialize)]
struct Json<'a> {
    hostname: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_fields: Option<&'a Map<String, Value>>,
    priority: Priority,
    rule: &'a str,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<&'a [String]>,
    time: String,
}

impl Renderer {
    /// A renderer that tells the time of the machine's own zone.
    pub fn new(format: Format) -> Self {
        Self::in_zone(format, TimeZone::system())
    }

    /// A renderer that tells the time of the given zone.
    pub const fn in_zone(format: Format, zone: TimeZone) -> Self {
        Self { format, zone }
    }

    /// Whether lines are JSON objects.
    pub const fn is_json(&self) -> bool {
        self.format.json
    }

    /// The alert as one line, without the line feed: no byte of the alert can end it early.
    pub fn line(&self, alert: &Alert) -> String {
        if self.format.json { self.json(alert) } else { escape_text(&self.plain(alert)) }
    }

    /// `time: Priority message`, not escaped.
    fn plain(&self, alert: &Alert) -> String {
        format!("{}: {} {}", self.text_time(alert.time), alert.priority, alert.message)
    }

    fn text_time(&self, nanoseconds: u64) -> String {
        let time = timestamp(nanoseconds);
        if self.format.iso_time {
            time.strftime("%Y-%m-%dT%H:%M:%S.%9f+0000").to_string()
        } else {
            time.to_zoned(self.zone.clone()).strftime("%H:%M:%S.%9f").to_string()
        }
    }

    fn json(&self, alert: &Alert) -> String {
        let on = &self.format;
        let json = Json {
            hostname: &alert.hostname,
            message: on.message.then_some(&alert.message),
            output: on.output.then(|| self.plain(alert)),
            output_fields: on.output_fields.then_some(&alert.output_fields),
            priority: alert.priority,
            rule: &alert.rule,
            source: &alert.source,
            tags: on.tags.then_some(&alert.tags),
            time: timestamp(alert.time).strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string(),
        };
        // A struct of texts and JSON values has no way to fail; an empty line would still be a line.
        escape_json(serde_json::to_string(&json).unwrap_or_default())
    }
}

fn timestamp(nanoseconds: u64) -> Timestamp {
    // Every u64 is before the year 2555, far inside what a timestamp holds.
    Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or_default()
}

/// JSON string escapes without the outer quotes, as Falco writes its text, and [`deceives`] besides.
fn escape_text(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c => push_escaped(&mut out, c),
        }
    }
    out
}

/// Escapes what may stand unescaped inside a JSON string and yet deceive a reader. Outside of its
/// strings JSON is ASCII, so the whole line can be treated alike.
fn escape_json(line: String) -> String {
    if !line.chars().any(deceives) {
        return line;
    }
    let mut out = String::with_capacity(line.len());
    line.chars().for_each(|c| push_escaped(&mut out, c));
    out
}

fn push_escaped(out: &mut String, c: char) {
    if !deceives(c) {
        return out.push(c);
    }
    for unit in c.encode_utf16(&mut [0; 2]) {
        // Writing to a string cannot fail.
        let _ = write!(out, "\\u{unit:04x}");
    }
}

/// Characters that move the cursor, end a line, turn the direction of writing or cannot be seen.
const fn deceives(c: char) -> bool {
    matches!(c,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn alert(message: &str) -> Alert {
        Alert {
            time: 1_558_107_116_746_609_046,
            rule: "Read sensitive file".to_owned(),
            priority: Priority::Informational,
            source: "syscall".to_owned(),
            message: message.to_owned(),
            output_fields: [("proc.name".to_owned(), json!("cat")), ("fd.name".to_owned(), Value::Null)]
                .into_iter()
                .collect(),
            tags: vec!["filesystem".to_owned()],
            hostname: "node-1".to_owned(),
        }
    }

    fn renderer(change: impl Fn(&mut Format)) -> Renderer {
        let mut format = Format::default();
        change(&mut format);
        Renderer::in_zone(format, TimeZone::fixed(jiff::tz::offset(2)))
    }

    #[test]
    fn text_tells_local_time_or_iso() {
        let line = renderer(|_| ()).line(&alert("a shell"));
        assert_eq!(line, "17:31:56.746609046: Informational a shell");
        let line = renderer(|f| f.iso_time = true).line(&alert("a shell"));
        assert_eq!(line, "2019-05-17T15:31:56.746609046+0000: Informational a shell");
    }

    #[test]
    fn text_cannot_forge_a_line() {
        let line = renderer(|_| ()).line(&alert("a\n\"b\"\\\x1b[2J\u{202e}c\u{200b}\u{e0041}\u{85}é"));
        let expected = "a\\n\\\"b\\\"\\\\\\u001b[2J\\u202ec\\u200b\\udb40\\udc41\\u0085é";
        assert_eq!(line, format!("17:31:56.746609046: Informational {expected}"));
    }

    #[test]
    fn json_has_falcos_keys_in_order() {
        let line = renderer(|f| f.json = true).line(&alert("m"));
        let expected = r#"{"hostname":"node-1","output":"17:31:56.746609046: Informational m","output_fields":{"fd.name":null,"proc.name":"cat"},"priority":"Informational","rule":"Read sensitive file","source":"syscall","tags":["filesystem"],"time":"2019-05-17T15:31:56.746609046Z"}"#;
        assert_eq!(line, expected);
    }

    #[test]
    fn json_switches_choose_the_keys() {
        let all_but_message = |f: &mut Format| {
            *f = Format {
                json: true,
                output: false,
                message: true,
                output_fields: false,
                tags: false,
                iso_time: true,
            };
        };
        let line = renderer(all_but_message).line(&alert("m"));
        let expected = r#"{"hostname":"node-1","message":"m","priority":"Informational","rule":"Read sensitive file","source":"syscall","time":"2019-05-17T15:31:56.746609046Z"}"#;
        assert_eq!(line, expected);
    }

    proptest! {
        #[test]
        fn one_alert_is_one_line(bytes in proptest::collection::vec(any::<u8>(), 0..64), json: bool, time: u64) {
            let alert = Alert { time, ..alert(&String::from_utf8_lossy(&bytes)) };
            let line = renderer(|f| f.json = json).line(&alert);
            prop_assert!(!line.chars().any(deceives), "{line:?}");
            if json {
                let read: Value = serde_json::from_str(&line)?;
                let output = read["output"].as_str().unwrap_or_default();
                prop_assert!(output.ends_with(&alert.message), "{output:?}");
            }
        }
    }
}
