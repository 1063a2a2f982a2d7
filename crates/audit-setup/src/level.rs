//! Which level of the policy a field needs.

use crate::policy::Level;

/// Fields whose name says otherwise than what they read (specification §11).
const EXCEPTIONS: [(&str, Level); 4] = [
    ("ka.req.configmap.name", Level::Metadata),
    ("ka.req.binding.subject.has_name", Level::Metadata),
    ("ka.target.pod.name", Level::RequestResponse),
    ("ka.resp.name", Level::RequestResponse),
];

/// Fields that give the whole event.
const WHOLE: [&str; 2] = ["json.obj", "jevt.obj"];

/// The lowest level at which an event carries all that this field reads. The field is as rules write it, with its
/// argument.
pub fn level_of(field: &str) -> Level {
    let (name, _) = split(field);
    let exception = EXCEPTIONS.iter().find(|(exception, _)| *exception == name);
    match (exception, pointer(field)) {
        (Some((_, level)), _) => *level,
        (_, Some(pointer)) => level_of_pointer(pointer),
        _ if WHOLE.contains(&name) => Level::RequestResponse,
        _ if name.starts_with("ka.req.") => Level::Request,
        _ => Level::Metadata,
    }
}

fn level_of_pointer(pointer: &str) -> Level {
    match pointer.split('/').nth(1) {
        None | Some("responseObject") => Level::RequestResponse,
        Some("requestObject") => Level::Request,
        Some(_) => Level::Metadata,
    }
}

/// Whether the field may show `metadata.managedFields` of an object.
pub(crate) fn may_read_managed_fields(field: &str) -> bool {
    let of_object = |pointer: &str| {
        let mut parts = pointer.split('/').skip(1);
        let object = parts.next().is_none_or(|part| part.ends_with("Object"));
        object
            && parts.next().is_none_or(|p| p == "metadata")
            && parts.next().is_none_or(|p| p == "managedFields")
    };
    WHOLE.contains(&split(field).0) || pointer(field).is_some_and(of_object)
}

/// The JSON pointer that the field follows, if it is one of those.
pub(crate) fn pointer(field: &str) -> Option<&str> {
    let (name, arg) = split(field);
    ["json.value", "jevt.value"].contains(&name).then_some(arg).flatten()
}

fn split(field: &str) -> (&str, Option<&str>) {
    match field.split_once('[') {
        Some((name, arg)) => (name, arg.strip_suffix(']')),
        None => (field, None),
    }
}
