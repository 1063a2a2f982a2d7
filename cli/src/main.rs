//! saker

fn main() {}
