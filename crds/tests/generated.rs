//! The committed YAML is what the types say.

use std::{env, fs, path::Path};

/// The second copy is there because Helm wants CRDs inside the chart.
const COMMITTED: [&str; 2] = ["generated", "../charts/saker/crds"];

#[test]
fn the_committed_crds_are_what_the_types_say() {
    for (name, wanted) in saker_crds::crd_yaml().expect("CRDs that serialize") {
        for path in COMMITTED.map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(name)) {
            if env::var_os("UPDATE_EXPECT").is_some() {
                fs::write(&path, &wanted).expect("a writable checkout");
            }
            let committed = fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(committed, wanted, "{}: run UPDATE_EXPECT=1 cargo test -p saker-crds", path.display());
        }
    }
}
