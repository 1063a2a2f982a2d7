//! Names that rules compare with, as the machine's resolver knows them.

use std::{
    fs,
    io::Write as _,
    net::{TcpListener, TcpStream, UdpSocket},
};

use tempfile::TempDir;

use crate::running::{PATIENCE, Running, can_run_live, start_with_names};

/// Nobody serves names there: whoever asks is told at once.
const NOBODY: &str = "127.0.0.96";

/// The agent with a rule on connections to this name.
fn agent(name: &str, hosts: &str, server: &str) -> Running {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("rules.d")).unwrap();
    fs::write(dir.path().join("rules.d/names.yaml"), rule("To the service", name)).unwrap();
    let agent = start_with_names(dir, hosts, server, &[]);
    agent.log("processes were there before");
    agent
}

fn rule(rule: &str, name: &str) -> String {
    format!(
        "- rule: {rule}\n  desc: d\n  condition: evt.type = connect and fd.sip.name = {name}\n  output: {rule} (to=%fd.sip.name address=%fd.sip)\n  priority: NOTICE\n"
    )
}

fn connect(address: &str) {
    let listener = TcpListener::bind((address, 0)).unwrap();
    TcpStream::connect(listener.local_addr().unwrap()).unwrap();
}

#[test]
fn a_rule_is_blind_until_its_name_has_an_address() {
    if !can_run_live("a_rule_is_blind_until_its_name_has_an_address") {
        return;
    }
    let agent = agent("service.invalid", "127.0.0.1 localhost\n", NOBODY);
    let told = agent.log("'service.invalid' has no address: ");
    assert!(told.contains("'To the service'"), "{told}");
    let metrics = agent.get("/metrics").1;
    assert!(metrics.contains("saker_host_names{state=\"unknown\"} 1"), "{metrics}");
    assert!(metrics.contains("saker_rules_loaded{state=\"blind\"}"), "{metrics}");
    let blind = "no address is known of 'service.invalid' that it compares with: ";
    let status: serde_json::Value = serde_json::from_str(&agent.until("/status", blind)).unwrap();
    let reasons = status["rules"]["blind_reasons"].as_array().unwrap();
    assert_eq!(status["rules"]["blind"], reasons.len(), "{status}");

    connect("127.0.0.77");
    fs::write(agent.path("hosts"), "127.0.0.77 service.invalid\n").unwrap();
    agent.until("/metrics", "saker_host_names{state=\"known\"} 1");
    assert!(!agent.get("/status").1.contains(blind));
    connect("127.0.0.78");
    connect("127.0.0.77");
    agent.alert("To the service (to=service.invalid address=127.0.0.77");
    assert_eq!(agent.stdout.count("To the service"), 1, "{:?}", agent.stdout.all());
}

#[test]
fn a_name_server_that_never_answers_holds_up_nothing() {
    if !can_run_live("a_name_server_that_never_answers_holds_up_nothing") {
        return;
    }
    let Ok(server) = UdpSocket::bind("127.0.0.97:53") else {
        let why = "skipped: this machine serves names on all of its addresses";
        let _ = writeln!(std::io::stderr(), "a_name_server_that_never_answers_holds_up_nothing: {why}");
        return;
    };
    let agent = agent("slow.example", "127.0.0.77 quick.invalid\n", "127.0.0.97");
    // Somebody asks, and waits for minutes.
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    server.recv(&mut [0; 512]).unwrap();
    fs::write(agent.path("rules.d/more.yaml"), rule("To another", "quick.invalid")).unwrap();
    agent.until("/metrics", "saker_host_names{state=\"known\"} 1");
    connect("127.0.0.77");
    agent.alert("To another (to=quick.invalid");
    let metrics = agent.get("/metrics").1;
    assert!(metrics.contains("saker_host_names{state=\"unknown\"} 1"), "{metrics}");
    let (status, summary) = agent.interrupt();
    assert!(status.success(), "{summary}");
}
