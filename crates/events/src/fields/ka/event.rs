//! The event itself: who asked what of which object, and the answer.

use saker_rules::{
    schema::{ArgKind, FieldArg},
    value::Value,
};

use super::{read, text};
use crate::{audit::Json, fields::FieldRow, record::AuditRecord};

pub(super) const ROWS: &[FieldRow] = &[
    text(
        "ka.auditid",
        |r, _| read::text(r, &["auditID"]),
        "Id of the request, the same at each of its stages",
    ),
    text(
        "ka.stage",
        |r, _| read::text(r, &["stage"]),
        "How far the request had come: RequestReceived, ResponseStarted, ResponseComplete or Panic",
    ),
    text(
        "ka.auth.decision",
        |r, _| annotation(r, "authorization.k8s.io/decision"),
        "Whether authorization said allow or forbid",
    ),
    text(
        "ka.auth.reason",
        |r, _| annotation(r, "authorization.k8s.io/reason"),
        "Why authorization decided so",
    ),
    text(
        "ka.auth.openshift.decision",
        |r, _| annotation(r, "authentication.openshift.io/decision"),
        "OpenShift only: how authentication decided",
    ),
    text(
        "ka.auth.openshift.username",
        |r, _| annotation(r, "authentication.openshift.io/username"),
        "OpenShift only: who authenticated",
    ),
    text(
        "ka.validations.admission.policy.failure",
        |r, _| annotation(r, "validation.policy.admission.k8s.io/validation_failure"),
        "How the request fails a ValidatingAdmissionPolicy that audits",
    ),
    text(
        "ka.security.pod.violations",
        |r, _| annotation(r, "pod-security.kubernetes.io/audit-violations"),
        "Which pod security standard the pod breaks",
    ),
    text(
        "ka.cluster.name",
        |r, _| annotation(r, "cluster_name"),
        "Name of the cluster, where something on the way added it",
    ),
    text("ka.user.name", |r, _| read::text(r, &["user", "username"]), "User or service account that asked"),
    text("ka.user.groups", |r, _| read::texts(r, &["user", "groups"]), "Groups of that user").list(),
    text(
        "ka.impuser.name",
        |r, _| read::text(r, &["impersonatedUser", "username"]),
        "User that the asking one acts as",
    ),
    text("ka.useragent", |r, _| read::text(r, &["userAgent"]), "Program that asked, as it calls itself"),
    text(
        "ka.sourceips",
        |r, arg| rules(r, arg, "sourceIPs"),
        "Never has a value; use json.value[/sourceIPs/0] for the caller's address",
    )
    .list()
    .takes(ArgKind::Index),
    text(
        "ka.verb",
        |r, _| read::text(r, &["verb"]),
        "What was asked for: create, get, delete, patch and so on",
    ),
    text("ka.uri", |r, _| read::text(r, &["requestURI"]), "Path and query of the request"),
    text("ka.uri.param", uri_param, "Value of the query parameter of this name").needs(ArgKind::Key),
    text("ka.target.name", |r, _| read::text(r, &["objectRef", "name"]), "Name of the object asked about"),
    text(
        "ka.target.namespace",
        |r, _| read::text(r, &["objectRef", "namespace"]),
        "Namespace of that object",
    ),
    text(
        "ka.target.resource",
        |r, _| read::text(r, &["objectRef", "resource"]),
        "Resource of that object, in the plural: pods, secrets",
    ),
    text(
        "ka.target.subresource",
        |r, _| read::text(r, &["objectRef", "subresource"]),
        "Part of that object: exec, log, status",
    ),
    text("ka.target.pod.name", pod_name, "Name of the pod in the answer, where a pod itself was asked about"),
    text(
        "ka.resp.name",
        |r, _| read::text(r, &["responseObject", "metadata", "name"]),
        "Name of the object in the answer",
    ),
    text("ka.response.code", |r, _| read::text(r, &["responseStatus", "code"]), "HTTP status of the answer"),
    text(
        "ka.response.reason",
        |r, _| read::text(r, &["responseStatus", "reason"]),
        "Reason in the answer, mostly of a failure",
    ),
    text(
        "ka.req.configmap.name",
        |r, _| read::text(r, &["objectRef", "name"]),
        "Name of the object asked about, meant for ConfigMaps",
    ),
    text(
        "ka.req.configmap.obj",
        |r, _| read::text(r, &["requestObject", "data"]),
        "Data of the ConfigMap sent, as JSON",
    ),
    text(
        "ka.req.service.type",
        |r, _| read::text(r, &["requestObject", "spec", "type"]),
        "Type of the Service sent",
    ),
    text(
        "ka.req.service.ports",
        |r, arg| read::present(r, arg, &["requestObject", "spec", "ports"]),
        "Ports of the Service sent, all in one JSON text",
    )
    .list()
    .takes(ArgKind::Index),
    text(
        "ka.req.role.rules",
        |r, _| read::texts(r, &["requestObject", "rules"]),
        "Rules of the Role or ClusterRole sent, each as JSON",
    )
    .list(),
    text("ka.req.role.rules.apiGroups", |r, arg| rules(r, arg, "apiGroups"), "API groups in those rules")
        .list()
        .takes(ArgKind::Index),
    text(
        "ka.req.role.rules.nonResourceURLs",
        |r, arg| rules(r, arg, "nonResourceURLs"),
        "URLs outside resources in those rules",
    )
    .list()
    .takes(ArgKind::Index),
    text("ka.req.role.rules.verbs", |r, arg| rules(r, arg, "verbs"), "Verbs in those rules")
        .list()
        .takes(ArgKind::Index),
    text("ka.req.role.rules.resources", |r, arg| rules(r, arg, "resources"), "Resources in those rules")
        .list()
        .takes(ArgKind::Index),
];

fn annotation<'a>(record: &'a AuditRecord, name: &str) -> Option<Value<'a>> {
    read::text(record, &["annotations", name])
}

fn uri_param<'a>(record: &'a AuditRecord, arg: Option<&FieldArg>) -> Option<Value<'a>> {
    let name = arg?.text.as_str();
    let uri = record.at(&["requestURI"])?.as_str()?;
    let query = uri.split('#').next()?.split_once('?')?.1;
    form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| Value::owned(value.into_owned()))
}

fn pod_name<'a>(record: &'a AuditRecord, _: Option<&FieldArg>) -> Option<Value<'a>> {
    let target = |key| record.at(&["objectRef", key]).and_then(Json::as_str).unwrap_or_default();
    let pod = target("resource") == "pods" && target("subresource").is_empty();
    pod.then(|| read::text(record, &["responseObject", "metadata", "name"])).flatten()
}

/// The elements of one array of each rule, all in one list.
fn rules<'a>(record: &'a AuditRecord, arg: Option<&FieldArg>, key: &str) -> Option<Value<'a>> {
    let arrays = read::spread(record, arg, &["requestObject", "rules", key])?;
    read::list(arrays.into_iter().flatten().filter_map(Json::as_array).flatten().map(Json::text))
}
