//! What the kernel and the process offer the probe, and what to do about what is missing.

use std::fs;

use aya::Btf;

use crate::{
    object,
    probe::{ProbeError, RingBytes, TRACEPOINTS},
};

/// BTF programs on tracepoints came with 5.5, ring buffers with 5.8.
const OLDEST_KERNEL: (u32, u32) = (5, 8);
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;
/// The inode number of the first pid namespace is part of the kernel's interface.
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// Whether it is as the probe needs it.
    pub ok: bool,
    /// Whether the probe cannot run without.
    pub required: bool,
    /// What was found.
    pub found: String,
    /// What to do if it is not ok.
    pub advice: &'static str,
}

impl Check {
    /// Whether it keeps the probe from running.
    pub fn failed(&self) -> bool {
        self.required && !self.ok
    }
}

/// What to do about the checks that are not ok, as one text.
pub fn advice(checks: &[Check]) -> String {
    let missing = checks.iter().filter(|check| !check.ok);
    missing
        .map(|check| format!("{}: {}; {}", check.name, check.found, check.advice))
        .collect::<Vec<_>>()
        .join(". ")
}

/// All checks. The last ones really load the probe, attached to nothing.
pub fn checks() -> Vec<Check> {
    let mut checks = environment();
    checks.extend(trial());
    checks
}

/// The checks that load nothing.
pub fn environment() -> Vec<Check> {
    vec![kernel(), btf(), lockdown(), capabilities(), pid_namespace()]
}

fn kernel() -> Check {
    let release = read("/proc/sys/kernel/osrelease");
    Check {
        name: "kernel",
        ok: version(&release).is_some_and(|version| version >= OLDEST_KERNEL),
        required: true,
        found: release,
        advice: "boot a kernel of version 5.8 or newer",
    }
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(['.', '-']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn btf() -> Check {
    let path = "/sys/kernel/btf/vmlinux";
    let size = fs::metadata(path).map(|file| file.len());
    Check {
        name: "BTF",
        ok: size.is_ok(),
        required: true,
        found: size.map_or_else(|error| format!("{path}: {error}"), |bytes| format!("{path}, {bytes} bytes")),
        advice: "use a kernel built with CONFIG_DEBUG_INFO_BTF=y, and mount /sys into the container",
    }
}

fn lockdown() -> Check {
    let state = read("/sys/kernel/security/lockdown");
    Check {
        name: "lockdown",
        ok: !state.contains("[confidentiality]"),
        required: true,
        found: if state.is_empty() { "none".to_owned() } else { state },
        advice: "boot with lockdown=integrity or lockdown=none: confidentiality forbids eBPF to read kernel memory",
    }
}

fn capabilities() -> Check {
    let effective = effective_capabilities();
    let has = |capability: u32| effective >> capability & 1 == 1;
    Check {
        name: "capabilities",
        ok: has(CAP_SYS_ADMIN) || (has(CAP_BPF) && has(CAP_PERFMON)),
        required: true,
        found: format!(
            "CAP_BPF {}, CAP_PERFMON {}",
            if has(CAP_BPF) { "yes" } else { "no" },
            if has(CAP_PERFMON) { "yes" } else { "no" }
        ),
        advice: "run as root, or grant BPF and PERFMON (systemd: AmbientCapabilities=CAP_BPF CAP_PERFMON; \
                 Kubernetes: securityContext.capabilities.add)",
    }
}

fn effective_capabilities() -> u64 {
    let status = read("/proc/self/status");
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}

fn pid_namespace() -> Check {
    let own = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    Check {
        name: "pid namespace",
        ok: own.as_os_str() == FIRST_PID_NAMESPACE,
        required: false,
        found: own.display().to_string(),
        advice: "run in the host's pid namespace (Kubernetes: hostPID: true), else the agent reports its own \
                 events and cannot look up processes",
    }
}

fn trial() -> Vec<Check> {
    let smallest = RingBytes { rare: 4096, bulk: 4096 };
    let opened = Btf::from_sys_fs()
        .map_err(|error| ProbeError::Btf(Box::new(error)))
        .and_then(|btf| Ok((object::open(&btf, smallest)?, btf)));
    let (mut ebpf, btf) = match opened {
        Ok(opened) => opened,
        Err(error) => return vec![loads("eBPF maps", true, Err(error))],
    };
    let (tracepoints, iterator) = object::load(&mut ebpf, &btf, &TRACEPOINTS);
    vec![
        loads("eBPF maps", true, Ok(())),
        loads("BTF tracepoints", true, tracepoints),
        loads("process iterator", false, iterator),
    ]
}

fn loads(name: &'static str, required: bool, result: Result<(), ProbeError>) -> Check {
    let ok = result.is_ok();
    let found = result.map_or_else(|error| error.to_string(), |()| "accepted by the kernel".to_owned());
    let advice = if required {
        "see the other checks; if they are ok, report this with the kernel's version"
    } else {
        "nothing: /proc is read instead (kernels before 5.18 have no such iterator)"
    };
    Check { name, ok, required, found, advice }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_distributions_are_understood() {
        assert_eq!(version("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(version("5.8-rc1"), Some((5, 8)));
        assert_eq!(version("5.10.0-8-amd64"), Some((5, 10)));
        assert_eq!(version("unknown"), None);
    }

    #[test]
    fn advice_names_only_what_is_missing() {
        let check = |name, ok| Check { name, ok, required: true, found: "no".to_owned(), advice: "do it" };
        assert_eq!(advice(&[check("a", true), check("b", false)]), "b: no; do it");
    }
}
