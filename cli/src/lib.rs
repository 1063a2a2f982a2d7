//! The saker command
