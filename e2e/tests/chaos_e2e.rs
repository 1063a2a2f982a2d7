//! Faults between two operators and a real API server: refused requests, watches that end in the middle, a leader that
//! is frozen. When they are over, everything is as it must be, and nobody goes on writing.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use saker_e2e::{
    Asked, Cluster, Method, Process, Proxy, Rest, Swarm, eventually, say, start_operator, within,
};
use serde_json::{Value, json};

const API: &str = "/apis/saker.dev/v1alpha1/namespaces/default/falcorules";
const NODES: usize = 20;
const RULES: usize = 40;
/// How long faults last.
const CHAOS: Duration = Duration::from_secs(15);
/// Between two changes, and between two cuts of the watches.
const PAUSE: Duration = Duration::from_millis(300);
/// Longer than a Lease lasts, with requests that fail.
const TAKEOVER: Duration = Duration::from_mins(2);
/// Longer than the longest back-off, twice.
const PATIENCE: Duration = Duration::from_mins(2);
/// Longer than the pause before the AuditSink is looked at again, which may have been refused until now.
const QUIET: Duration = Duration::from_secs(12);
/// Within which such a time must come in which nobody writes.
const SETTLED: Duration = Duration::from_mins(2);

/// One operator and what stands before it.
struct Replica {
    operator: Process,
    proxy: Proxy,
    _folder: tempfile::TempDir,
}

impl Replica {
    fn start(cluster: &Cluster, rest: &Rest) -> anyhow::Result<Self> {
        let (proxy, folder) = (Proxy::start(cluster, rest)?, tempfile::tempdir()?);
        let credentials = proxy.kubeconfig(&cluster.credentials("saker-operator")?)?;
        let operator = start_operator(folder.path(), &credentials, &[])?;
        Ok(Self { operator, proxy, _folder: folder })
    }
}

/// Every third request is refused.
fn refuse(number: u64) -> Option<u16> {
    let codes = [500, 429, 409, 410, 503];
    number.is_multiple_of(3).then(|| codes[usize::try_from(number / 3 % 5).unwrap_or(0)])
}

struct Chaos {
    cluster: Cluster,
    rest: Rest,
    replicas: [Replica; 2],
    /// What the rules must be in the end: the number in their marker, or broken.
    versions: Vec<Option<usize>>,
    changes: usize,
}

fn rule(number: usize, version: Option<usize>) -> Value {
    let field = if version.is_some() { "fd.name" } else { "fd.nmae" };
    let rule = json!({
        "rule": format!("Chaos {number}"), "desc": "d", "priority": "Notice", "output": "o",
        "condition": format!("evt.type = open and {field} = /chaos/{number}/{}", version.unwrap_or(0)),
    });
    json!({
        "apiVersion": "saker.dev/v1alpha1", "kind": "FalcoRule", "spec": {"rules": [rule]},
        "metadata": {"name": format!("chaos-{number}"), "namespace": "default"},
    })
}

impl Chaos {
    fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        cluster.kubectl(&["delete", "falcorules,falcoruleexceptions", "--all", "--all-namespaces"])?;
        cluster.kubectl(&["-n", "saker-system", "delete", "configmaps", "-l", "saker.dev/bundle"])?;
        let rest = Rest::admin(cluster)?;
        let versions = vec![Some(0); RULES];
        let rules = versions.iter().enumerate().map(|(i, v)| (Method::POST, API.to_owned(), rule(i, *v)));
        rest.send_all(rules.collect())?;
        let replicas = [Replica::start(cluster, &rest)?, Replica::start(cluster, &rest)?];
        Ok(Self { cluster: cluster.clone(), rest, replicas, versions, changes: 0 })
    }

    /// Changes a rule, breaks one, or puts one in place of another.
    fn change(&mut self) {
        self.changes += 1;
        let number = self.changes * 7 % RULES;
        let version = (!self.changes.is_multiple_of(5)).then_some(self.changes);
        self.versions[number] = version;
        let object = rule(number, version);
        let path = format!("{API}/chaos-{number}");
        let requests = if self.changes.is_multiple_of(4) {
            vec![(Method::DELETE, path, Value::Null), (Method::POST, API.to_owned(), object)]
        } else {
            vec![(Method::PATCH, path, json!({"spec": object["spec"]}))]
        };
        for (method, path, object) in requests {
            self.rest.send(method, &path, &object).expect("a change that is taken");
        }
    }

    fn holder(&self) -> Option<usize> {
        let lease = self.cluster.get(&["-n", "saker-system", "lease", "saker-operator"])?;
        let holder = lease["spec"]["holderIdentity"].as_str()?;
        self.replicas.iter().position(|replica| holder.ends_with(&format!("-{}", replica.operator.id())))
    }

    /// What is not as it must be.
    fn wrong(&self) -> Vec<String> {
        let objects = self.rest.list(API).unwrap_or_default();
        let state = |number: usize| {
            let name = format!("chaos-{number}");
            let object = objects.iter().find(|object| object["metadata"]["name"] == name.as_str());
            object.map_or_else(|| format!("{name} is gone"), state)
        };
        let expected = |version: Option<usize>| {
            if version.is_some() {
                format!("current, accepted True, loaded {NODES}/{NODES}")
            } else {
                "current, accepted False, loaded null".to_owned()
            }
        };
        let states = self
            .versions
            .iter()
            .enumerate()
            .map(|(number, version)| (number, expected(*version), state(number)));
        states
            .filter(|(_, expected, is)| expected != is)
            .map(|(number, expected, is)| format!("{number}: {is}, not {expected}"))
            .collect()
    }

    fn logs(&self) -> String {
        self.replicas
            .iter()
            .map(|replica| replica.operator.log())
            .collect::<Vec<_>>()
            .join("\n--- the other one\n")
    }
}

fn state(object: &Value) -> String {
    let status = &object["status"];
    let current = status["observedGeneration"] == object["metadata"]["generation"];
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let accepted = conditions
        .clone()
        .find(|c| c["type"] == "Accepted")
        .map_or("", |c| c["status"].as_str().unwrap_or_default());
    let loaded = status["nodes"]["summary"].as_str().unwrap_or("null");
    format!("{}, accepted {accepted}, loaded {loaded}", if current { "current" } else { "outdated" })
}

#[test]
fn faults_pass_and_nothing_is_left_of_them() {
    let Some(cluster) = Cluster::find() else { return };
    let rest = Rest::admin(&cluster).expect("a connection");
    let swarm = Swarm::start(&rest, NODES, Vec::new()).expect("nodes");
    let mut chaos = Chaos::start(&cluster).expect("two operators");
    let first = eventually("an operator holds the Lease", || chaos.logs(), || chaos.holder());

    for replica in &chaos.replicas {
        replica.proxy.inject(Some(refuse));
    }
    let start = Instant::now();
    while start.elapsed() < CHAOS {
        chaos.change();
        chaos.replicas.iter().for_each(|replica| replica.proxy.cut_watches());
        thread::sleep(PAUSE);
    }

    let leader = chaos.holder().unwrap_or(first);
    chaos.replicas[leader].operator.signal("STOP").expect("a frozen leader");
    let taken = within(TAKEOVER, || {
        chaos.change();
        thread::sleep(PAUSE);
        chaos.holder().filter(|holder| *holder != leader)
    });
    assert!(taken.is_some(), "nobody took over\n{}", chaos.logs());
    chaos.replicas[leader].operator.signal("CONT").expect("a leader that goes on");
    chaos.change();
    for replica in &chaos.replicas {
        replica.proxy.inject(None);
    }

    let over = Instant::now();
    let right = within(PATIENCE, || chaos.wrong().is_empty().then_some(()));
    assert!(right.is_some(), "{:#?}\n{}", chaos.wrong(), chaos.logs());
    say(&format!(
        "{} changes under faults: right {:.1} s after the last fault",
        chaos.changes,
        over.elapsed().as_secs_f64()
    ));
    nothing_was_doubled(&chaos);
    a_deleted_bundle_comes_back(&chaos);
    what_only_a_newer_operator_reads_is_told(&mut chaos);
    a_node_that_never_returns_blocks_nothing(&mut chaos, &swarm);
    rest.delete_all(API).expect("rules to delete");
    swarm.remove().expect("nodes to delete");
}

fn nothing_was_doubled(chaos: &Chaos) {
    let asked: Vec<_> = chaos.replicas.iter().flat_map(|replica| replica.proxy.take()).collect();
    only_what_is_ours(&asked);
    let manifests =
        asked.iter().filter(|asked| written(asked) && asked.path.ends_with("/saker-manifest")).count();
    // One for the start, at most one for each change.
    assert!(manifests <= chaos.changes + 1, "{manifests} bundles for {} changes", chaos.changes);
    say(&format!(
        "{} changes: {manifests} bundles, {} writes in all",
        chaos.changes,
        asked.iter().filter(|a| written(a)).count()
    ));

    let mut last = Vec::new();
    let by = within(SETTLED, || {
        thread::sleep(QUIET);
        let by: Vec<_> = chaos.replicas.iter().map(|replica| replica.proxy.take()).collect();
        let others = by.iter().flatten().filter(|asked| asked.is_write() && !is_figure(asked));
        last = others.map(|asked| asked.path.clone()).collect();
        last.is_empty().then_some(by)
    });
    let by =
        by.unwrap_or_else(|| panic!("nothing has changed for long, and yet these are written: {last:?}"));
    let renewing = by.iter().filter(|asked| asked.iter().any(Asked::is_write)).count();
    assert_eq!(renewing, 1, "one of them renews the Lease");
    let maps =
        chaos.cluster.get(&["-n", "saker-system", "configmaps", "-l", "saker.dev/bundle"]).expect("maps");
    let labels: BTreeSet<_> = maps["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|map| map["metadata"]["labels"]["saker.dev/bundle"].to_string())
        .collect();
    assert!(labels.len() <= 2, "this bundle and the one before: {labels:?}");
}

const MAPS: &str = "/api/v1/namespaces/saker-system/configmaps?labelSelector=saker.dev/bundle";

fn a_deleted_bundle_comes_back(chaos: &Chaos) {
    let names = || -> BTreeSet<String> {
        let maps = chaos.rest.list(MAPS).unwrap_or_default();
        maps.iter().map(|map| map["metadata"]["name"].to_string()).collect()
    };
    let before = names();
    chaos.rest.delete_all(MAPS).expect("ConfigMaps to delete");
    eventually(
        "the deleted bundle is there again",
        || chaos.logs(),
        || {
            let now = names();
            (now.contains("\"saker-manifest\"") && now.len() > 1 && now.is_subset(&before)).then_some(())
        },
    );
}

/// After a downgrade of the operator the CRDs of the newer one are still there, and objects that it took.
fn what_only_a_newer_operator_reads_is_told(chaos: &mut Chaos) {
    let priorities = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/rules/items/properties/priority/enum/-";
    let newer = json!([{"op": "add", "path": priorities, "value": "Loud"}]).to_string();
    let patched =
        chaos.cluster.kubectl(&["patch", "crd", "falcorules.saker.dev", "--type=json", "-p", &newer]);
    patched.expect("a newer CRD");
    let mut object = rule(RULES, Some(0));
    object["spec"]["rules"][0]["priority"] = "Loud".into();
    let path = format!("{API}/chaos-{RULES}");
    eventually(
        "the newer CRD takes a newer object",
        || chaos.logs(),
        || chaos.rest.send(Method::POST, API, &object).ok(),
    );
    let told = eventually(
        "the newer object is told to be unreadable",
        || chaos.logs(),
        || {
            let object = chaos.rest.send(Method::GET, &path, &Value::Null).ok()?;
            let accepted = object["status"]["conditions"][0].clone();
            (accepted["reason"] == "Unreadable").then_some(accepted)
        },
    );
    assert!(told["message"].as_str().unwrap_or_default().contains("Loud"), "{told:#}");
    chaos.change();
    eventually(
        "the other rules go on",
        || format!("{:#?}", chaos.wrong()),
        || chaos.wrong().is_empty().then_some(()),
    );
    chaos.rest.send(Method::DELETE, &path, &Value::Null).expect("an object to delete");
    Cluster::find().expect("the CRD as it was");
}

/// Its agent is silent for ever; then somebody deletes the Node.
fn a_node_that_never_returns_blocks_nothing(chaos: &mut Chaos, swarm: &Swarm) {
    swarm.answer(NODES - 1);
    let number = loop {
        chaos.change();
        let number = chaos.changes * 7 % RULES;
        if chaos.versions[number].is_some() {
            break number;
        }
    };
    let path = format!("{API}/chaos-{number}");
    let status = |chaos: &Chaos| {
        chaos.rest.send(Method::GET, &path, &Value::Null).map(|object| object["status"].clone()).ok()
    };
    let summary = |status: &Value, nodes: usize| {
        status["nodes"]["summary"] == format!("{}/{nodes}", NODES - 1).as_str()
    };
    let told = eventually(
        "the silent node is named",
        || chaos.logs(),
        || status(chaos).filter(|status| summary(status, NODES) && !status["nodes"]["failing"].is_null()),
    );
    let name = told["nodes"]["failing"][0]["node"].as_str().unwrap_or_default().to_owned();
    assert_eq!(name, format!("simulated-{}", NODES - 1), "{told:#}");

    swarm.remove_node(NODES - 1).expect("a node that goes at once: nothing holds it");
    eventually(
        "the others are all there are",
        || chaos.logs(),
        || status(chaos).filter(|status| summary(status, NODES - 1)),
    );
}

fn written(asked: &Asked) -> bool {
    asked.is_write() && asked.status < 400
}

/// The Lease is renewed, and SakerNodes tell newer figures once a minute.
fn is_figure(asked: &Asked) -> bool {
    asked.path.contains("/leases") || asked.path.contains("/sakernodes/")
}

/// Statuses and Events of the objects, and what is in the operator's own namespace.
fn only_what_is_ours(asked: &[Asked]) {
    let ours = |path: &str| {
        path.contains("/namespaces/saker-system/")
            || path.starts_with("/apis/events.k8s.io/v1/namespaces/default/")
            || path.starts_with(API) && path.ends_with("/status")
            || path.starts_with("/apis/saker.dev/v1alpha1/sakernodes/")
    };
    let strange: BTreeSet<_> = asked
        .iter()
        .filter(|asked| asked.is_write() && !ours(&asked.path))
        .map(|asked| &asked.path)
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
}
