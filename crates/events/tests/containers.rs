//! Which container a process is in: `cases/containers.yaml`.

use proptest::prelude::*;
use saker_events::container::Container;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    cgroups: Vec<String>,
    container: Option<(String, String, String)>,
}

fn check(case: &Case) {
    let cgroups: Vec<u8> = case.cgroups.iter().flat_map(|c| [c.as_bytes(), b"\0"].concat()).collect();
    let found = Container::of(&cgroups);
    let told = found.map(|c| (c.id().to_owned(), c.full_id.clone(), c.engine.name().to_owned()));
    assert_eq!(told, case.container, "{}", case.name);
}

#[test]
fn containers_by_their_cgroups() {
    let cases: Vec<Case> = serde_saphyr::from_str(include_str!("cases/containers.yaml")).expect("the cases");
    cases.iter().for_each(check);
}

proptest! {
    #[test]
    fn any_cgroups_are_read(cgroups in prop::collection::vec(any::<u8>(), 0..300), tail in "(/[a-z0-9é.:-]{0,70}){0,4}") {
        Container::of(&cgroups);
        Container::of(format!("memory={tail}").as_bytes());
    }
}
