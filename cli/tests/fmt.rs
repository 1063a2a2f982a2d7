//! `saker rules fmt`: files on the disk, the report and the exit codes. The layout itself is the library's.

mod common;

use std::{fs, os::unix::fs::PermissionsExt as _};

use common::{Files, saker};

const UGLY: &str = "# mine\n- macro: m\n  condition:   evt.type = open\n- list:  l\n  items: [a]";
const NEAT: &str = "# mine\n- macro: m\n  condition: evt.type = open\n\n- list: l\n  items: [a]\n";

#[test]
fn check_names_what_would_change_and_changes_nothing() {
    let files = Files::new([("ugly.yaml", UGLY), ("neat.yaml", NEAT)]);
    let (ugly, neat) = (files.arg("ugly.yaml"), files.arg("neat.yaml"));
    let ran = saker(["rules", "fmt", "--check", &ugly, &neat]);
    assert_eq!((ran.code(), ran.out()), (1, format!("{ugly} would change\n")));
    assert_eq!(fs::read_to_string(&ugly).unwrap(), UGLY);
    assert_eq!(saker(["rules", "fmt", "--check", &neat]).success(), "");
}

#[test]
fn files_are_written_with_their_mode() {
    let files = Files::new([("ugly.yaml", UGLY)]);
    let path = files.arg("ugly.yaml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let link = files.arg("link.yaml");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(saker(["rules", "fmt", &link]).success(), format!("{link} formatted\n"));
    assert_eq!(fs::read_to_string(&path).unwrap(), NEAT);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_dir(files.path(".")).unwrap().count(), 2, "nothing is left behind");
}

#[test]
fn what_cannot_be_formatted_is_left_with_a_reason() {
    let files = Files::new([("comment.yaml", "- # why\n  list: l\n  items: []\n"), ("ugly.yaml", UGLY)]);
    let path = files.arg("comment.yaml");
    let out = saker(["rules", "fmt", &path, &files.arg("ugly.yaml")]).fails(1);
    assert!(out.contains(&format!("{path}:1:3: the comment between the dash and its item")), "{out}");
    assert!(out.contains("ugly.yaml formatted"), "the others are done: {out}");
    let out = saker(["rules", "fmt", &files.arg("missing.yaml")]).fails(1);
    assert!(out.contains("No such file"), "{out}");
}
