//! `saker fields`, and what all commands have in common.

mod common;

use std::process::{Command, Stdio};

use common::{program, saker};

#[test]
fn fields_of_a_source() {
    let audit = saker(["fields", "--json", "k8s_audit"]).json();
    let names: Vec<_> = audit.as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert!(
        names.contains(&"ka.verb") && names.contains(&"evt.num") && !names.contains(&"proc.name"),
        "{names:?}"
    );
    let field = audit.as_array().unwrap().iter().find(|f| f["name"] == "ka.uri.param").unwrap();
    assert_eq!((&field["type"], &field["argument"]), (&"CHARBUF".into(), &"required".into()));
}

#[test]
fn all_fields_for_people() {
    let out = saker(["fields"]).success();
    assert!(out.lines().any(|line| line.starts_with("proc.name ") && line.contains("CHARBUF")), "{out}");
}

#[test]
fn an_unknown_source_is_wrong_usage() {
    assert!(saker(["fields", "k8saudit"]).fails(2).contains("k8s_audit"));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut child = Command::new(program())
        .args(["fields", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("saker runs");
    drop(child.stdout.take());
    let ended = child.wait_with_output().expect("saker ends");
    assert_eq!((ended.status.code(), &*ended.stderr), (Some(0), &b""[..]));
}

#[test]
fn help_is_no_error_and_no_command_is() {
    assert!(saker(["--help"]).success().contains("replay"));
    assert!(saker(["--version"]).success().starts_with("saker "));
    saker([""; 0]).fails(2);
    saker(["rules", "validte"]).fails(2);
}
