//! The commands of docs/exceptions.md do what it says, with the file that it shows.

mod common;

use std::{fs, path::Path, process::Command};

use common::{program, root};

#[test]
fn the_exceptions_of_the_document_load_and_are_explained() {
    let text = fs::read_to_string(root().join("docs/exceptions.md")).expect("a document");
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("my-exceptions.yaml"), block(&text, "```yaml\n")).expect("a file");
    std::os::unix::fs::symlink(root().join("rulesets"), folder.path().join("rulesets")).expect("a link");
    let said = script(folder.path(), block(&text, "<!-- test: cli/tests/documents.rs -->\n```sh\n"));
    assert!(said.contains("Ok") && said.contains("backup"), "{said}");
}

fn block<'a>(text: &'a str, start: &str) -> &'a str {
    text.split_once(start).and_then(|(_, rest)| rest.split_once("\n```")).expect("a block").0
}

/// Runs it in this folder, with our `saker` first.
fn script(folder: &Path, text: &str) -> String {
    let program = program();
    let saker = program.parent().expect("a folder").display();
    let path = format!("{saker}:{}", std::env::var("PATH").unwrap_or_default());
    let mut bash = Command::new("bash");
    let ran = bash.args(["-euo", "pipefail", "-c", text]).current_dir(folder).env("PATH", path).output();
    let ran = ran.expect("bash");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}\n{}", String::from_utf8_lossy(&ran.stderr));
    said
}
