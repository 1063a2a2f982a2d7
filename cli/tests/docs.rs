//! docs/rules.md lists every default rule, docs/cli.md every command; both fail here when they drift.
//! `UPDATE_EXPECT=1 cargo test -p saker-cli --test docs` writes them anew.

mod common;

use std::{fmt::Write, fs, path::PathBuf};

use common::{root, saker};
use serde_json::Value;

const RULESETS: [(&str, &str); 2] =
    [("System calls", "saker_syscall_rules.yaml"), ("Kubernetes audit events", "saker_audit_rules.yaml")];

/// Every command, as one types it.
const COMMANDS: [&[&str]; 10] = [
    &[],
    &["rules"],
    &["rules", "validate"],
    &["rules", "describe"],
    &["rules", "explain"],
    &["rules", "fmt"],
    &["rules", "test"],
    &["replay"],
    &["fields"],
    &["doctor"],
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
