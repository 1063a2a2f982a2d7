//! `k8s.*`: the pod that the process is in, as the container runtime tells it.

use super::prelude::*;
use crate::container::{Pod, short};

#[rustfmt::skip]
pub(super) const ROWS: &[FieldRow] = &[
    row("k8s.pod.name", CharBuf, SYSCALL, M(|r, _| some(&pod(r)?.name)), "Name of the pod").flags(SUGGESTED),
    row("k8s.ns.name", CharBuf, SYSCALL, M(|r, _| some(&pod(r)?.namespace)), "Namespace of the pod").flags(SUGGESTED),
    row("k8s.pod.id", CharBuf, SYSCALL, M(|r, _| some(&pod(r)?.uid)), "The pod's UID; the older name of `k8s.pod.uid`"),
    row("k8s.pod.uid", CharBuf, SYSCALL, M(|r, _| some(&pod(r)?.uid)), "The pod's UID"),
    row("k8s.pod.sandbox_id", CharBuf, SYSCALL, M(|r, _| some(short(&pod(r)?.sandbox_id))), "First 12 characters of the id of the pod's sandbox container"),
    row("k8s.pod.full_sandbox_id", CharBuf, SYSCALL, M(|r, _| some(&pod(r)?.sandbox_id)), "Whole id of the pod's sandbox container"),
    row("k8s.pod.label", CharBuf, SYSCALL, M(|r, a| text(pod(r)?.labels.get(&a?.text)?)), "One label of the pod").needs(Key).flags(DOTTED_ARG),
    row("k8s.pod.labels", CharBuf, SYSCALL, M(|r, _| labels(&pod(r)?.labels)), "All labels of the pod as `key:value`, with commas"),
    row("k8s.pod.ip", CharBuf, SYSCALL, M(|r, _| some(&pod(r).and(r.metadata())?.ip)), "The pod's first IPv4 address"),
    row("k8s.pod.cni.json", CharBuf, SYSCALL, M(|r, _| some(&pod(r).and(r.metadata())?.cni_json)), "What the network plugin reported, as JSON"),
    row("k8s.rc.name", CharBuf, SYSCALL, NONE, "Name of the replication controller; use `k8smeta.rc.name`").flags(DEPRECATED),
    row("k8s.rc.id", CharBuf, SYSCALL, NONE, "UID of the replication controller; use `k8smeta.rc.uid`").flags(DEPRECATED),
    row("k8s.rc.label", CharBuf, SYSCALL, NONE, "One label of the replication controller; use `k8smeta.rc.label`").needs(Key).flags(DEPRECATED | DOTTED_ARG),
    row("k8s.rc.labels", CharBuf, SYSCALL, NONE, "All labels of the replication controller; use `k8smeta.rc.labels`").flags(DEPRECATED),
    row("k8s.svc.name", CharBuf, SYSCALL, NONE, "Name of the service; use `k8smeta.svc.name`").flags(DEPRECATED),
    row("k8s.svc.id", CharBuf, SYSCALL, NONE, "UID of the service; use `k8smeta.svc.uid`").flags(DEPRECATED),
    row("k8s.svc.label", CharBuf, SYSCALL, NONE, "One label of the service; use `k8smeta.svc.label`").needs(Key).flags(DEPRECATED | DOTTED_ARG),
    row("k8s.svc.labels", CharBuf, SYSCALL, NONE, "All labels of the service; use `k8smeta.svc.labels`").flags(DEPRECATED),
    row("k8s.ns.id", CharBuf, SYSCALL, NONE, "UID of the namespace; use `k8smeta.ns.uid`").flags(DEPRECATED),
    row("k8s.ns.label", CharBuf, SYSCALL, NONE, "One label of the namespace; use `k8smeta.ns.label`").needs(Key).flags(DEPRECATED | DOTTED_ARG),
    row("k8s.ns.labels", CharBuf, SYSCALL, NONE, "All labels of the namespace; use `k8smeta.ns.labels`").flags(DEPRECATED),
    row("k8s.rs.name", CharBuf, SYSCALL, NONE, "Name of the replica set; use `k8smeta.rs.name`").flags(DEPRECATED),
    row("k8s.rs.id", CharBuf, SYSCALL, NONE, "UID of the replica set; use `k8smeta.rs.uid`").flags(DEPRECATED),
    row("k8s.rs.label", CharBuf, SYSCALL, NONE, "One label of the replica set; use `k8smeta.rs.label`").needs(Key).flags(DEPRECATED | DOTTED_ARG),
    row("k8s.rs.labels", CharBuf, SYSCALL, NONE, "All labels of the replica set; use `k8smeta.rs.labels`").flags(DEPRECATED),
    row("k8s.deployment.name", CharBuf, SYSCALL, NONE, "Name of the deployment; use `k8smeta.deployment.name`").flags(DEPRECATED),
    row("k8s.deployment.id", CharBuf, SYSCALL, NONE, "UID of the deployment; use `k8smeta.deployment.uid`").flags(DEPRECATED),
    row("k8s.deployment.label", CharBuf, SYSCALL, NONE, "One label of the deployment; use `k8smeta.deployment.label`").needs(Key).flags(DEPRECATED | DOTTED_ARG),
    row("k8s.deployment.labels", CharBuf, SYSCALL, NONE, "All labels of the deployment; use `k8smeta.deployment.labels`").flags(DEPRECATED),
];

fn pod<'a>(r: &SyscallRecord<'a>) -> Option<&'a Pod> {
    r.metadata()?.pod.as_ref()
}
