//! 500 simulated nodes and 1 000 rules on a real API server: what the operator writes, how soon a change is everywhere,
//! and what memory that takes. `SAKER_STORM=NODES,RULES` says another size.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use saker_e2e::{Asked, Cluster, Method, Process, Proxy, Rest, Swarm, say, start_operator, within};
use serde_json::{Value, json};

const RULES: &str = "/apis/saker.dev/v1alpha1/namespaces/default/falcorules";
const SAKER_NODES: &str = "/apis/saker.dev/v1alpha1/sakernodes";
/// Generous: the machine may be busy with other things; what it took is printed.
const PATIENCE: Duration = Duration::from_mins(3);
/// How long nothing changes.
const REST: Duration = Duration::from_secs(30);
/// Writes that the operator is allowed in a minute of that.
const WRITES_A_MINUTE: usize = 60;
/// So many rules match all the time, on every node.
const MATCHING: usize = 100;
/// The memory it is allowed, KiB.
const MEMORY: u64 = 100 << 10;

struct Storm {
    nodes: usize,
    rules: usize,
    rest: Rest,
    proxy: Proxy,
    swarm: Swarm,
    operator: Process,
    _folder: tempfile::TempDir,
}

fn size() -> (usize, usize) {
    let given = std::env::var("SAKER_STORM").unwrap_or_default();
    let parse = |text: &str| text.parse().expect("SAKER_STORM=NODES,RULES");
    given.split_once(',').map_or((500, 1000), |(nodes, rules)| (parse(nodes), parse(rules)))
}

fn rule(number: usize, marker: &str) -> Value {
    let rule = json!({
        "rule": format!("Storm {number}"), "desc": "one of many", "priority": "Notice", "output": "opened %fd.name",
        "condition": format!("evt.type in (open, openat) and fd.name = /storm/{number}/{marker}"),
    });
    json!({
        "apiVersion": "saker.dev/v1alpha1", "kind": "FalcoRule", "spec": {"rules": [rule]},
        "metadata": {"name": format!("storm-{number}"), "namespace": "default"},
    })
}

impl Storm {
    fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        let (nodes, rules) = size();
        cluster.kubectl(&["delete", "falcorules,falcoruleexceptions", "--all", "--all-namespaces"])?;
        cluster.kubectl(&["-n", "saker-system", "delete", "configmaps", "-l", "saker.dev/bundle"])?;
        let rest = Rest::admin(cluster)?;
        let matching = (0..MATCHING).map(|i| format!("falcorule/default/storm-{i}.yaml"));
        let swarm = Swarm::start(&rest, nodes, matching.collect())?;
        rest.send_all((0..rules).map(|i| (Method::POST, RULES.to_owned(), rule(i, "first"))).collect())?;
        let proxy = Proxy::start(cluster, &rest)?;
        let folder = tempfile::tempdir()?;
        let credentials = proxy.kubeconfig(&cluster.credentials("saker-operator")?)?;
        let operator = start_operator(folder.path(), &credentials, &[])?;
        Ok(Self { nodes, rules, rest, proxy, swarm, operator, _folder: folder })
    }

    /// Waits until the objects with these numbers are loaded everywhere in their newest form.
    fn loaded(&self, what: &str, numbers: impl Fn(usize) -> bool) {
        let start = Instant::now();
        let everywhere = format!("{0}/{0}", self.nodes);
        let done = within(PATIENCE, || {
            thread::sleep(Duration::from_millis(200));
            let objects = self.rest.list(RULES).ok()?;
            let wanted = objects.iter().filter(|object| number(object).is_some_and(&numbers));
            let mut wanted = wanted.peekable();
            wanted.peek()?;
            wanted.all(|object| is_loaded(object, &everywhere)).then_some(())
        });
        assert!(done.is_some(), "not within {PATIENCE:?}: {what}\n{}", self.operator.log());
        say(&format!("{what}: {:.1} s", start.elapsed().as_secs_f64()));
    }

    /// Waits until each node's object says that it runs the bundle.
    fn nodes_current(&self) {
        let current = |node: &Value| {
            let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
            conditions
                .filter(|condition| condition["type"] == "Current")
                .any(|condition| condition["status"] == "True")
        };
        let done = within(PATIENCE, || {
            thread::sleep(Duration::from_secs(1));
            let nodes = self.rest.list(SAKER_NODES).ok()?;
            (nodes.len() == self.nodes && nodes.iter().all(current)).then_some(())
        });
        assert!(done.is_some(), "SakerNodes are missing or behind\n{}", self.operator.log());
    }
}

fn number(object: &Value) -> Option<usize> {
    object["metadata"]["name"].as_str()?.strip_prefix("storm-")?.parse().ok()
}

fn is_loaded(object: &Value, everywhere: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let mut loaded = conditions.filter(|condition| condition["type"] == "Loaded");
    loaded.any(|condition| condition["status"] == "True")
        && object["status"]["observedGeneration"] == object["metadata"]["generation"]
        && object["status"]["nodes"]["summary"] == everywhere
}

/// Writes by object, without the Lease's.
fn writes(asked: &[Asked]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for asked in asked.iter().filter(|asked| asked.is_write() && !asked.path.contains("/leases")) {
        *counts.entry(asked.path.as_str()).or_default() += 1;
    }
    counts
}

fn sum(counts: &BTreeMap<&str, usize>, part: &str) -> usize {
    counts.iter().filter(|(path, _)| path.contains(part)).map(|(_, count)| count).sum()
}

fn report(what: &str, counts: &BTreeMap<&str, usize>) {
    let parts = ["/falcorules/", "/sakernodes/", "/configmaps/", "/events"]
        .map(|part| format!("{} {part}", sum(counts, part)));
    say(&format!("{what}: {} writes ({})", sum(counts, ""), parts.join(", ")));
}

#[test]
fn a_large_cluster_is_no_storm() {
    let Some(cluster) = Cluster::find() else { return };
    let storm = Storm::start(&cluster).expect("a storm");
    let size = format!("{} nodes, {} rules", storm.nodes, storm.rules);

    storm.loaded(&format!("{size}: all rules loaded after the operator's start"), |_| true);
    storm.nodes_current();
    let asked = storm.proxy.take();
    let counts = writes(&asked);
    report(&format!("{size}: first roll-out"), &counts);
    // Accepted, then Loaded: two changes of each object, whatever happened in between.
    let most = counts
        .iter()
        .filter(|(path, _)| path.ends_with("/status") && !counts_matches(path))
        .max_by_key(|(_, count)| **count);
    assert!(most.is_some_and(|(_, count)| *count <= 2), "{most:?}");

    at_rest(&storm, &size);
    one_change(&storm, &size);
    nodes_that_come_and_go(&storm, &size);

    let memory = storm.operator.peak_memory().expect("a running operator");
    say(&format!("{size}: operator's peak memory {} MiB", memory / 1024));
    assert!(memory <= MEMORY, "{memory} KiB");
    storm.rest.delete_all(RULES).expect("rules to delete");
    storm.swarm.remove().expect("nodes to delete");
}

fn at_rest(storm: &Storm, size: &str) {
    let asked_before = storm.swarm.asked();
    storm.proxy.take();
    thread::sleep(REST);
    let asked = storm.proxy.take();
    let count = asked.iter().filter(|asked| asked.is_write()).count();
    let a_minute = count * 60 / usize::try_from(REST.as_secs()).unwrap_or(1);
    say(&format!(
        "{size}: at rest {a_minute} writes a minute, {} requests to agents in {} s",
        storm.swarm.asked() - asked_before,
        REST.as_secs()
    ));
    assert!(a_minute <= WRITES_A_MINUTE, "{:?}", writes(&asked));
    let quiet = writes(&asked).into_keys().filter(|path| !counts_matches(path)).collect::<Vec<_>>();
    assert!(quiet.is_empty(), "nothing changed there: {quiet:?}");
}

fn one_change(storm: &Storm, size: &str) {
    storm.proxy.take();
    let changed = storm.rules - 1;
    let spec = json!({"spec": rule(changed, "second")["spec"]});
    storm.rest.send(Method::PATCH, &format!("{RULES}/storm-{changed}"), &spec).expect("an object to change");
    storm.loaded(&format!("{size}: one rule changed and loaded everywhere"), |number| number == changed);
    // What would come late would come now.
    thread::sleep(Duration::from_secs(3));
    let asked = storm.proxy.take();
    let counts = writes(&asked);
    report(&format!("{size}: one rule changed"), &counts);
    let own = format!("/storm-{changed}/status");
    let others =
        |path: &&&str| path.contains("/falcorules/") && !path.ends_with(&own) && !counts_matches(path);
    let others: Vec<_> = counts.keys().filter(others).collect();
    assert!(others.is_empty(), "the other objects did not change: {others:?}");
    assert!(sum(&counts, &own) <= 2, "accepted, then loaded: {counts:?}");
    assert_eq!(sum(&counts, "/saker-manifest"), 1, "{counts:?}");
    let most =
        counts.iter().filter(|(path, _)| path.contains("/sakernodes/")).max_by_key(|(_, count)| **count);
    assert!(most.is_none_or(|(_, count)| *count == 1), "a node is written when it has the bundle: {most:?}");
}

/// Whether an object has newer figures all the time.
fn counts_matches(path: &str) -> bool {
    let number = path.split("/storm-").nth(1).and_then(|rest| rest.split('/').next()?.parse::<usize>().ok());
    number.is_some_and(|number| number < MATCHING) || path.contains("/sakernodes/")
}

fn nodes_that_come_and_go(storm: &Storm, size: &str) {
    storm.proxy.take();
    for _ in 0..2 {
        storm.swarm.answer(storm.nodes - storm.nodes / 10);
        thread::sleep(Duration::from_secs(11));
        storm.swarm.answer(storm.nodes);
        thread::sleep(Duration::from_secs(3));
    }
    let asked = storm.proxy.take();
    report(&format!("{size}: every tenth node away for 11 s, twice"), &writes(&asked));
    let rules: Vec<_> = writes(&asked).into_keys().filter(|path| !counts_matches(path)).collect();
    assert!(rules.is_empty(), "{rules:?}");
}
