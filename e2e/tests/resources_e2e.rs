//! FalcoRules with a scope, in shadow, of other nodes; what a SakerNode tells; who may do what; what `saker status` shows.

use std::{process::Command, time::Duration};

use saker_e2e::{Cluster, Fleet, NAMESPACE, NODE, checkout, eventually, within};
use serde_json::Value;

const QUIET: [&str; 2] = ["--disable-source", "syscall"];

/// A FalcoRule about ConfigMaps, in `namespace/name`.
fn audit_rule(id: &str, scope: &str, mode: &str) -> String {
    let (namespace, name) = id.split_once('/').expect("a namespace");
    let template = include_str!("objects/audit_rule.yaml");
    let with = template.replace("NAMESPACE", namespace).replace("NAME", name);
    with.replace("SCOPE", scope).replace("MODE", mode)
}

fn status(cluster: &Cluster, id: &str) -> Value {
    let (namespace, name) = id.split_once('/').expect("a namespace");
    let rule = cluster.get(&["-n", namespace, "falcorule", name]);
    rule.map(|rule| rule["status"].clone()).unwrap_or_default()
}

fn condition<'a>(status: &'a Value, type_: &str) -> &'a Value {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().find(|condition| condition["type"] == type_).unwrap_or(&Value::Null)
}

/// `kubectl wait`, as people do it.
fn wait_loaded(cluster: &Cluster, fleet: &Fleet, id: &str) {
    let (namespace, name) = id.split_once('/').expect("a namespace");
    let object = format!("falcorule/{name}");
    let waited = ["-n", namespace, "wait", "--for=condition=Loaded", &object, "--timeout=90s"];
    let done = cluster.kubectl(&waited);
    assert!(done.is_ok(), "{done:?}\n{:#}\n{}", status(cluster, id), fleet.logs());
}

fn namespaces(cluster: &Cluster, names: &[&str]) {
    for name in names {
        let object = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n");
        cluster.apply(&object).expect("a namespace");
    }
}

/// Makes a ConfigMap that the rules are about.
fn touch(cluster: &Cluster, namespace: &str, name: &str) {
    let name = format!("marker-{name}");
    cluster.kubectl(&["-n", namespace, "delete", "configmap", &name, "--ignore-not-found"]).expect("kubectl");
    cluster.kubectl(&["-n", namespace, "create", "configmap", &name]).expect("kubectl");
}

fn alerted(fleet: &Fleet, rule: &str, namespace: &str) -> usize {
    let alerts = fleet.agent.alerts(rule);
    alerts.iter().filter(|alert| alert["output_fields"]["ka.target.namespace"] == namespace).count()
}

fn the_node(cluster: &Cluster) {
    let node = format!("apiVersion: v1\nkind: Node\nmetadata: {{name: {NODE}, labels: {{zone: a}}}}\n");
    cluster.apply(&node).expect("a node");
}

#[test]
fn a_namespace_sees_its_own_events_alone() {
    let Some(cluster) = Cluster::find() else { return };
    namespaces(&cluster, &["team-a", "team-b"]);
    let fleet = Fleet::start(&cluster, &QUIET).expect("a fleet");
    for id in ["team-a/own", "team-b/own"] {
        cluster.apply(&audit_rule(id, "Namespace", "Enforce")).expect("an object that is taken");
    }
    for id in ["team-a/own", "team-b/own"] {
        wait_loaded(&cluster, &fleet, id);
        assert_eq!(status(&cluster, id)["scope"], "Namespace");
    }
    touch(&cluster, "default", "scope");
    touch(&cluster, "team-a", "scope");
    touch(&cluster, "team-b", "scope");
    // Events come in their order: when the last one is told, the others were evaluated.
    eventually(
        "a ConfigMap to its namespace's alert",
        || fleet.logs(),
        || (alerted(&fleet, "Configured team-b/own", "team-b") == 1).then_some(()),
    );
    assert_eq!(fleet.agent.alerts("Configured team-a/own").len(), 1, "{}", fleet.logs());
    assert_eq!(alerted(&fleet, "Configured team-a/own", "team-a"), 1);
    assert_eq!(fleet.agent.alerts("Configured team-b/own").len(), 1);

    cluster.apply(&audit_rule("team-a/idle", "Namespace", "Off")).expect("taken");
    let disable = "apiVersion: saker.dev/v1alpha1\nkind: FalcoRule\nmetadata: {name: disable, namespace: team-a}\nspec:\n  scope: Namespace\n  raw: |\n    - rule: ConfigMap with a private credential\n      enabled: false\n      override: {enabled: replace}\n";
    cluster.apply(disable).expect("the schema takes it, the compiler does not");
    eventually(
        "a namespace disables no rule of others",
        || fleet.logs(),
        || {
            let status = status(&cluster, "team-a/disable");
            let compiled = condition(&status, "Compiled");
            let message = compiled["message"].as_str().unwrap_or_default();
            (compiled["status"] == "False" && message.contains("is defined in saker_audit_rules.yaml"))
                .then_some(())
        },
    );
    assert_eq!(condition(&status(&cluster, "team-a/idle"), "Accepted")["reason"], "Off");
}

#[test]
fn a_confined_namespace_keeps_to_itself_whatever_it_asks_for() {
    let Some(cluster) = Cluster::find() else { return };
    namespaces(&cluster, &["team-a"]);
    let mut fleet = Fleet::start(&cluster, &QUIET).expect("a fleet");
    fleet.restart_operator(&["--fleet-namespace", "security"]).expect("an operator");
    cluster.apply(&audit_rule("team-a/greedy", "Cluster", "Enforce")).expect("an object that is taken");
    wait_loaded(&cluster, &fleet, "team-a/greedy");
    assert_eq!(status(&cluster, "team-a/greedy")["scope"], "Namespace");
    touch(&cluster, "default", "greedy");
    touch(&cluster, "team-a", "greedy");
    eventually(
        "the alert of a confined namespace",
        || fleet.logs(),
        || (alerted(&fleet, "Configured team-a/greedy", "team-a") == 1).then_some(()),
    );
    assert_eq!(fleet.agent.alerts("Configured team-a/greedy").len(), 1, "{}", fleet.logs());
}

#[test]
fn a_rule_in_shadow_is_counted_and_silent_and_the_columns_say_so() {
    let Some(cluster) = Cluster::find() else { return };
    let fleet = Fleet::start(&cluster, &QUIET).expect("a fleet");
    cluster.apply(&audit_rule("default/shadow", "Cluster", "Shadow")).expect("an object that is taken");
    cluster.apply(&audit_rule("default/loud", "Cluster", "Enforce")).expect("an object that is taken");
    wait_loaded(&cluster, &fleet, "default/shadow");
    wait_loaded(&cluster, &fleet, "default/loud");
    touch(&cluster, "default", "shadow");
    eventually(
        "the alert of the rule beside it",
        || fleet.logs(),
        || (alerted(&fleet, "Configured default/loud", "default") == 1).then_some(()),
    );
    let why = || format!("{:#}\n{}", status(&cluster, "default/shadow"), fleet.logs());
    let counted = eventually("a match in shadow to the status", why, || {
        let status = status(&cluster, "default/shadow");
        (status["hits"] == 1).then_some(status)
    });
    assert!(counted["lastMatchTime"].is_string(), "{counted:#}");
    assert_eq!(fleet.agent.alerts("Configured default/shadow").len(), 0);
    let table = cluster.kubectl(&["get", "falcorules"]).expect("a table");
    let row = table.lines().find(|line| line.starts_with("shadow")).unwrap_or_default();
    let cells: Vec<_> = row.split_whitespace().collect();
    assert_eq!(
        cells.get(1..8),
        Some(&["k8s_audit", "Notice", "Shadow", "Cluster", "True", "1/1", "1"][..]),
        "{table}"
    );
}

#[test]
fn a_node_has_one_object_that_tells_what_it_runs() {
    let Some(cluster) = Cluster::find() else { return };
    the_node(&cluster);
    cluster.kubectl(&["delete", "sakernodes", "--all"]).expect("kubectl");
    let mut fleet = Fleet::start(&cluster, &QUIET).expect("a fleet");
    let why = || format!("{:#}\n{}", cluster.get(&["sakernode", NODE]).unwrap_or_default(), fleet.logs());
    let node = eventually("an agent to its SakerNode", why, || {
        let node = cluster.get(&["sakernode", NODE])?;
        (condition(&node["status"], "Answering")["status"] == "True").then_some(node)
    });
    let uid = cluster.get(&["node", NODE]).expect("a node")["metadata"]["uid"].clone();
    assert_eq!(node["metadata"]["ownerReferences"][0]["uid"], uid, "{node:#}");
    assert_eq!(node["metadata"]["finalizers"], Value::Null);
    assert!(node["status"]["rules"]["loaded"].as_u64() > Some(0), "{node:#}");
    assert_eq!(condition(&node["status"], "Seeing")["status"], "True");

    // Once a minute at most: what happens meanwhile is not written before.
    let version = node["metadata"]["resourceVersion"].clone();
    fleet.agent.stop().expect("an agent that ends");
    let early = within(Duration::from_secs(8), || {
        let now = cluster.get(&["sakernode", NODE])?;
        (now["metadata"]["resourceVersion"] != version).then_some(now)
    });
    // Its bundle may have become current since it was made; then that is the one write.
    assert!(early.is_none(), "{early:#?}");
    let silent = within(Duration::from_mins(3), || {
        let node = cluster.get(&["sakernode", NODE])?;
        (condition(&node["status"], "Answering")["status"] == "False").then_some(node)
    });
    let silent = silent.unwrap_or_else(|| panic!("{}", fleet.logs()));
    assert_eq!(silent["status"]["version"], node["status"]["version"], "what was known stays");
}

#[test]
fn rules_of_other_nodes_are_left_out() {
    let Some(cluster) = Cluster::find() else { return };
    the_node(&cluster);
    let fleet = Fleet::start(&cluster, &QUIET).expect("a fleet");
    let select = |zone: &str| format!("\nspec:\n  selector: {{nodes: {{matchLabels: {{zone: {zone}}}}}}}\n");
    let rule =
        |id: &str, zone: &str| audit_rule(id, "Cluster", "Enforce").replacen("\nspec:\n", &select(zone), 1);
    cluster.apply(&rule("default/here", "a")).expect("an object that is taken");
    cluster.apply(&rule("default/there", "b")).expect("an object that is taken");
    wait_loaded(&cluster, &fleet, "default/here");
    eventually(
        "a rule of no node says so",
        || fleet.logs(),
        || {
            let status = status(&cluster, "default/there");
            (condition(&status, "Loaded")["reason"] == "NoAgents" && status["nodes"]["summary"] == "0/0")
                .then_some(())
        },
    );
    touch(&cluster, "default", "nodes");
    eventually(
        "the alert of the rule for this node",
        || fleet.logs(),
        || (fleet.agent.alerts("Configured default/here").len() == 1).then_some(()),
    );
    assert_eq!(fleet.agent.alerts("Configured default/there").len(), 0);
}

#[test]
fn a_deleted_bundle_comes_back_and_the_rules_stay_meanwhile() {
    let Some(cluster) = Cluster::find() else { return };
    let fleet = Fleet::start(&cluster, &QUIET).expect("a fleet");
    let before = fleet.agent_status().expect("a status")["bundle"].clone();
    cluster.kubectl(&["-n", NAMESPACE, "delete", "configmaps", "-l", "saker.dev/bundle"]).expect("kubectl");
    assert_eq!(fleet.agent_status().expect("a status")["bundle"], before);
    eventually(
        "the operator makes the bundle again",
        || fleet.logs(),
        || (fleet.manifest()?["hash"] == before).then_some(()),
    );
    eventually(
        "the agent takes it over and has nothing to complain of",
        || fleet.logs(),
        || {
            let status = fleet.agent_status()?;
            (status["bundle"] == before && status["rules"]["last_error"].is_null()).then_some(())
        },
    );
}

#[test]
fn an_object_of_nearly_a_megabyte_is_a_rule_like_others() {
    let Some(cluster) = Cluster::find() else { return };
    let fleet = Fleet::start(&cluster, &QUIET).expect("a fleet");
    let items: Vec<_> = (0..60_000).map(|i| format!("{i:013x}")).collect();
    let large = format!(
        "apiVersion: saker.dev/v1alpha1\nkind: FalcoRule\nmetadata: {{name: large, namespace: default}}\nspec:\n  raw: |\n    - list: many\n      items: [{}]\n    - rule: Large\n      desc: d\n      condition: ka.target.name in (many)\n      output: o\n      priority: NOTICE\n      source: k8s_audit\n",
        items.join(", ")
    );
    assert!(large.len() > 900_000, "{}", large.len());
    cluster.create(&large).expect("an object that is taken");
    wait_loaded(&cluster, &fleet, "default/large");
    let manifest = fleet.manifest().expect("a manifest");
    assert!(!manifest["shards"].as_array().expect("shards").is_empty());
}

#[test]
fn who_may_write_rules_and_what_kubectl_explains() {
    let Some(cluster) = Cluster::find() else { return };
    let can = |verb: &str, what: &str, group: &str| {
        let args = ["auth", "can-i", verb, what, "-n", "default", "--as", "jane", "--as-group", group];
        cluster.kubectl(&args).is_ok_and(|answer| answer.trim() == "yes")
    };
    for (role, group) in [("saker-rules-viewer", "viewers"), ("saker-rules-editor", "editors")] {
        let (role, group) = (format!("--clusterrole={role}"), format!("--group={group}"));
        let name = format!("e2e{}", group.replace("--group=", "-"));
        cluster.kubectl(&["delete", "clusterrolebinding", &name, "--ignore-not-found"]).expect("kubectl");
        cluster.kubectl(&["create", "clusterrolebinding", &name, &role, &group]).expect("kubectl");
    }
    let table = [
        ("create", "falcorules.saker.dev", "nobody", false),
        ("get", "falcorules.saker.dev", "nobody", false),
        ("list", "falcorules.saker.dev", "viewers", true),
        ("create", "falcorules.saker.dev", "viewers", false),
        ("create", "falcorules.saker.dev", "editors", true),
        ("delete", "falcoruleexceptions.saker.dev", "editors", true),
        ("patch", "sakernodes.saker.dev", "editors", false),
    ];
    for (verb, what, group, allowed) in table {
        assert_eq!(can(verb, what, group), allowed, "{group} {verb} {what}");
    }
    let explained = cluster.kubectl(&["explain", "falcorule.spec"]).expect("an explanation");
    let text = explained.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in
        ["mode <string> enum: Enforce, Shadow, Off", "to see what a rule would do", "Where the rules apply"]
    {
        assert!(text.contains(part), "no '{part}' in:\n{explained}");
    }
    let newer = audit_rule("default/wrong", "Cluster", "Enforce").replace("v1alpha1", "v9");
    assert!(cluster.dry_run(&newer).is_err_and(|e| format!("{e:#}").contains("no matches for kind")));
    let wrong = audit_rule("default/wrong", "Planet", "Enforce");
    assert!(
        cluster.dry_run(&wrong).is_err_and(|e| format!("{e:#}").contains("Unsupported value: \"Planet\""))
    );
    let host = audit_rule("default/wrong", "Namespace", "Enforce").replacen(
        "spec:\n",
        "spec:\n  selector: {host: true}\n",
        1,
    );
    assert!(
        cluster.dry_run(&host).is_err_and(|e| format!("{e:#}").contains("selector.host needs scope Cluster"))
    );
}

#[test]
fn the_command_line_shows_the_fleet() {
    let Some(cluster) = Cluster::find() else { return };
    the_node(&cluster);
    cluster.kubectl(&["delete", "sakernodes", "--all"]).expect("kubectl");
    let mut fleet = Fleet::start(&cluster, &QUIET).expect("a fleet");
    cluster.apply(&audit_rule("default/shown", "Cluster", "Enforce")).expect("an object that is taken");
    wait_loaded(&cluster, &fleet, "default/shown");
    // The node's object is written once a minute, but at once by an operator that begins.
    fleet.restart_operator(&[]).expect("an operator");
    let binaries = std::env::var("SAKER_BIN_DIR").expect("the programs");
    let status = || {
        let mut command = Command::new(format!("{binaries}/saker"));
        let ran = command.args(["status", "--kubeconfig"]).arg(cluster.kubeconfig()).output().expect("saker");
        (ran.status.success(), String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned())
    };
    let shown = within(Duration::from_mins(3), || {
        let (well, text) = status();
        (well && text.contains("1 of 1 nodes run the current bundle")).then_some(text)
    });
    let text = shown.unwrap_or_else(|| panic!("{}\n{}", status().1, fleet.logs()));
    assert!(text.contains("default/shown") && text.contains(NODE), "{text}");
    let nobody = Command::new(format!("{binaries}/saker"))
        .args(["status", "--kubeconfig", &checkout("no-such-file")])
        .output()
        .expect("saker");
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("no-such-file"));
}
