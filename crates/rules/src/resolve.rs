//! Macros: their names in a tree give way to their own trees (specification §1.5).

use std::sync::Arc;

use crate::{
    ast::{Body, Expr, Name, Span},
    collect::Names,
    diagnostic::TextError,
    limits::{MAX_DEPTH, MAX_LOAD_NODES, MAX_NODES, NODES_PER_WARNING},
    lint, suggest,
};

/// The macros of a load, in the order of their definition.
#[derive(Debug, Default)]
pub(crate) struct Macros {
    entries: Vec<Entry>,
    names: Names,
}

/// A macro.
#[derive(Debug)]
struct Entry {
    owner: Option<String>,
    /// When it was first defined; those that changed last before that do not see it.
    index: usize,
    tree: Tree,
    used: bool,
}

/// How far a macro has come.
#[derive(Debug)]
enum Tree {
    /// It still has names of other macros in it.
    Parsed(Arc<Expr>),
    Resolved(Arc<Body>),
    /// It is left out.
    Broken,
}

/// A condition without names of macros.
pub(crate) struct Resolved {
    pub(crate) body: Body,
    /// How many of its parts are its own: a macro that is shared counts once.
    pub(crate) own: usize,
}

impl Macros {
    /// Adds a macro as it was parsed; `None` for one that is broken.
    pub(crate) fn push(&mut self, owner: Option<&str>, name: &str, index: usize, tree: Option<Arc<Expr>>) {
        self.names.insert(owner, name, self.entries.len());
        let tree = tree.map_or(Tree::Broken, Tree::Parsed);
        let owner = owner.map(str::to_owned);
        self.entries.push(Entry { owner, index, tree, used: false });
    }

    /// Whether it works but nothing names it.
    pub(crate) fn is_unused(&self, owner: Option<&str>, name: &str) -> bool {
        let entry = self.names.own(owner, name).and_then(|i| self.entries.get(i));
        entry.is_some_and(|entry| !entry.used && !matches!(entry.tree, Tree::Broken))
    }

    /// Puts another tree in the place of a macro's; `None` if there is none that works.
    pub(crate) fn set(&mut self, owner: Option<&str>, name: &str, body: Option<Arc<Body>>) {
        if let Some(entry) = self.names.own(owner, name).and_then(|i| self.entries.get_mut(i)) {
            entry.tree = body.map_or(Tree::Broken, Tree::Resolved);
        }
    }

    /// Replaces the names of the macros that were defined before `visibility` and that `owner` sees; `left` is how many
    /// parts of its own the condition may have.
    pub(crate) fn resolve(
        &mut self,
        tree: &Expr,
        owner: Option<&str>,
        visibility: usize,
        left: usize,
    ) -> Result<Resolved, TextError> {
        let (path, used) = (Vec::new(), Vec::new());
        let mut walk =
            Walk { macros: self, owner, visibility, path, used, nodes: 0, own: 0, left, deepest: 0 };
        let tree = walk.expr(tree, 0, None)?;
        let Walk { used, nodes, own, deepest, .. } = walk;
        for i in used {
            if let Some(entry) = self.entries.get_mut(i) {
                entry.used = true;
            }
        }
        Ok(Resolved { body: body("", tree, nodes, deepest), own })
    }
}

fn body(name: &str, tree: Expr, nodes: usize, depth: usize) -> Body {
    let warnings = lint::warnings(&tree);
    Body { name: name.to_owned(), tree, nodes, depth, warnings }
}

struct Walk<'a> {
    macros: &'a Macros,
    /// Who wrote the text at hand.
    owner: Option<&'a str>,
    visibility: usize,
    /// The macros that are being replaced, outermost first.
    path: Vec<usize>,
    used: Vec<usize>,
    nodes: usize,
    own: usize,
    left: usize,
    deepest: usize,
}

impl Walk<'_> {
    /// `outer` is where the outermost macro stands in the text at hand.
    fn expr(&mut self, expr: &Expr, depth: usize, outer: Option<&Span>) -> Result<Expr, TextError> {
        self.count(1, 1, depth, outer)?;
        let depth = depth.saturating_add(1);
        let mut all = |exprs: &[Expr]| -> Result<Vec<_>, _> {
            exprs.iter().map(|e| self.expr(e, depth, outer)).collect()
        };
        Ok(match expr {
            Expr::And(exprs) => Expr::And(all(exprs)?),
            Expr::Or(exprs) => Expr::Or(all(exprs)?),
            Expr::Not(expr) => Expr::Not(Box::new(self.expr(expr, depth, outer)?)),
            Expr::Check(_) | Expr::Body(..) => expr.clone(),
            Expr::Macro(name) => {
                let body = self.body(name, depth, outer.unwrap_or(&name.span))?;
                Expr::Body(body, name.span.clone())
            }
        })
    }

    /// Takes note of so many parts, `own` of them not shared, the deepest at this level.
    fn count(
        &mut self,
        nodes: usize,
        own: usize,
        depth: usize,
        outer: Option<&Span>,
    ) -> Result<(), TextError> {
        self.nodes = self.nodes.saturating_add(nodes);
        self.deepest = self.deepest.max(depth);
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err(too_large(outer));
        }
        self.own = self.own.saturating_add(own);
        if self.own > self.left { Err(load_too_large(outer)) } else { Ok(()) }
    }

    fn body(&mut self, name: &Name, depth: usize, outer: &Span) -> Result<Arc<Body>, TextError> {
        let macros = self.macros;
        let found =
            macros.names.visible(self.owner, &name.text).and_then(|i| Some((i, macros.entries.get(i)?)));
        let Some((i, entry)) = found.filter(|(_, entry)| entry.index < self.visibility) else {
            return Err(self.undefined(name, outer));
        };
        if self.path.contains(&i) {
            let message = format!("reference loop in macro '{}'", name.text);
            let help = "a macro cannot be part of itself".to_owned();
            return Err(TextError::new(message, outer.start).help(help));
        }
        self.used.push(i);
        match &entry.tree {
            Tree::Broken => Err(self.undefined(name, outer)),
            Tree::Resolved(body) => {
                let deepest = depth.saturating_add(body.depth);
                let warnings = body.warnings.len().saturating_mul(NODES_PER_WARNING);
                self.count(body.nodes, warnings, deepest, Some(outer))?;
                Ok(Arc::clone(body))
            }
            Tree::Parsed(tree) => {
                self.path.push(i);
                let (nodes, deepest) = (self.nodes, std::mem::replace(&mut self.deepest, depth));
                let reader = std::mem::replace(&mut self.owner, entry.owner.as_deref());
                let tree = self.expr(tree, depth, Some(outer))?;
                self.owner = reader;
                let (nodes, levels) = (self.nodes.saturating_sub(nodes), self.deepest.saturating_sub(depth));
                let body = body(&name.text, tree, nodes, levels);
                self.deepest = self.deepest.max(deepest);
                self.path.pop();
                Ok(Arc::new(body))
            }
        }
    }

    fn undefined(&self, name: &Name, outer: &Span) -> TextError {
        let message = format!("Undefined macro '{}' used in filter.", name.text);
        let known =
            self.macros.names.visible(self.owner, &name.text).and_then(|i| self.macros.entries.get(i));
        let help = match known {
            Some(entry) if matches!(entry.tree, Tree::Broken) => {
                "the macro is left out because of its own error".to_owned()
            }
            Some(_) => "the macro is defined later: move it up".to_owned(),
            None => suggest::did_you_mean(&name.text, self.macros.names.all(self.owner).into_iter()),
        };
        TextError::new(message, outer.start).help(help)
    }
}

/// All conditions of a load, or of a file's share of it, are too much.
pub(crate) fn load_too_large(outer: Option<&Span>) -> TextError {
    let message = format!("with its macros all rules together have more than {MAX_LOAD_NODES} checks");
    TextError::new(message, outer.map_or(0, |span| span.start)).help("use lists".to_owned())
}

fn too_large(outer: Option<&Span>) -> TextError {
    let message =
        format!("with its macros the condition has more than {MAX_NODES} checks or {MAX_DEPTH} levels");
    TextError::new(message, outer.map_or(0, |span| span.start)).help("use lists".to_owned())
}
