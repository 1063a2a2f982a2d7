//! The commands of the documents that are about a running release: blocks below `<!-- test: node -->`.

use std::{env, fs, process::Command};

use saker_e2e::{Cluster, checkout, say};

/// Runs every block as a script of its own, in the folder of the checkout.
pub fn run(cluster: &Cluster) {
    let documents = fs::read_dir(checkout("docs")).expect("docs").flatten().map(|entry| entry.path());
    let mut documents: Vec<_> =
        documents.filter(|path| path.extension().is_some_and(|e| e == "md")).collect();
    documents.sort();
    let texts = documents.iter().map(|path| fs::read_to_string(path).expect("a document"));
    let blocks: Vec<_> = texts.flat_map(|text| blocks(&text)).collect();
    assert!(!blocks.is_empty(), "no commands");
    for block in &blocks {
        script(cluster, block);
    }
    // What the documents make beside the release.
    cluster
        .kubectl(&["delete", "namespace", "payments", "--ignore-not-found"])
        .expect("a namespace to remove");
    say(&format!("  {} blocks", blocks.len()));
}

fn blocks(text: &str) -> Vec<String> {
    let marked = text.split("<!-- test: node -->\n```sh\n").skip(1);
    marked.filter_map(|rest| rest.split_once("\n```")).map(|(block, _)| block.to_owned()).collect()
}

fn script(cluster: &Cluster, block: &str) {
    let cache = env::var("SAKER_CACHE").unwrap_or_else(|_| "/var/cache/saker".to_owned());
    let path = format!("{cache}/bin:{}", env::var("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", block]).current_dir(checkout("."));
    command.env("PATH", path).env("KUBECONFIG", cluster.kubeconfig());
    let ran = command.output().expect("bash");
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{block}\n{out}\n{err}");
}
