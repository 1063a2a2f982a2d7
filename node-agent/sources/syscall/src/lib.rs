//! The syscall source: loads the eBPF probe, drains its rings
