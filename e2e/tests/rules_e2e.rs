//! A FalcoRule changes what a running agent detects, a broken one harms only itself, and a node starts with the
//! cluster's rules while the API is away.

use std::{fs, path::Path};

use saker_e2e::{Cluster, Fleet, eventually, is_root, within};
use serde_json::Value;

/// A FalcoRule whose rule fires when a file is opened for writing.
fn marker_rule(name: &str, marker: &Path) -> String {
    let template = include_str!("objects/marker.yaml");
    template.replace("NAME", name).replace("MARKER", &marker.display().to_string())
}

fn status(cluster: &Cluster, name: &str) -> Value {
    status_of(cluster, "falcorule", name)
}

fn status_of(cluster: &Cluster, kind: &str, name: &str) -> Value {
    cluster.get(&[kind, name]).map(|rule| rule["status"].clone()).unwrap_or_default()
}

fn condition(status: &Value, type_: &str) -> Value {
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|condition| condition["type"] == type_).unwrap_or_default()
}

fn wait_loaded(cluster: &Cluster, fleet: &Fleet, name: &str) {
    wait_loaded_of(cluster, fleet, "falcorule", name);
}

fn wait_loaded_of(cluster: &Cluster, fleet: &Fleet, kind: &str, name: &str) {
    let why = || format!("{:#}\n{}", status_of(cluster, kind, name), fleet.logs());
    eventually(&format!("kubectl apply of {kind} {name} to Loaded 1/1"), why, || {
        let status = status_of(cluster, kind, name);
        (status["nodes"]["summary"] == "1/1" && condition(&status, "Loaded")["status"] == "True")
            .then_some(())
    });
}

/// Writes the marker and waits for one more alert of the rule.
fn fires(fleet: &Fleet, rule: &str, marker: &Path) {
    let before = fleet.agent.alerts(rule).len();
    fs::write(marker, "x").expect("a writable marker");
    let alert = eventually(
        &format!("write to the alert of '{rule}'"),
        || fleet.logs(),
        || fleet.agent.alerts(rule).into_iter().nth(before),
    );
    assert_eq!(alert["output_fields"]["fd.name"], marker.display().to_string().as_str(), "{alert}");
}

#[test]
fn a_falcorule_changes_what_a_running_agent_detects() {
    let Some(cluster) = Cluster::find() else { return };
    if !is_root() {
        return;
    }
    let markers = tempfile::tempdir().expect("a folder");
    let (first, second) = (markers.path().join("first"), markers.path().join("second"));
    let fleet = Fleet::start(&cluster, &[]).expect("a fleet");

    cluster.apply(&marker_rule("first", &first)).expect("an object that is taken");
    wait_loaded(&cluster, &fleet, "first");
    assert_eq!(condition(&status(&cluster, "first"), "Accepted")["status"], "True");
    fires(&fleet, "Marker first", &first);

    wrong_shapes_are_refused(&cluster);
    broken_one_harms_only_itself(&cluster, &fleet);
    fires(&fleet, "Marker first", &first);

    cluster.apply(&marker_rule("second", &second)).expect("an object that is taken");
    wait_loaded(&cluster, &fleet, "second");
    let both = fleet.manifest().expect("a manifest")["hash"].clone();
    cluster.kubectl(&["delete", "falcorule", "first"]).expect("an object to delete");
    eventually(
        "kubectl delete to the agent without the rule",
        || fleet.logs(),
        || {
            let current = fleet.manifest()?["hash"].clone();
            (current != both && fleet.agent_status()?["bundle"] == current).then_some(())
        },
    );
    let before = fleet.agent.alerts("Marker first").len();
    fs::write(&first, "x").expect("a writable marker");
    fires(&fleet, "Marker second", &second);
    assert_eq!(fleet.agent.alerts("Marker first").len(), before, "a deleted rule is silent");
}

/// What the schema can know is refused by the API server itself, with the reason.
fn wrong_shapes_are_refused(cluster: &Cluster) {
    let head =
        "apiVersion: saker.dev/v1alpha1\nkind: FalcoRule\nmetadata: {name: shape, namespace: default}\n";
    let rule = "rule: r, desc: d, condition: evt.type = open, output: o";
    for (spec, reason) in [
        ("{}".to_owned(), "give rules, macros or lists"),
        (format!("{{raw: \"- list: l\", rules: [{{{rule}, priority: Notice}}]}}"), "raw stands alone"),
        (format!("{{rules: [{{{rule}, priority: Loud}}]}}"), "Unsupported value: \"Loud\""),
    ] {
        let refusal = cluster.dry_run(&format!("{head}spec: {spec}\n")).expect_err(&spec);
        assert!(format!("{refusal:#}").contains(reason), "no '{reason}' in: {refusal:#}");
    }
}

fn broken_one_harms_only_itself(cluster: &Cluster, fleet: &Fleet) {
    cluster.apply(include_str!("objects/broken.yaml")).expect("the schema takes it, the compiler does not");
    let why = || format!("{:#}\n{}", status(cluster, "broken"), fleet.logs());
    let message = eventually("kubectl apply of a broken rule to its message", why, || {
        let accepted = condition(&status(cluster, "broken"), "Accepted");
        (accepted["status"] == "False").then(|| accepted["message"].as_str().unwrap_or_default().to_owned())
    });
    for part in ["line 6, column 25", "proc.nmae"] {
        assert!(message.contains(part), "no '{part}' in: {message}");
    }
    assert_eq!(status(cluster, "first")["nodes"]["summary"], "1/1");
    let events = cluster.get(&["events", "--field-selector", "reason=Rejected"]).expect("events");
    let about: Vec<_> = events["items"].as_array().into_iter().flatten().collect();
    assert!(about.iter().any(|event| event["involvedObject"]["name"] == "broken"), "{events:#}");
}

#[test]
fn an_agent_starts_with_the_clusters_rules_while_the_api_is_away() {
    let Some(cluster) = Cluster::find() else { return };
    if !is_root() {
        return;
    }
    let markers = tempfile::tempdir().expect("a folder");
    let marker = markers.path().join("kept");
    let mut fleet = Fleet::start(&cluster, &[]).expect("a fleet");
    cluster.apply(&marker_rule("kept", &marker)).expect("an object that is taken");
    wait_loaded(&cluster, &fleet, "kept");
    fires(&fleet, "Marker kept", &marker);

    fleet.agent.stop().expect("an agent that ends");
    cluster.api_server("stop").expect("an API server that ends");
    fleet.start_agent().expect("an agent that starts");
    let hash = eventually(
        "the agent starts without the API",
        || fleet.logs(),
        || fleet.agent_status()?["bundle"].as_str().map(str::to_owned),
    );
    fires(&fleet, "Marker kept", &marker);

    cluster.api_server("start").expect("an API server that starts");
    let still = within(std::time::Duration::from_secs(3), || {
        fleet.agent_status()?["bundle"].as_str().map(str::to_owned)
    });
    assert_eq!(still, Some(hash), "the API is back with the same bundle");
    cluster.kubectl(&["delete", "falcorule", "kept"]).expect("an object to delete");
    eventually(
        "a change after the API came back",
        || fleet.logs(),
        || {
            let running = fleet.agent_status()?["bundle"].clone();
            (running != still.as_deref().unwrap_or_default() && running == fleet.manifest()?["hash"])
                .then_some(())
        },
    );
}

#[test]
fn a_tampered_shard_is_refused_and_repaired() {
    let Some(cluster) = Cluster::find() else { return };
    let fleet = Fleet::start(&cluster, &["--disable-source", "syscall"]).expect("a fleet");
    let shard =
        fleet.manifest().expect("a manifest")["shards"][0]["name"].as_str().expect("a name").to_owned();
    let in_namespace = |args: &[&str]| cluster.kubectl(&[&["-n", "saker-system"], args].concat());
    let before = fleet.agent_status().expect("a status")["bundle"].clone();

    in_namespace(&["delete", "configmap", &shard]).expect("a shard to delete");
    let forged = include_str!("objects/forged_shard.yaml").replace("NAME", &shard);
    cluster.apply(&forged).expect("a forged shard");
    eventually(
        "the operator puts the forged shard right",
        || fleet.logs(),
        || {
            let map = cluster.get(&["-n", "saker-system", "configmap", &shard])?;
            (map["binaryData"]["bundle.gz"] != "Zm9yZ2Vk").then_some(())
        },
    );
    assert_eq!(fleet.agent_status().expect("a status")["bundle"], before);
}

#[test]
fn an_exception_silences_its_rule_until_it_ends() {
    let Some(cluster) = Cluster::find() else { return };
    if !is_root() {
        return;
    }
    let markers = tempfile::tempdir().expect("a folder");
    let (tuned, control) = (markers.path().join("tuned"), markers.path().join("control"));
    let fleet = Fleet::start(&cluster, &[]).expect("a fleet");
    cluster.apply(&marker_rule("tuned", &tuned)).expect("an object that is taken");
    cluster.apply(&marker_rule("control", &control)).expect("an object that is taken");
    wait_loaded(&cluster, &fleet, "control");
    fires(&fleet, "Marker tuned", &tuned);

    let exception = include_str!("objects/exception.yaml").replace("MARKER", &tuned.display().to_string());
    let until = |seconds| jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    let ending = |end: jiff::Timestamp| exception.replace("END", &end.to_string());
    cluster
        .dry_run(&ending(until(3600)).replace("reason: ", "reason: \"\" #"))
        .expect_err("an exception needs a reason");
    cluster.apply(&ending(until(3600))).expect("an object that is taken");
    wait_loaded_of(&cluster, &fleet, "falcoruleexception", "tuned");
    let before = fleet.agent.alerts("Marker tuned").len();
    fs::write(&tuned, "x").expect("a writable marker");
    fires(&fleet, "Marker control", &control);
    assert_eq!(fleet.agent.alerts("Marker tuned").len(), before, "the exception holds");

    let end = until(3);
    cluster.apply(&ending(end)).expect("an object that is taken");
    eventually(
        "the end of an exception to the alert",
        || format!("{:#}\n{}", status_of(&cluster, "falcoruleexception", "tuned"), fleet.logs()),
        || {
            fs::write(&tuned, "x").ok()?;
            (fleet.agent.alerts("Marker tuned").len() > before).then_some(())
        },
    );
    assert!(jiff::Timestamp::now() >= end);
    let accepted = eventually(
        "the status of an exception that is over",
        || fleet.logs(),
        || {
            let accepted = condition(&status_of(&cluster, "falcoruleexception", "tuned"), "Accepted");
            (accepted["reason"] == "Expired").then_some(accepted)
        },
    );
    assert!(accepted["message"].as_str().unwrap_or_default().contains("it ended at"), "{accepted:#}");
}
