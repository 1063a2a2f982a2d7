//! `container.*`: the container that the process is in.

use super::prelude::*;
use crate::container::Container;

#[rustfmt::skip]
pub(super) const ROWS: &[FieldRow] = &[
    row("container.id", CharBuf, SYSCALL, S(|r, _| of(r, "host", |c| text(c.id()))), "First 12 characters of the container's id; `host` outside of containers").flags(SUGGESTED),
    row("container.full_id", CharBuf, SYSCALL, S(|r, _| of(r, "", |c| text(&c.full_id))), "The container's whole id"),
    row("container.name", CharBuf, SYSCALL, S(|r, _| of(r, "host", |_| None)), "The container's name; `host` outside of containers").flags(SUGGESTED | UNAVAILABLE),
    row("container.image", CharBuf, SYSCALL, S(|r, _| of(r, "", |_| None)), "Image with its tag").flags(UNAVAILABLE),
    row("container.image.id", CharBuf, SYSCALL, S(|r, _| of(r, "", |_| None)), "Id of the image").flags(UNAVAILABLE),
    row("container.type", CharBuf, SYSCALL, S(|r, _| of(r, "host", |c| text(c.engine.name()))), "What runs the container: `docker`, `containerd`, `cri-o`, `podman` and so on; `host` outside of containers"),
    row("container.privileged", Bool, SYSCALL, NONE, "Whether the container is privileged"),
    row("container.mounts", CharBuf, SYSCALL, NONE, "All mounts, each as `source:dest:mode:rdrw:propagation`"),
    row("container.mount", CharBuf, SYSCALL, NONE, "One mount, by position or source").needs(IndexOrKey),
    row("container.mount.source", CharBuf, SYSCALL, NONE, "Source of a mount, by position or destination").needs(IndexOrKey),
    row("container.mount.dest", CharBuf, SYSCALL, NONE, "Destination of a mount, by position or source").needs(IndexOrKey),
    row("container.mount.mode", CharBuf, SYSCALL, NONE, "Mode of a mount, by position or source").needs(IndexOrKey),
    row("container.mount.rdwr", CharBuf, SYSCALL, NONE, "Whether a mount may be written, by position or source").needs(IndexOrKey),
    row("container.mount.propagation", CharBuf, SYSCALL, NONE, "Propagation of a mount, by position or source").needs(IndexOrKey),
    row("container.image.repository", CharBuf, SYSCALL, S(|r, _| of(r, "", |_| None)), "Image without its tag").flags(SUGGESTED | UNAVAILABLE),
    row("container.image.tag", CharBuf, SYSCALL, S(|r, _| of(r, "", |_| None)), "Tag of the image").flags(SUGGESTED | UNAVAILABLE),
    row("container.image.digest", CharBuf, SYSCALL, S(|r, _| of(r, "", |_| None)), "Digest of the image").flags(UNAVAILABLE),
    row("container.healthcheck", CharBuf, SYSCALL, NONE, "The container's health check").flags(DEPRECATED),
    row("container.liveness_probe", CharBuf, SYSCALL, NONE, "The container's liveness probe").flags(DEPRECATED),
    row("container.readiness_probe", CharBuf, SYSCALL, NONE, "The container's readiness probe").flags(DEPRECATED),
    row("container.start_ts", AbsTime, SYSCALL, S(|r, _| started(r).and_then(uint)), "When the container was started, nanoseconds since the Unix epoch"),
    row("container.duration", RelTime, SYSCALL, S(|r, _| uint(r.header.ts.checked_sub(started(r)?)?)), "Nanoseconds since the container was started"),
    row("container.ip", CharBuf, SYSCALL, NONE, "The container's first IPv4 address"),
    row("container.cni.json", CharBuf, SYSCALL, NONE, "What the network plugin reported, as JSON"),
    row("container.host_pid", Bool, SYSCALL, NONE, "Whether the container shares the host's pid namespace"),
    row("container.host_network", Bool, SYSCALL, NONE, "Whether the container shares the host's network namespace"),
    row("container.host_ipc", Bool, SYSCALL, NONE, "Whether the container shares the host's IPC namespace"),
    row("container.label", CharBuf, SYSCALL, NONE, "One label of the container").needs(Key).flags(DOTTED_ARG),
    row("container.labels", CharBuf, SYSCALL, NONE, "All labels of the container as `key:value`, with commas"),
];

/// A fact of the process's container, or what stands for it on the host.
fn of<'a>(
    r: &'a SyscallRecord<'_>,
    host: &'static str,
    fact: fn(&'a Container) -> Option<Value<'a>>,
) -> Option<Value<'a>> {
    r.process()?.container.as_ref().map_or_else(|| text(host), |c| fact(c))
}

/// A container starts with its pid namespace (rules compare these times to find new containers).
fn started(r: &SyscallRecord) -> Option<u64> {
    let process = r.process()?;
    process.container.as_ref()?;
    Some(process.pidns_start).filter(|start| *start != 0)
}
