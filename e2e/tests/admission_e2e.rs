//! `kubectl apply` of a FalcoRule that would not load is refused on the spot, with the place of the mistake.

use saker_e2e::{Cluster, Fleet, eventually};

/// A FalcoRule with one rule.
fn falco_rule(name: &str, condition: &str) -> String {
    include_str!("objects/admission.yaml").replace("NAME", name).replace("CONDITION", condition)
}

#[test]
fn kubectl_apply_is_answered_by_the_compiler() {
    let Some(cluster) = Cluster::find() else { return };
    let mut fleet = Fleet::start(&cluster, &["--disable-source", "syscall"]).expect("a fleet");
    fleet.restart_operator_with_webhook().expect("an operator");
    let broken = falco_rule("refused", "evt.type = open and proc.nmae = cat");
    let refusal = eventually(
        "the webhook refuses a broken rule",
        || fleet.logs(),
        || cluster.dry_run(&broken).err().map(|e| format!("{e:#}")),
    );
    for part in ["denied the request", "rule 'Admission refused'", "line", "column", "proc.name"] {
        assert!(refusal.contains(part), "no '{part}' in: {refusal}");
    }
    cluster.apply(&broken).expect_err("an object that is refused");
    assert_eq!(cluster.get(&["falcorule", "refused"]), None);
    let sound = falco_rule("sound", "evt.type = open and proc.name = cat");
    cluster.apply(&sound).expect("an object that is taken");

    fleet.operator.stop().expect("an operator that ends");
    cluster.apply(&broken).expect("without the operator, kubectl works as before");
    cluster.kubectl(&["delete", "falcorules", "refused", "sound"]).expect("objects to delete");
}
