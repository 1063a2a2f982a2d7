//! How the agent starts, or says why it does not and what to do.

use std::{net::TcpListener, process::Command};

use crate::running::{can_run_live, run_unprivileged, start};

#[test]
fn without_privileges_it_says_what_it_needs() {
    let (status, error) = run_unprivileged(&[]);
    assert_eq!(status.code(), Some(1), "{error}");
    for word in ["CAP_BPF", "CAP_PERFMON", "sudo", "--disable-source syscall"] {
        assert!(error.contains(word), "'{word}' is missing in: {error}");
    }
}

/// In a mount namespace of its own the kernel's type information is hidden behind an empty folder.
#[test]
fn a_kernel_without_btf_is_named() {
    if !can_run_live("a_kernel_without_btf_is_named") {
        return;
    }
    let script = "mount -t tmpfs none /sys/kernel/btf && exec \"$0\" -o webserver.listen_port=0";
    let hidden =
        Command::new("unshare").args(["-m", "sh", "-c", script, env!("CARGO_BIN_EXE_saker-agent")]).output();
    let output = hidden.unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    for word in ["BTF: /sys/kernel/btf/vmlinux", "CONFIG_DEBUG_INFO_BTF=y", "--disable-source syscall"] {
        assert!(error.contains(word), "'{word}' is missing in: {error}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let agent = start(&["--disable-source", "syscall", "-o", &format!("webserver.listen_port={port}")]);
    let (status, error) = agent.end();
    assert_eq!(status.code(), Some(1));
    let expected = format!(
        "error: cannot listen on 127.0.0.1:{port}: Address already in use (os error 98); another program has it"
    );
    assert!(error.contains(&expected), "{error}");
}

#[test]
fn what_cannot_run_ends_with_the_reason() {
    let cases: [(&[&str], &str); 8] = [
        (&["-o", "http_ouput.enabled=true"], "unknown key 'http_ouput': did you mean 'http_output'?"),
        (&["-o", "stdout_output.enabled=false"], "no output is enabled"),
        (&["-o", "http_output.enabled=true"], "http_output.url is empty: set it"),
        (&["--disable-source", "k8s_audit"], "every source of events is disabled"),
        (&["-r", "/nowhere/rules.yaml"], "/nowhere/rules.yaml"),
        (&["-o", "webserver.listen_address=0.0.0.0"], "set k8s_audit.client_ca (with webserver.ssl_enabled)"),
        (
            &["-o", "k8s_audit.token_file=/nowhere/token"],
            "k8s_audit.token_file: /nowhere/token: No such file",
        ),
        (
            &["-o", "webserver.ssl_enabled=true", "-o", "webserver.ssl_certificate=/nowhere/a.pem"],
            "/nowhere/a.pem: ",
        ),
    ];
    for (arguments, expected) in cases {
        let (status, error) = start(&[&["--disable-source", "syscall"], arguments].concat()).end();
        assert_eq!(status.code(), Some(1), "{arguments:?}");
        assert!(error.contains("error: ") && error.contains(expected), "{arguments:?}: {error}");
    }
}

#[test]
fn a_configuration_that_is_named_must_exist() {
    let (status, error) = run_unprivileged(&["-c", "/nowhere/saker.yaml"]);
    assert_eq!(status.code(), Some(1));
    assert!(error.contains("/nowhere/saker.yaml: cannot read the configuration: No such file"), "{error}");
}

#[test]
fn a_dry_run_checks_rules_and_ends() {
    let agent = start(&["--dry-run"]);
    let stdout = agent.stdout.clone();
    let (status, error) = agent.end();
    assert!(status.success(), "{error}");
    let lines = stdout.all();
    assert!(lines[0].starts_with("configuration and rules are good: rules loaded "), "{lines:?}");
}

#[test]
fn the_schema_of_the_configuration_is_json() {
    let agent = start(&["--config-schema"]);
    let stdout = agent.stdout.clone();
    assert!(agent.end().0.success());
    let schema: serde_json::Value = serde_json::from_str(&stdout.all().join("\n")).unwrap();
    assert_eq!(schema["properties"]["json_output"]["default"], false);
}
