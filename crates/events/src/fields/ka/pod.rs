//! `ka.req.pod.*` beside its containers: the pod sent.

use saker_rules::{
    schema::{ArgKind, FieldArg},
    value::Value,
};

use super::{read, text};
use crate::{audit::Json, fields::FieldRow, record::AuditRecord};

const VOLUMES: [&str; 3] = ["requestObject", "spec", "volumes"];
const HOST_PATHS: [&str; 5] = ["requestObject", "spec", "volumes", "hostPath", "path"];

pub(super) const ROWS: &[FieldRow] = &[
    text("ka.req.pod.host_ipc", |r, _| spec(r, "hostIPC"), "Whether the pod shares the node's IPC namespace"),
    text(
        "ka.req.pod.host_network",
        |r, _| spec(r, "hostNetwork"),
        "Whether the pod shares the node's network",
    ),
    text(
        "ka.req.container.host_network",
        |r, _| spec(r, "hostNetwork"),
        "Older name of ka.req.pod.host_network",
    ),
    text("ka.req.pod.host_pid", |r, _| spec(r, "hostPID"), "Whether the pod sees the node's processes"),
    text("ka.req.pod.run_as_user", |r, _| security(r, "runAsUser"), "User id set for the whole pod"),
    text("ka.req.pod.run_as_group", |r, _| security(r, "runAsGroup"), "Group id set for the whole pod"),
    text("ka.req.pod.fs_group", |r, _| security(r, "fsGroup"), "Group id that owns the pod's volumes"),
    text(
        "ka.req.pod.supplemental_groups",
        |r, _| read::texts(r, &["requestObject", "spec", "securityContext", "supplementalGroups"]),
        "Further group ids of the pod",
    )
    .list(),
    text(
        "ka.req.pod.volumes.hostpath",
        |r, arg| read::present(r, arg, &HOST_PATHS),
        "Paths of the node that the pod mounts",
    )
    .list()
    .takes(ArgKind::Index),
    text(
        "ka.req.volume.hostpath",
        mounts,
        "true if a volume mounts this path of the node; a * at its end stands for any rest",
    )
    .needs(ArgKind::Key),
    text(
        "ka.req.pod.volumes.flexvolume_driver",
        |r, arg| read::present(r, arg, &["requestObject", "spec", "volumes", "flexVolume", "driver"]),
        "FlexVolume drivers of the pod's volumes",
    )
    .list()
    .takes(ArgKind::Index),
    text(
        "ka.req.pod.volumes.volume_type",
        volume_types,
        "Types of the pod's volumes: hostPath, secret, emptyDir",
    )
    .list()
    .takes(ArgKind::Index),
];

fn spec<'a>(record: &'a AuditRecord, key: &str) -> Option<Value<'a>> {
    read::text(record, &["requestObject", "spec", key])
}

fn security<'a>(record: &'a AuditRecord, key: &str) -> Option<Value<'a>> {
    read::text(record, &["requestObject", "spec", "securityContext", key])
}

fn mounts<'a>(record: &'a AuditRecord, arg: Option<&FieldArg>) -> Option<Value<'a>> {
    let wanted = arg?.text.as_str();
    let wanted = |path: &str| match wanted.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => path == wanted,
    };
    let paths = read::spread(record, None, &HOST_PATHS)?;
    let found = paths.into_iter().flatten().filter_map(Json::as_str).any(wanted);
    Some(Value::text(if found { "true" } else { "false" }))
}

/// Every key of a volume but its name: that is its type, in a well-formed volume.
fn volume_types<'a>(record: &'a AuditRecord, arg: Option<&FieldArg>) -> Option<Value<'a>> {
    let volumes = record.at(&VOLUMES)?.as_array()?;
    let volumes = match arg {
        Some(arg) => {
            let index = usize::try_from(arg.index?).ok()?;
            volumes.get(index..=index)?
        }
        None => volumes,
    };
    let members =
        volumes.iter().filter_map(|volume| if let Json::Object(m) = volume { Some(m) } else { None });
    read::list(members.flatten().filter(|(key, _)| **key != *"name").map(|(key, _)| Value::text(&**key)))
}
