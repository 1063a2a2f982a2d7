//! Two operators: one writes, the other takes over when the first is frozen, and the first does not come between.

use saker_e2e::{Cluster, Fleet, eventually, within};

/// Longer than a Lease lasts and is looked at.
const TAKEOVER: std::time::Duration = std::time::Duration::from_mins(2);
/// Longer than the first takes to look at the Lease again.
const UNDISTURBED: std::time::Duration = std::time::Duration::from_secs(5);

fn holder(cluster: &Cluster) -> Option<String> {
    let lease = cluster.get(&["-n", "saker-system", "lease", "saker-operator"])?;
    lease["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty()).map(str::to_owned)
}

#[test]
fn the_second_operator_takes_over_from_a_frozen_one() {
    let Some(cluster) = Cluster::find() else { return };
    let mut fleet = Fleet::start(&cluster, &["--disable-source", "syscall"]).expect("a fleet");
    let first = eventually("an operator holds the Lease", || fleet.logs(), || holder(&cluster));
    let _second = fleet.second_operator().expect("an operator");
    fleet.operator.signal("STOP").expect("a frozen operator");
    let taken = within(TAKEOVER, || holder(&cluster).filter(|holder| *holder != first));
    assert!(taken.is_some(), "nobody took over\n{}", fleet.logs());

    let rule =
        include_str!("objects/marker.yaml").replace("NAME", "taken-over").replace("MARKER", "/nowhere");
    cluster.apply(&rule).expect("an object that is taken");
    eventually(
        "the second operator rolls out a rule",
        || fleet.logs(),
        || {
            let status = cluster.get(&["falcorule", "taken-over"])?["status"].clone();
            (status["nodes"]["summary"] == "1/1").then_some(())
        },
    );
    fleet.operator.signal("CONT").expect("an operator that goes on");
    let interference = within(UNDISTURBED, || (holder(&cluster) != taken).then(|| holder(&cluster)));
    assert_eq!(interference, None, "the first waits for its turn\n{}", fleet.logs());
    assert_eq!(fleet.operator.ended(), None, "and stays\n{}", fleet.logs());
    cluster.kubectl(&["delete", "falcorule", "taken-over"]).expect("an object to delete");
}
