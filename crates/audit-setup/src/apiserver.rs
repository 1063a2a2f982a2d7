//! The running API server and its flags.

use std::{fs, path::Path};

/// Names of programs that are or contain an API server.
const PROGRAMS: [&str; 3] = ["kube-apiserver", "k3s", "rke2"];

/// The arguments of each API server that runs on the machine whose files lie below `root`, the program first. None if
/// there is none or it may not be looked at; several where a container of another cluster runs beside.
pub fn running(root: &Path) -> Vec<Vec<String>> {
    let processes = fs::read_dir(root.join("proc")).into_iter().flatten().flatten();
    let mut found: Vec<_> = processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .map(|line| words(&line))
        .filter(|arguments| rank(arguments).is_some())
        .collect();
    found.sort_by_key(|arguments| rank(arguments));
    found
}

fn words(cmdline: &[u8]) -> Vec<String> {
    let words = cmdline.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// `kube-apiserver` itself first; the others are one program for everything, `k3s server`.
fn rank(arguments: &[String]) -> Option<usize> {
    let name = arguments.first()?.rsplit('/').next()?;
    // k3s puts its command into the title: "k3s server".
    let name = name.split(' ').next()?;
    PROGRAMS.iter().position(|program| *program == name)
}

/// The last value of a flag, `--name=value` or `--name value`.
pub fn flag<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let mut values = arguments.iter().enumerate().filter_map(|(at, argument)| {
        let rest = argument.strip_prefix("--")?.strip_prefix(name)?;
        match rest.strip_prefix('=') {
            Some(value) => Some(value),
            None if rest.is_empty() => arguments.get(at.checked_add(1)?).map(String::as_str),
            None => None,
        }
    });
    values.next_back()
}
