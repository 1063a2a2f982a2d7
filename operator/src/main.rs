//! saker-operator

fn main() {}
