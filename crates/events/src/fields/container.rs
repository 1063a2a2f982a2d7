//! `container.*`: the container that the process is in. What only its runtime knows is absent until it has answered.

use super::prelude::*;
use crate::container::{Container, Metadata, Mount};

#[rustfmt::skip]
pub(super) const ROWS: &[FieldRow] = &[
    row("container.id", CharBuf, SYSCALL, P(|r, _| of(r, "host", |c| text(c.id()))), "First 12 characters of the container's id; `host` outside of containers").flags(SUGGESTED),
    row("container.full_id", CharBuf, SYSCALL, S(|r, _| of(r, "", |c| text(&c.full_id))), "The container's whole id"),
    row("container.name", CharBuf, SYSCALL, M(|r, _| told(r, "host", |m| some(&m.name))), "The container's name; `host` outside of containers").flags(SUGGESTED),
    row("container.image", CharBuf, SYSCALL, M(|r, _| told(r, "", |m| some(&m.image))), "Image with its tag"),
    row("container.image.id", CharBuf, SYSCALL, M(|r, _| told(r, "", |m| some(&m.image_id))), "Id of the image"),
    row("container.type", CharBuf, SYSCALL, S(|r, _| of(r, "host", |c| text(c.engine().name()))), "What runs the container: `docker`, `containerd`, `cri-o`, `podman` and so on; `host` outside of containers"),
    row("container.privileged", Bool, SYSCALL, M(|r, _| boolean(r.metadata()?.privileged?)), "Whether the container is privileged"),
    row("container.mounts", CharBuf, SYSCALL, M(|r, _| mounts(r.metadata()?)), "All mounts, each as `source:dest:mode:rdrw:propagation`, with blanks"),
    row("container.mount", CharBuf, SYSCALL, M(|r, a| owned(mount(r.metadata()?, a, source).map_or_else(|| "none".to_owned(), Mount::text))), "One mount, by position or source; `none` if there is no such mount").needs(IndexOrKey),
    row("container.mount.source", CharBuf, SYSCALL, M(|r, a| text(&mount(r.metadata()?, a, dest)?.source)), "Source of a mount, by position or destination").needs(IndexOrKey),
    row("container.mount.dest", CharBuf, SYSCALL, M(|r, a| text(&mount(r.metadata()?, a, source)?.dest)), "Destination of a mount, by position or source").needs(IndexOrKey),
    row("container.mount.mode", CharBuf, SYSCALL, M(|r, a| text(&mount(r.metadata()?, a, source)?.mode)), "Mode of a mount, by position or source").needs(IndexOrKey),
    row("container.mount.rdwr", CharBuf, SYSCALL, M(|r, a| owned(mount(r.metadata()?, a, source)?.writable.to_string())), "Whether a mount may be written, by position or source").needs(IndexOrKey),
    row("container.mount.propagation", CharBuf, SYSCALL, M(|r, a| text(&mount(r.metadata()?, a, source)?.propagation)), "Propagation of a mount, by position or source").needs(IndexOrKey),
    row("container.image.repository", CharBuf, SYSCALL, M(|r, _| told(r, "", |m| some(m.image_repository()))), "Image without its tag").flags(SUGGESTED),
    row("container.image.tag", CharBuf, SYSCALL, M(|r, _| told(r, "", |m| some(m.image_tag()))), "Tag of the image").flags(SUGGESTED),
    row("container.image.digest", CharBuf, SYSCALL, M(|r, _| told(r, "", |m| some(&m.image_digest))), "Digest of the image"),
    row("container.healthcheck", CharBuf, SYSCALL, M(|r, _| some(&r.metadata()?.healthcheck)), "The container's health check, as Docker and Podman tell it").flags(DEPRECATED),
    row("container.liveness_probe", CharBuf, SYSCALL, NONE, "The container's liveness probe").flags(DEPRECATED),
    row("container.readiness_probe", CharBuf, SYSCALL, NONE, "The container's readiness probe").flags(DEPRECATED),
    row("container.start_ts", AbsTime, SYSCALL, S(|r, _| started(r).and_then(uint)), "When the container was started, nanoseconds since the Unix epoch"),
    row("container.duration", RelTime, SYSCALL, S(|r, _| uint(r.header.ts.checked_sub(started(r)?)?)), "Nanoseconds since the container was started"),
    row("container.ip", CharBuf, SYSCALL, M(|r, _| some(&r.metadata()?.ip)), "The container's first IPv4 address"),
    row("container.cni.json", CharBuf, SYSCALL, M(|r, _| some(&r.metadata()?.cni_json)), "What the network plugin reported, as JSON"),
    row("container.host_pid", Bool, SYSCALL, M(|r, _| boolean(r.metadata()?.host_pid?)), "Whether the container shares the host's pid namespace"),
    row("container.host_network", Bool, SYSCALL, M(|r, _| boolean(r.metadata()?.host_network?)), "Whether the container shares the host's network namespace"),
    row("container.host_ipc", Bool, SYSCALL, M(|r, _| boolean(r.metadata()?.host_ipc?)), "Whether the container shares the host's IPC namespace"),
    row("container.label", CharBuf, SYSCALL, M(|r, a| text(r.metadata()?.labels.get(&a?.text)?)), "One label of the container").needs(Key).flags(DOTTED_ARG),
    row("container.labels", CharBuf, SYSCALL, M(|r, _| labels(&r.metadata()?.labels)), "All labels of the container as `key:value`, with commas"),
];

/// A fact of the process's container, or what stands for it on the host.
fn of<'a>(
    r: &'a SyscallRecord<'_>,
    host: &'static str,
    fact: fn(&'a Container) -> Option<Value<'a>>,
) -> Option<Value<'a>> {
    r.process()?.container.as_ref().map_or_else(|| text(host), |c| fact(c))
}

/// What the runtime tells of the process's container, or what stands for it on the host.
fn told<'a>(
    r: &'a SyscallRecord<'_>,
    host: &'static str,
    fact: fn(&'a Metadata) -> Option<Value<'a>>,
) -> Option<Value<'a>> {
    if r.process()?.container.is_none() { text(host) } else { fact(r.metadata()?) }
}

fn mount<'a>(metadata: &'a Metadata, arg: Option<&FieldArg>, key: fn(&Mount) -> &str) -> Option<&'a Mount> {
    let arg = arg?;
    metadata.mount(arg.index.map(|index| index as usize), &arg.text, key)
}

fn source(mount: &Mount) -> &str {
    &mount.source
}

fn dest(mount: &Mount) -> &str {
    &mount.dest
}

fn mounts<'a>(metadata: &Metadata) -> Option<Value<'a>> {
    owned(metadata.mounts.iter().map(Mount::text).collect::<Vec<_>>().join(" "))
}

/// A container starts with its pid namespace (rules compare these times to find new containers).
fn started(r: &SyscallRecord) -> Option<u64> {
    let process = r.process()?;
    process.container.as_ref()?;
    Some(process.pidns_start).filter(|start| *start != 0)
}
