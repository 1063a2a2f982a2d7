//! Which namespaces speak for the whole fleet, and what the others are confined to.

use std::collections::BTreeSet;

use saker_crds::Scope;

/// The namespaces whose objects may have scope Cluster.
#[derive(Debug, Clone, Default)]
pub struct Tenancy {
    /// Empty stands for all.
    fleet: BTreeSet<String>,
}

impl Tenancy {
    /// These namespaces alone, or all if there are none.
    pub fn new(fleet_namespaces: Vec<String>) -> Self {
        Self { fleet: fleet_namespaces.into_iter().collect() }
    }

    /// Whether the objects of a namespace may be about itself only.
    pub fn confines(&self, namespace: &str) -> bool {
        !self.fleet.is_empty() && !self.fleet.contains(namespace)
    }

    /// The scope that an object of a namespace gets.
    pub fn scope(&self, namespace: &str, asked: Scope) -> Scope {
        if self.confines(namespace) { Scope::Namespace } else { asked }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_namespaces_than_the_fleets_are_confined() {
        let all = Tenancy::default();
        assert_eq!(all.scope("any", Scope::Cluster), Scope::Cluster);
        assert_eq!(all.scope("any", Scope::Namespace), Scope::Namespace);
        let one = Tenancy::new(vec!["security".to_owned()]);
        assert_eq!(one.scope("security", Scope::Cluster), Scope::Cluster);
        assert_eq!(one.scope("security", Scope::Namespace), Scope::Namespace);
        assert_eq!(one.scope("team", Scope::Cluster), Scope::Namespace);
    }
}
