//! What the agent may do, and what it does without.

use crate::running::{can_run_live, start_with_capabilities};

#[test]
fn four_capabilities_are_enough() {
    if !can_run_live("four_capabilities_are_enough") {
        return;
    }
    let agent = start_with_capabilities("+bpf,+perfmon,+sys_ptrace,+dac_read_search");
    agent.log("processes were there before");
    std::process::Command::new("cat").arg("/etc/shadow").output().unwrap();
    let (_, line) = agent.alert("/etc/shadow");
    assert!(line.contains("program=cat") && line.contains("exepath=/"), "{line}");
}

#[test]
fn a_missing_capability_is_named() {
    if !can_run_live("a_missing_capability_is_named") {
        return;
    }
    let agent = start_with_capabilities("+bpf,+sys_ptrace,+dac_read_search");
    let line = agent.log("CAP_PERFMON no");
    assert!(line.contains("AmbientCapabilities=CAP_BPF CAP_PERFMON"), "{line}");
}
