//! `pmatch`: is one of many paths a prefix of the value, component by component.

use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};

use crate::ops::glob::Glob;

/// The paths as a tree of components.
#[derive(Debug, Clone, Default)]
pub(crate) struct PathTrie {
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, Default)]
struct Node {
    /// A path ends here.
    ends: bool,
    names: FxHashMap<Vec<u8>, usize>,
    /// Components with `?`, `*` or `[`.
    globs: Vec<(Vec<u8>, Glob, usize)>,
}

impl PathTrie {
    pub(crate) fn new<'a>(paths: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut trie = Self { nodes: vec![Node::default()] };
        for path in paths {
            let end = components(path).fold(0, |node, component| trie.child(node, component));
            if let Some(node) = trie.nodes.get_mut(end) {
                node.ends = true;
            }
        }
        trie
    }

    fn child(&mut self, parent: usize, component: &[u8]) -> usize {
        let new = self.nodes.len();
        let Some(node) = self.nodes.get_mut(parent) else { return parent };
        let known = node.names.get(component).copied();
        let known = known.or_else(|| node.globs.iter().find(|g| g.0 == component).map(|g| g.2));
        if let Some(child) = known {
            return child;
        }
        if component.iter().any(|b| matches!(b, b'?' | b'*' | b'[')) {
            node.globs.push((component.to_vec(), Glob::new(component, false), new));
        } else {
            node.names.insert(component.to_vec(), new);
        }
        self.nodes.push(Node::default());
        new
    }

    /// Follows every path that still fits; a node is visited once for each component at most.
    pub(crate) fn matches(&self, value: &[u8]) -> bool {
        let mut current: SmallVec<[usize; 8]> = smallvec![0];
        let mut rest = components(value);
        loop {
            let nodes = || current.iter().filter_map(|n| self.nodes.get(*n));
            if nodes().any(|n| n.ends) {
                return true;
            }
            let Some(component) = rest.next() else { return false };
            let next = nodes().flat_map(|n| n.children(component)).collect();
            current = next;
            if current.is_empty() {
                return false;
            }
        }
    }
}

impl Node {
    fn children<'a>(&'a self, component: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        let globs = self.globs.iter().filter(|g| g.1.matches(component)).map(|g| g.2);
        self.names.get(component).copied().into_iter().chain(globs)
    }
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|b| *b == b'/').filter(|c| !c.is_empty())
}
