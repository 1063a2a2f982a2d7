//! Compiles the probe (`node-agent/probe`) with clang into `OUT_DIR/saker.bpf.o`.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, exit},
};

const NEEDED: &str = "the eBPF probe needs clang 14 or newer and the headers of libbpf: \
    install them (Debian, Ubuntu: `apt-get install clang libbpf-dev`) or set CLANG to the compiler";

fn main() {
    let probe = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../../probe");
    println!("cargo::rerun-if-changed={}", probe.display());
    println!("cargo::rerun-if-env-changed=CLANG");
    let object = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("saker.bpf.o");
    let Some(clang) = clang() else { fail(NEEDED) };
    match compile(&clang, &probe.join("saker.bpf.c"), &object) {
        Ok(()) => {}
        Err(output) if output.contains("file not found") => fail(NEEDED),
        Err(output) => fail(&format!("{clang} cannot compile the eBPF probe:\n{output}")),
    }
}

fn clang() -> Option<String> {
    let given = env::var("CLANG").ok();
    let candidates = given.map_or(vec!["clang-19".to_owned(), "clang".to_owned()], |clang| vec![clang]);
    candidates.into_iter().find(|clang| major_version(clang).is_some_and(|version| version >= 14))
}

fn major_version(clang: &str) -> Option<u32> {
    let output = Command::new(clang).arg("-dumpversion").output().ok()?;
    String::from_utf8(output.stdout).ok()?.split('.').next()?.trim().parse().ok()
}

/// The baseline instruction set v2 is what the verifiers of the oldest supported kernels know best.
fn compile(clang: &str, source: &Path, object: &Path) -> Result<(), String> {
    let output = Command::new(clang)
        .args(["-target", "bpfel", "-mcpu=v2", "-O2", "-g", "-Wall", "-Werror", "-c"])
        .arg(source)
        .arg("-o")
        .arg(object)
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn fail(message: &str) -> ! {
    for line in message.lines() {
        println!("cargo::error={line}");
    }
    exit(1)
}
