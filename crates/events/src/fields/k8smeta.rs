//! `k8smeta.*`: the pod that the process is in and what owns it.

use super::prelude::*;

#[rustfmt::skip]
pub(super) const ROWS: &[FieldRow] = &[
    row("k8smeta.pod.name", CharBuf, SYSCALL, NONE, "Name of the pod").flags(SUGGESTED),
    row("k8smeta.pod.uid", CharBuf, SYSCALL, NONE, "UID of the pod"),
    row("k8smeta.pod.label", CharBuf, SYSCALL, NONE, "One label of the pod").needs(Key),
    row("k8smeta.pod.labels", CharBuf, SYSCALL, NONE, "All labels of the pod, each as `key:value`").list(),
    row("k8smeta.pod.ip", CharBuf, SYSCALL, NONE, "Address of the pod"),
    row("k8smeta.ns.name", CharBuf, SYSCALL, NONE, "Namespace of the pod").flags(SUGGESTED),
    row("k8smeta.ns.uid", CharBuf, SYSCALL, NONE, "UID of the namespace"),
    row("k8smeta.ns.label", CharBuf, SYSCALL, NONE, "One label of the namespace").needs(Key),
    row("k8smeta.ns.labels", CharBuf, SYSCALL, NONE, "All labels of the namespace, each as `key:value`").list(),
    row("k8smeta.deployment.name", CharBuf, SYSCALL, NONE, "Name of the deployment that owns the pod"),
    row("k8smeta.deployment.uid", CharBuf, SYSCALL, NONE, "UID of the deployment"),
    row("k8smeta.deployment.label", CharBuf, SYSCALL, NONE, "One label of the deployment").needs(Key),
    row("k8smeta.deployment.labels", CharBuf, SYSCALL, NONE, "All labels of the deployment, each as `key:value`").list(),
    row("k8smeta.svc.name", CharBuf, SYSCALL, NONE, "Names of the services that select the pod").list(),
    row("k8smeta.svc.uid", CharBuf, SYSCALL, NONE, "UIDs of the services that select the pod").list(),
    row("k8smeta.svc.label", CharBuf, SYSCALL, NONE, "One label of each service that selects the pod").list().needs(Key),
    row("k8smeta.svc.labels", CharBuf, SYSCALL, NONE, "All labels of the services that select the pod, each as `key:value`").list(),
    row("k8smeta.rs.name", CharBuf, SYSCALL, NONE, "Name of the replica set that owns the pod"),
    row("k8smeta.rs.uid", CharBuf, SYSCALL, NONE, "UID of the replica set"),
    row("k8smeta.rs.label", CharBuf, SYSCALL, NONE, "One label of the replica set").needs(Key),
    row("k8smeta.rs.labels", CharBuf, SYSCALL, NONE, "All labels of the replica set, each as `key:value`").list(),
    row("k8smeta.rc.name", CharBuf, SYSCALL, NONE, "Name of the replication controller that owns the pod"),
    row("k8smeta.rc.uid", CharBuf, SYSCALL, NONE, "UID of the replication controller"),
    row("k8smeta.rc.label", CharBuf, SYSCALL, NONE, "One label of the replication controller").needs(Key),
    row("k8smeta.rc.labels", CharBuf, SYSCALL, NONE, "All labels of the replication controller, each as `key:value`").list(),
];
