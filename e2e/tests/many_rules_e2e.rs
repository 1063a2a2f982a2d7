//! 10 000 rules in 100 objects on a real API server: every one runs, and the webhook still answers at once. What is too
//! large for one object is refused with the limit named.

use std::time::{Duration, Instant};

use saker_e2e::{Cluster, Fleet, Method, Rest, eventually, say, within};
use serde_json::{Value, json};

const FALCO_RULES: &str = "/apis/saker.dev/v1alpha1/namespaces/default/falcorules";
/// Objects, and rules in each of them.
const OBJECTS: usize = 100;
const RULES: usize = 100;
/// Until all of them run: generous, what it took is printed.
const LIMIT: Duration = Duration::from_mins(3);
/// How often the webhook is asked.
const TRIES: usize = 5;

fn rule(object: usize, number: usize) -> Value {
    json!({
        "rule": format!("Many {object} {number}"), "desc": "one of many", "priority": "Notice", "source": "k8s_audit",
        "condition": format!("ka.verb = create and ka.target.name = many-{object}-{number}"),
        "output": "made %ka.target.name",
    })
}

fn falco_rule(name: &str, spec: &Value) -> Value {
    let metadata = json!({"name": name, "namespace": "default"});
    json!({"apiVersion": "saker.dev/v1alpha1", "kind": "FalcoRule", "metadata": metadata, "spec": spec})
}

/// Makes the objects with these numbers, and waits until the agent runs all rules there are.
fn load(fleet: &Fleet, rest: &Rest, numbers: std::ops::Range<usize>) {
    let (start, objects) = (Instant::now(), numbers.end);
    let object = |number: usize| {
        let rules: Vec<_> = (0..RULES).map(|i| rule(number, i)).collect();
        falco_rule(&format!("many-{number}"), &json!({"rules": rules}))
    };
    let requests = numbers.map(|number| (Method::POST, FALCO_RULES.to_owned(), object(number)));
    rest.send_all(requests.collect()).expect("objects that are taken");
    let done = within(LIMIT, || {
        std::thread::sleep(Duration::from_millis(200));
        let loaded = rest.list(FALCO_RULES).ok()?.iter().filter(|object| is_loaded(object)).count();
        (loaded == objects).then_some(())
    });
    assert!(done.is_some(), "not loaded within {LIMIT:?}\n{}", fleet.logs());
    let running = fleet.agent_status().expect("a status")["rules"]["loaded"].as_u64();
    assert!(running >= Some((objects * RULES) as u64), "{running:?}");
    say(&format!(
        "{} rules in {objects} objects loaded: {:.1} s",
        objects * RULES,
        start.elapsed().as_secs_f64()
    ));
}

fn is_loaded(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let mut loaded = conditions.filter(|condition| condition["type"] == "Loaded");
    loaded.any(|condition| condition["status"] == "True")
}

#[test]
fn ten_thousand_rules_run_and_one_more_is_judged_at_once() {
    let Some(cluster) = Cluster::find() else { return };
    let mut fleet = Fleet::start(&cluster, &["--disable-source", "syscall"]).expect("a fleet");
    let rest = Rest::admin(&cluster).expect("a connection");
    load(&fleet, &rest, 0..OBJECTS / 2);
    judge(&cluster, &mut fleet, &rest);
    load(&fleet, &rest, OBJECTS / 2..OBJECTS);
    let last = format!("many-{}-{}", OBJECTS - 1, RULES - 1);
    cluster.kubectl(&["delete", "configmap", &last, "--ignore-not-found"]).expect("kubectl");
    cluster.kubectl(&["create", "configmap", &last]).expect("kubectl");
    let rule = format!("Many {} {}", OBJECTS - 1, RULES - 1);
    eventually("the alert of the last rule", || fleet.logs(), || fleet.agent.alerts(&rule).pop());
    cluster.kubectl(&["delete", "configmap", &last]).expect("kubectl");
    rest.delete_all(FALCO_RULES).expect("rules to delete");
}

/// The webhook compiles one rule with all that are loaded; without it the same request tells what the rest takes.
fn judge(cluster: &Cluster, fleet: &mut Fleet, rest: &Rest) {
    let path = format!("{FALCO_RULES}?dryRun=All");
    let one = falco_rule("one", &json!({"rules": [rule(OBJECTS, 0)]}));
    let ask = |what: &str| {
        let times = (0..TRIES).map(|_| {
            let start = Instant::now();
            rest.send(Method::POST, &path, &one).expect("an object that is taken");
            start.elapsed().as_millis()
        });
        let mut times: Vec<_> = times.collect();
        times.sort_unstable();
        say(&format!("one rule beside {} {what}: median {} ms", OBJECTS / 2 * RULES, times[TRIES / 2]));
    };
    ask("without the webhook");
    fleet.restart_operator_with_webhook().expect("an operator");
    let mut broken = one.clone();
    broken["spec"]["rules"][0]["condition"] = "ka.verb = create and ka.target.nmae = x".into();
    let refused = || rest.send(Method::POST, &path, &broken).err().map(|e| e.to_string());
    let refusal = eventually("the webhook refuses a broken rule", || fleet.logs(), refused);
    assert!(refusal.contains("ka.target.name"), "{refusal}");
    ask("judged by the webhook");
    // What comes now is judged afterwards.
    fleet.restart_operator(&[]).expect("an operator");
    cluster.kubectl(&["delete", "validatingwebhookconfiguration", "saker-operator"]).expect("a registration");
}

#[test]
fn what_is_too_large_for_one_object_is_refused_with_the_limit() {
    let Some(cluster) = Cluster::find() else { return };
    let rest = Rest::admin(&cluster).expect("a connection");
    let rules = |count: usize, desc: &str| -> Vec<Value> {
        (0..count).map(|i| json!({"rule": format!("Large {i}"), "desc": desc, "priority": "Notice", "output": "o", "condition": "evt.type = open"})).collect()
    };
    let raw = format!("- list: many\n  items: [{}]\n", vec!["item"; 200_000].join(", "));
    for (spec, reason) in [
        (json!({"raw": raw}), "spec.raw: Too long: may not be more than 1000000 bytes"),
        (
            json!({"rules": rules(10_000, "one of ten thousand")}),
            "spec.rules: Too many: 10000: must have at most 1000 items",
        ),
        (json!({"rules": rules(1000, &"d".repeat(1600))}), "etcdserver: request is too large"),
    ] {
        let size = spec.to_string().len();
        assert!(size > 1 << 20, "{size}");
        let refusal =
            rest.send(Method::POST, FALCO_RULES, &falco_rule("too-large", &spec)).expect_err(reason);
        let refusal = refusal.to_string();
        let shown: String = refusal.chars().take(500).collect();
        assert!(refusal.contains(reason), "no '{reason}' in: {shown}");
    }
}
