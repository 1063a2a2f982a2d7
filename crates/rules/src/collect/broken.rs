//! Lists that were left out. Their names must not become ordinary values: what names one is left out, too.

use rustc_hash::FxHashSet;

use crate::{
    place::Place,
    yaml::{Node, Value},
};

/// Names, each with its owner.
#[derive(Debug, Default)]
pub(crate) struct BrokenLists(FxHashSet<(Option<String>, String)>);

impl BrokenLists {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the owner sees one of this name.
    pub(super) fn has(&self, owner: Option<&str>, name: &str) -> bool {
        let key = |owner: Option<&str>| (owner.map(str::to_owned), name.to_owned());
        self.0.contains(&key(None)) || (owner.is_some() && self.0.contains(&key(owner)))
    }

    /// An item was refused.
    pub(crate) fn add_item(&mut self, item: &Node, file: &Place) {
        if let Some(Value::Scalar(name)) = item.get("list").map(|node| &node.value) {
            self.add(name, file);
        }
    }

    /// A file was not read to its end: its lists are looked for line by line.
    pub(crate) fn add_file(&mut self, file: &Place) {
        for line in file.source().text().lines() {
            let item = line.trim_start().trim_start_matches(['-', '{', ' ']);
            let name = item.strip_prefix("list:").and_then(|rest| rest.split(['#', ',', '}']).next());
            let name = name.unwrap_or_default().trim().trim_matches(['"', '\'']);
            if !name.is_empty() {
                self.add(name, file);
            }
        }
    }

    fn add(&mut self, name: &str, file: &Place) {
        self.0.insert((file.owner().map(str::to_owned), name.to_owned()));
    }
}
