//! The static pod of an API server, as kubeadm makes it: flags and a mount put in.

use serde_json::{Value, json};

use crate::{SetupError, apiserver::flag};

/// Says which files the pod was started with.
const ANNOTATION: &str = "saker.dev/audit-files";
/// Name of our volume.
const VOLUME: &str = "saker-audit";

/// The command line of the API server in a manifest.
pub fn arguments(manifest: &str) -> Result<Vec<String>, SetupError> {
    let mut pod = parse(manifest)?;
    let command = command(container(&mut pod)?)?;
    Ok(command.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect())
}

/// What [`patch`] marked the manifest with.
pub(crate) fn mark(manifest: &str) -> Option<String> {
    let pod = parse(manifest).ok()?;
    Some(pod.get("metadata")?.get("annotations")?.get(ANNOTATION)?.as_str()?.to_owned())
}

/// The manifest with these flags, unless it has them, with a folder of the node mounted where it is, and marked with
/// what tells one version of the files from another.
pub(crate) fn patch(
    manifest: &str,
    flags: &[(String, String)],
    folder: &str,
    mark: &str,
) -> Result<String, SetupError> {
    let mut pod = parse(manifest)?;
    let present = arguments(manifest)?;
    let container = container(&mut pod)?;
    let new = flags.iter().filter(|(name, _)| flag(&present, name).is_none());
    let new: Vec<Value> = new.map(|(name, value)| format!("--{name}={value}").into()).collect();
    command(container)?.extend(new);
    let mount = json!({"name": VOLUME, "mountPath": folder, "readOnly": true});
    put(container, "volumeMounts", mount)?;
    let volume = json!({"name": VOLUME, "hostPath": {"path": folder, "type": "DirectoryOrCreate"}});
    let spec = pod.get_mut("spec").ok_or_else(|| SetupError::Manifest("it has no spec".to_owned()))?;
    put(spec, "volumes", volume)?;
    annotate(&mut pod, mark)?;
    write(&pod)
}

fn annotate(pod: &mut Value, mark: &str) -> Result<(), SetupError> {
    let mut place = pod;
    for key in ["metadata", "annotations"] {
        let object =
            place.as_object_mut().ok_or_else(|| SetupError::Manifest(format!("no place for {key}")))?;
        place = object.entry(key).or_insert_with(|| json!({}));
    }
    let annotations = place.as_object_mut();
    let annotations =
        annotations.ok_or_else(|| SetupError::Manifest("annotations are no object".to_owned()))?;
    annotations.insert(ANNOTATION.to_owned(), mark.into());
    Ok(())
}

fn parse(manifest: &str) -> Result<Value, SetupError> {
    serde_saphyr::from_str(manifest).map_err(|error| SetupError::Manifest(error.to_string()))
}

/// Whatever a reader of YAML makes of it, it must be what was meant.
fn write(pod: &Value) -> Result<String, SetupError> {
    let text = serde_saphyr::to_string(pod).map_err(|error| SetupError::Manifest(error.to_string()))?;
    if parse(&text)? == *pod {
        Ok(text)
    } else {
        Err(SetupError::Manifest("it cannot be written again without loss".to_owned()))
    }
}

fn container(pod: &mut Value) -> Result<&mut Value, SetupError> {
    let containers = pod.pointer_mut("/spec/containers").and_then(Value::as_array_mut);
    let named = |container: &&mut Value| container.get("name").is_some_and(|name| name == "kube-apiserver");
    containers
        .and_then(|containers| containers.iter_mut().find(named))
        .ok_or_else(|| SetupError::Manifest("it has no container kube-apiserver".to_owned()))
}

fn command(container: &mut Value) -> Result<&mut Vec<Value>, SetupError> {
    let key = if container.get("args").is_some_and(Value::is_array) { "args" } else { "command" };
    let command = container.get_mut(key).and_then(Value::as_array_mut);
    command.ok_or_else(|| SetupError::Manifest("its container has no command".to_owned()))
}

/// Puts an item into a list of named ones, in place of the one of the same name.
fn put(object: &mut Value, key: &str, item: Value) -> Result<(), SetupError> {
    let object = object.as_object_mut().ok_or_else(|| SetupError::Manifest(format!("no place for {key}")))?;
    let list = object.entry(key).or_insert_with(|| json!([]));
    let list = list.as_array_mut().ok_or_else(|| SetupError::Manifest(format!("{key} is no list")))?;
    list.retain(|other| other.get("name") != item.get("name"));
    list.push(item);
    Ok(())
}
