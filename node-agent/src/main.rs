//! saker-agent

fn main() {}
