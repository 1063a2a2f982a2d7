//! docs/rules.md lists every default rule, docs/cli.md every command, docs/writing-rules.md shows what commands print;
//! they fail here when they drift.
//! `UPDATE_EXPECT=1 cargo test -p saker-cli --test docs` writes them anew.

mod common;

use std::{fmt::Write, fs, path::PathBuf};

use common::{Files, root, saker, saker_in};
use saker_capture::ListedProcess;
use saker_events::{Event, write};
use serde_json::{Value, json};

const RULESETS: [(&str, &str); 2] =
    [("System calls", "saker_syscall_rules.yaml"), ("Kubernetes audit events", "saker_audit_rules.yaml")];

/// Every command, as one types it.
const COMMANDS: [&[&str]; 15] = [
    &[],
    &["rules"],
    &["rules", "validate"],
    &["rules", "describe"],
    &["rules", "explain"],
    &["rules", "fmt"],
    &["rules", "test"],
    &["audit"],
    &["audit", "policy"],
    &["audit", "setup"],
    &["replay"],
    &["record"],
    &["fields"],
    &["doctor"],
    &["status"],
];

fn check(file: &str, generated: impl Fn(&str) -> String) {
    let path: PathBuf = root().join("docs").join(file);
    let written = fs::read_to_string(&path).unwrap_or_default();
    let expected = generated(&written);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &expected).expect("docs/ can be written");
    } else {
        assert_eq!(written, expected, "docs/{file} has drifted; run this test with UPDATE_EXPECT=1");
    }
}

#[test]
fn every_default_rule_is_documented() {
    const START: &str = "--test docs) -->\n";
    const END: &str = "<!-- end of generated -->\n";
    check("rules.md", |written| {
        let (before, rest) = written.split_once(START).expect("the start of the generated part");
        let (_, after) = rest.split_once(END).expect("the end of the generated part");
        format!("{before}{START}\n{}{END}{after}", rules())
    });
}

fn rules() -> String {
    let mut text = String::from("# The default rules\n\n");
    for (title, file) in RULESETS {
        let path = root().join("rulesets").join(file);
        let described = saker(["rules", "describe", "--json", path.to_str().unwrap()]).json();
        writeln!(text, "## {title}\n").unwrap();
        described["rules"].as_array().unwrap().iter().for_each(|rule| text.push_str(&entry(&rule["info"])));
    }
    text
}

fn entry(rule: &Value) -> String {
    let text = |key: &str| rule[key].as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    let tags: Vec<_> = rule["tags"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
    let (name, priority, about) = (text("name"), text("priority"), text("description"));
    format!("### {name}\n\n{priority} · {}\n\n{about}\n\n    {}\n\n", tags.join(", "), text("output"))
}

#[test]
fn every_command_is_documented() {
    check("cli.md", |_| {
        let mut text = String::from("# The `saker` command\n\nGenerated from its help.\n");
        for command in COMMANDS {
            let help = saker(command.iter().copied().chain(["--help"])).success();
            let help: Vec<_> = help.lines().map(str::trim_end).collect();
            let name = [&["saker"], command].concat().join(" ");
            write!(text, "\n## `{name}`\n\n```text\n{}\n```\n", help.join("\n").trim_end()).unwrap();
        }
        text
    });
}

#[test]
fn commands_print_what_the_guide_shows() {
    check("writing-rules.md", |written| Guide::default().replay(written));
}

#[test]
fn replays_print_what_the_captures_page_shows() {
    check("captures.md", |written| {
        let (guide, whole) = (Guide::default(), incident().expect("memory"));
        fs::write(guide.files.path("cut.scap"), &whole[..whole.len() - 9]).expect("a file");
        fs::write(guide.files.path("incident.scap"), whole).expect("a file");
        guide.replay(written)
    });
}

/// A capture of `cat` below `sh`, which reads the shadow file, and reads it again.
fn incident() -> std::io::Result<Vec<u8>> {
    let thread = |pid: i64, ptid, comm: &str, args: &[u8]| ListedProcess {
        tid: pid,
        pid,
        ptid,
        vtid: pid,
        vpid: pid,
        comm: comm.into(),
        exe: comm.into(),
        args: args.to_vec(),
        cwd: b"/root".to_vec(),
        uid: 0,
        gid: 0,
        ..ListedProcess::default()
    };
    let mut capture = saker_capture::Writer::new(Vec::new());
    capture.section()?;
    capture.processes(&[thread(40, 1, "sh", b""), thread(41, 40, "cat", b"/etc/shadow\0")])?;
    for (second, fd) in [(0, 3), (1, 4)] {
        let row = write::row("openat").expect("an event");
        let named = json!({"fd": fd, "dirfd": -100, "name": "/etc/shadow", "flags": 1});
        let params = write::params(row, named.as_object().expect("an object")).expect("parameters");
        let bytes = write::event(1_700_000_000_000_000_000 + second * 1_000_000_000, 41, row.code, &params);
        assert!(capture.event(&Event::parse(&bytes).expect("an event"), false)?);
    }
    Ok(capture.into_inner())
}

/// A text whose `yaml` blocks are files and whose `console` blocks are commands with their output.
struct Guide {
    files: Files,
    /// How the last command ended.
    code: i32,
    text: String,
}

impl Default for Guide {
    fn default() -> Self {
        Self { files: Files::new([]), code: 0, text: String::new() }
    }
}

impl Guide {
    /// The same text with the output that the commands have now.
    fn replay(mut self, written: &str) -> String {
        let mut name = "";
        for (i, part) in written.split("```").enumerate() {
            let fence = if i == 0 { "" } else { "```" };
            self.text.push_str(fence);
            match part.split_once('\n') {
                Some(("yaml", content)) => fs::write(self.files.path(name), content).expect("a file"),
                Some(("console", session)) => {
                    self.text.push_str("console\n");
                    session.lines().filter_map(|line| line.strip_prefix("$ ")).for_each(|c| self.command(c));
                    assert_eq!(self.code, 0, "a command that fails is followed by its exit code");
                    continue;
                }
                _ => name = part.trim_end().trim_end_matches("`:").rsplit('`').next().expect("a name"),
            }
            self.text.push_str(part);
        }
        self.text
    }

    fn command(&mut self, command: &str) {
        let output = if let Some(args) = command.strip_prefix("saker ") {
            assert_eq!(self.code, 0, "the exit code of the command before `{command}`");
            let ran = saker_in(&self.files.path(""), &words(args));
            self.code = ran.code();
            format!("{}{}", ran.err(), ran.out())
        } else {
            assert_eq!(command, "echo $?");
            format!("{}\n", std::mem::take(&mut self.code))
        };
        write!(self.text, "$ {command}\n{output}").unwrap();
    }
}

/// As a shell splits them, double quotes included.
fn words(args: &str) -> Vec<String> {
    let quoted = args.split('"').enumerate();
    let words = quoted.flat_map(|(i, part)| match i % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}
