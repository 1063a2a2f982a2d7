//! The image holds the three programs, the list of their parts and the CA certificates, and nothing else.

use std::{env, process::Command};

use saker_e2e::say;
use serde_json::Value;

const FILES: [&str; 5] =
    ["etc/ssl/certs/ca-certificates.crt", "saker", "saker-agent", "saker-operator", "sbom.cdx.json"];

#[test]
fn the_image_is_small_in_what_it_holds() {
    let Ok(archive) = env::var("SAKER_IMAGE") else {
        say("skipped: no image (make e2e builds it)");
        return;
    };
    if archive.is_empty() {
        return; // `make e2e` has it later
    }
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().display().to_string();
    tar(&["-xf", &archive, "-C", &place]);
    let read = |name: &str| std::fs::read(folder.path().join(name)).expect("a file of the archive");
    let json = |name: &str| serde_json::from_slice::<Value>(&read(name)).expect("JSON");
    let manifest = json("manifest.json");
    let config = json(manifest[0]["Config"].as_str().expect("a configuration"));
    runs_without_rights(&config["config"]);

    let layers = manifest[0]["Layers"].as_array().expect("layers").iter().filter_map(Value::as_str);
    let mut files = Vec::new();
    for layer in layers {
        let layer = format!("{place}/{layer}");
        files.extend(tar(&["-tf", &layer]).lines().filter(|file| !file.ends_with('/')).map(str::to_owned));
        if files.iter().any(|file| file == "sbom.cdx.json") {
            names_the_parts(&tar(&["-xOf", &layer, "sbom.cdx.json"]));
            tar(&["-xf", &layer, "-C", &place, "saker"]);
            is_for(&config["architecture"], &read("saker"));
        }
    }
    files.sort();
    assert_eq!(files, FILES);
}

fn runs_without_rights(config: &Value) {
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Entrypoint"], serde_json::json!(["/saker"]));
    let labels = &config["Labels"];
    assert_eq!(labels["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"));
    for label in ["title", "description", "licenses", "revision"] {
        assert!(labels[format!("org.opencontainers.image.{label}")].is_string(), "{label}: {labels}");
    }
}

/// The program is for the machines that the image says it is for.
fn is_for(architecture: &Value, elf: &[u8]) {
    let machine = match elf.get(18) {
        Some(62) => "amd64",
        Some(183) => "arm64",
        other => panic!("a program for machine {other:?}"),
    };
    assert_eq!(architecture, machine);
}

fn names_the_parts(sbom: &str) {
    let sbom: Value = serde_json::from_str(sbom).expect("JSON");
    assert_eq!((&sbom["bomFormat"], &sbom["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    let parts = sbom["components"].as_array().expect("components");
    for part in parts {
        let complete = ["name", "version", "purl"].iter().all(|key| part[key].is_string());
        assert!(complete && part["licenses"][0]["expression"].is_string(), "{part}");
        let ours = part["name"].as_str().is_some_and(|name| name.starts_with("saker-"));
        assert!(ours || part["hashes"][0]["content"].is_string(), "{part}");
    }
    for name in ["saker-agent", "saker-operator", "saker-cli", "rustls", "aya"] {
        assert!(parts.iter().any(|part| part["name"] == name), "{name}");
    }
}

fn tar(args: &[&str]) -> String {
    let ran = Command::new("tar").args(args).output().expect("tar");
    assert!(ran.status.success(), "tar {args:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).expect("text")
}
