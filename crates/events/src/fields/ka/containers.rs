//! `ka.req.pod.containers.*`, `initContainers.*`, `ephemeralContainers.*` and the older `ka.req.container.*`.

use saker_rules::{
    schema::{ArgKind, FieldArg},
    value::Value,
};

use super::{
    read::{self, list, present, spread},
    text,
};
use crate::{audit::Json, fields::FieldRow, record::AuditRecord};

/// A field of each container in one of the pod's lists.
macro_rules! field {
    ($list:literal, $name:literal = $read:ident($($key:literal),+), $what:literal) => {
        text(
            concat!("ka.req.pod.", $list, ".", $name),
            |r, arg| $read(r, arg, &["requestObject", "spec", $list, $($key),+]),
            concat!($what, " the pod's ", $list),
        )
        .list()
        .takes(ArgKind::Index)
    };
}

/// The fields that every list has, and more rows behind them.
macro_rules! fields {
    ($list:literal, $($more:expr),*) => {
        &[
            field!($list, "name" = complete("name"), "Names of"),
            field!($list, "image" = complete("image"), "Images of"),
            field!($list, "image.repository" = repositories("image"), "Images without tag and digest of"),
            field!($list, "command" = words("command"), "Commands, each joined by blanks, of"),
            field!($list, "args" = words("args"), "Arguments, each container's joined by blanks, of"),
            field!($list, "privileged" = present("securityContext", "privileged"), "Whether privileged:"),
            field!(
                $list,
                "allow_privilege_escalation" = present("securityContext", "allowPrivilegeEscalation"),
                "Whether they may gain privileges:"
            ),
            field!(
                $list,
                "read_only_fs" = present("securityContext", "readOnlyRootFilesystem"),
                "Whether the root file system is read-only:"
            ),
            field!($list, "run_as_user" = present("securityContext", "runAsUser"), "User ids set for"),
            field!($list, "eff_run_as_user" = effective("runAsUser"), "As good as always 0; use run_as_user:"),
            field!($list, "run_as_group" = present("securityContext", "runAsGroup"), "Group ids set for"),
            field!($list, "eff_run_as_group" = effective("runAsGroup"), "As good as always 0; use run_as_group:"),
            field!($list, "proc_mount" = present("securityContext", "procMount"), "How /proc is mounted in"),
            field!(
                $list,
                "add_capabilities" = present("securityContext", "capabilities", "add"),
                "Capabilities added, each container's as JSON, to"
            ),
            $($more),*
        ]
    };
}

pub(super) const CONTAINERS: &[FieldRow] = fields!(
    "containers",
    field!("containers", "host_port" = ports("ports"), "Ports on the node, or else their own, of"),
    text(
        "ka.req.container.image",
        |r, _| first(complete, r, &CONTAINER_IMAGE),
        "Image of the first container; use ka.req.pod.containers.image"
    ),
    text(
        "ka.req.container.image.repository",
        |r, _| first(repositories, r, &CONTAINER_IMAGE),
        "The same without tag and digest; use ka.req.pod.containers.image.repository"
    ),
    text(
        "ka.req.container.privileged",
        |r, _| any_privileged(r),
        "true if a container is privileged; use ka.req.pod.containers.privileged"
    )
);

pub(super) const INIT_CONTAINERS: &[FieldRow] = fields!(
    "initContainers",
    field!("initContainers", "host_port" = ports("ports"), "Ports on the node, or else their own, of")
);

pub(super) const EPHEMERAL_CONTAINERS: &[FieldRow] = fields!("ephemeralContainers",);

const CONTAINER_IMAGE: [&str; 4] = ["requestObject", "spec", "containers", "image"];

/// Absent as a whole if one container lacks it.
fn complete<'a>(record: &'a AuditRecord, arg: Option<&FieldArg>, path: &[&str]) -> Option<Value<'a>> {
    let values = spread(record, arg, path)?.into_iter().map(|value| value.map(Json::text));
    list(values.collect::<Option<Vec<_>>>()?)
}

/// The image up to its first `:` or `@`, which cuts a registry's port off with all that follows it.
fn repositories<'a>(record: &'a AuditRecord, arg: Option<&FieldArg>, path: &[&str]) -> Option<Value<'a>> {
    let images =
        spread(record, arg, path)?.into_iter().map(|image| image?.as_str()?.split([':', '@']).next());
    list(images.map(|image| image.map(Value::text)).collect::<Option<Vec<_>>>()?)
}

/// A list of words for each container that has one, joined by blanks.
fn words<'a>(record: &'a AuditRecord, arg: Option<&FieldArg>, path: &[&str]) -> Option<Value<'a>> {
    let commands = spread(record, arg, path)?.into_iter().flatten().map(|command| {
        let words: Option<Vec<&str>> = command.as_array()?.iter().map(Json::as_str).collect();
        Some(Value::owned(words?.join(" ")))
    });
    list(commands.collect::<Option<Vec<_>>>()?)
}

fn ports<'a>(record: &'a AuditRecord, arg: Option<&FieldArg>, path: &[&str]) -> Option<Value<'a>> {
    let ports: Option<Vec<&[Json]>> =
        spread(record, arg, path)?.into_iter().flatten().map(Json::as_array).collect();
    let number = |port: &'a Json| port.get("hostPort").or_else(|| port.get("containerPort"));
    list(ports?.into_iter().flatten().filter_map(number).map(Json::text))
}

/// Falco looks for the ids beside the security contexts, where they never are, and so finds its default.
fn effective<'a>(record: &'a AuditRecord, arg: Option<&FieldArg>, path: &[&str]) -> Option<Value<'a>> {
    let pod = read::text(record, &["requestObject", "spec", path.last()?]).unwrap_or(Value::text("0"));
    let ids = spread(record, arg, path)?;
    list(ids.into_iter().map(|id| id.map_or_else(|| pod.clone(), Json::text)))
}

type ListGetter = for<'a> fn(&'a AuditRecord, Option<&FieldArg>, &[&str]) -> Option<Value<'a>>;

fn first<'a>(get: ListGetter, record: &'a AuditRecord, path: &[&str]) -> Option<Value<'a>> {
    let first = FieldArg { text: String::new(), index: Some(0) };
    if let Value::List(values) = get(record, Some(&first), path)? { values.into_iter().next() } else { None }
}

fn any_privileged(record: &AuditRecord) -> Option<Value<'_>> {
    let path = ["requestObject", "spec", "containers", "securityContext", "privileged"];
    let any = spread(record, None, &path)?.into_iter().flatten().any(|flag| *flag == Json::Bool(true));
    Some(Value::text(if any { "true" } else { "false" }))
}
