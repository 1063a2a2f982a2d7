//! `saker doctor`: what it prints agrees with its exit code.

mod common;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    thread,
};

use common::{saker, saker_without_certificates};

#[test]
fn the_verdict_and_the_exit_code_agree() {
    let ran = saker(["doctor"]);
    let out = ran.out();
    for check in ["kernel", "BTF", "capabilities"] {
        assert!(out.contains(check), "no {check} in:\n{out}");
    }
    match ran.code() {
        0 => assert!(out.ends_with("\nsaker-agent can run here\n") && !out.starts_with("missing"), "{out}"),
        1 => assert!(out.ends_with("\nsaker-agent cannot run here\n") && out.contains("missing "), "{out}"),
        code => panic!("exit code {code}: {}", ran.err()),
    }
}

#[test]
fn an_agent_is_asked_over_http() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", server.local_addr().expect("its address"));
    thread::spawn(move || server.incoming().flatten().for_each(answer));
    let ran = saker_without_certificates(["doctor", "--agent", &url]);
    let out = ran.success();
    assert!(out.contains("40 loaded") && out.ends_with("\nthe agent does its work\n"), "{out}");

    let file = tempfile::tempdir().expect("a folder").path().join("file");
    let gone = saker(["doctor", "--agent", "http://127.0.0.1:1"]).fails(1);
    assert!(gone.contains("http://127.0.0.1:1/healthz does not answer"), "{gone}");
    let alone = saker(["doctor", "--raise", "Rule", "--by-writing", &file.display().to_string()]).fails(2);
    assert!(alone.contains("--agent"), "{alone}");
}

/// An agent that is well.
fn answer(mut stream: TcpStream) {
    let mut request = String::new();
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    while reader.read_line(&mut request).is_ok_and(|n| n > 2) {}
    let body = match request.split(' ').nth(1) {
        Some("/healthz") => r#"{"status": "ok"}"#,
        _ => "saker_source_up{source=\"syscall\"} 1\nsaker_rules_loaded{state=\"loaded\"} 40\n",
    };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).expect("a reader");
}
