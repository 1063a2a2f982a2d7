//! Names of addresses: those that rules compare with, as far as their addresses were found out.

use std::{net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use rustc_hash::FxHashMap;
use saker_rules::{spare, value::Value};

/// The names of each address.
pub type ByAddress = FxHashMap<IpAddr, Vec<Arc<str>>>;

/// What is known now; clones share it. The default is of nobody who looks names up: then no address has any.
#[derive(Debug, Clone, Default)]
pub struct HostNames(Option<Arc<ArcSwap<ByAddress>>>);

impl HostNames {
    /// For somebody who looks names up and has found none yet.
    pub fn looked_up() -> Self {
        Self(Some(Arc::default()))
    }

    /// Replaces what is known, while events are evaluated. Addresses are [canonical](IpAddr::to_canonical).
    pub fn swap(&self, names: ByAddress) {
        if let Some(shared) = &self.0 {
            shared.store(Arc::new(names));
        }
    }

    /// The names of an address, which may be none; absent if nobody looks them up.
    pub(crate) fn of<'a>(&self, address: IpAddr) -> Option<Value<'a>> {
        let known = self.0.as_ref()?.load();
        let names = known.get(&address.to_canonical()).map(Vec::as_slice).unwrap_or_default();
        let mut list = spare::list();
        list.extend(names.iter().map(|name| Value::owned(name.as_bytes())));
        Some(Value::List(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_now() {
        let names = |host_names: &HostNames, address: &str| host_names.of(address.parse().unwrap());
        let list =
            |names: &[&'static str]| Some(Value::List(names.iter().map(|n| Value::text(*n)).collect()));
        assert_eq!(names(&HostNames::default(), "10.0.0.1"), None);
        let (host_names, shared) = (HostNames::looked_up(), HostNames::looked_up());
        assert_eq!(names(&host_names, "10.0.0.1"), list(&[]));
        let clone = host_names.clone();
        host_names.swap([("10.0.0.1".parse().unwrap(), vec!["a".into(), "b".into()])].into_iter().collect());
        for address in ["10.0.0.1", "::ffff:10.0.0.1"] {
            assert_eq!(names(&clone, address), list(&["a", "b"]), "{address}");
        }
        assert_eq!(names(&clone, "10.0.0.2"), list(&[]));
        assert_eq!(names(&shared, "10.0.0.1"), list(&[]), "of somebody else");
    }
}
