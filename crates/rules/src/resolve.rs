//! Macros: their names in a tree give way to their own trees (specification §1.5).

use rustc_hash::FxHashMap;

use crate::{
    ast::{Check, Expr, Name, Operand, Right, Span, TransformArg},
    diagnostic::TextError,
    limits::{MAX_DEPTH, MAX_LOAD_NODES, MAX_NODES},
    suggest,
};

/// The macros of a load, in the order of their definition.
#[derive(Debug, Default)]
pub(crate) struct Macros {
    entries: Vec<Body>,
    by_name: FxHashMap<String, usize>,
}

/// A macro as a tree.
#[derive(Debug)]
struct Body {
    name: String,
    /// When it was first defined; those that changed last before that do not see it.
    index: usize,
    /// `None` if it is broken and left out.
    tree: Option<Expr>,
    used: bool,
}

impl Macros {
    /// Adds a macro.
    pub(crate) fn push(&mut self, name: &str, index: usize, tree: Option<Expr>) {
        self.by_name.insert(name.to_owned(), self.entries.len());
        self.entries.push(Body { name: name.to_owned(), index, tree, used: false });
    }

    /// Whether it works but nothing names it.
    pub(crate) fn is_unused(&self, name: &str) -> bool {
        let body = self.by_name.get(name).and_then(|i| self.entries.get(*i));
        body.is_some_and(|body| !body.used && body.tree.is_some())
    }

    /// Puts another tree in the place of a macro's.
    pub(crate) fn set_tree(&mut self, name: &str, tree: Option<Expr>) {
        if let Some(body) = self.by_name.get(name).and_then(|i| self.entries.get_mut(*i)) {
            body.tree = tree;
        }
    }

    /// Replaces the names of the macros that were defined before `visibility`; `left` is how many parts the
    /// load may still have. Gives the number of parts too.
    pub(crate) fn resolve(
        &mut self,
        tree: &Expr,
        visibility: usize,
        left: usize,
    ) -> Result<(Expr, usize), TextError> {
        let mut walk = Walk { macros: self, visibility, path: Vec::new(), used: Vec::new(), nodes: 0, left };
        let resolved = walk.expr(tree, 0, None)?;
        let Walk { used, nodes, .. } = walk;
        for i in used {
            if let Some(body) = self.entries.get_mut(i) {
                body.used = true;
            }
        }
        Ok((resolved, nodes))
    }
}

struct Walk<'a> {
    macros: &'a Macros,
    visibility: usize,
    /// The macros that are being replaced, outermost first.
    path: Vec<usize>,
    used: Vec<usize>,
    nodes: usize,
    left: usize,
}

impl Walk<'_> {
    /// `outer` is where the outermost macro stands in the text at hand.
    fn expr(&mut self, expr: &Expr, depth: usize, outer: Option<&Span>) -> Result<Expr, TextError> {
        self.nodes = self.nodes.saturating_add(1);
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err(too_large(outer));
        }
        if self.nodes > self.left {
            return Err(load_too_large(outer));
        }
        let depth = depth.saturating_add(1);
        let mut all = |exprs: &[Expr]| -> Result<Vec<_>, _> {
            exprs.iter().map(|e| self.expr(e, depth, outer)).collect()
        };
        Ok(match expr {
            Expr::And(exprs) => Expr::And(all(exprs)?),
            Expr::Or(exprs) => Expr::Or(all(exprs)?),
            Expr::Not(expr) => Expr::Not(Box::new(self.expr(expr, depth, outer)?)),
            Expr::Check(check) => Expr::Check(outer.map_or_else(|| check.clone(), |at| moved(check, at))),
            Expr::Macro(name) => self.body(name, depth, outer.unwrap_or(&name.span))?,
        })
    }

    fn body(&mut self, name: &Name, depth: usize, outer: &Span) -> Result<Expr, TextError> {
        let macros = self.macros;
        let found = macros.by_name.get(&name.text).and_then(|i| Some((*i, macros.entries.get(*i)?)));
        let visible = found.filter(|(_, body)| body.index < self.visibility);
        let Some((i, tree)) = visible.and_then(|(i, body)| Some((i, body.tree.as_ref()?))) else {
            return Err(self.undefined(name, outer));
        };
        if self.path.contains(&i) {
            let message = format!("reference loop in macro '{}'", name.text);
            return Err(TextError { message, offset: outer.start, help: String::new() });
        }
        self.path.push(i);
        self.used.push(i);
        let resolved = self.expr(tree, depth, Some(outer))?;
        self.path.pop();
        Ok(resolved)
    }

    fn undefined(&self, name: &Name, outer: &Span) -> TextError {
        let message = format!("Undefined macro '{}' used in filter.", name.text);
        let known = self.macros.entries.iter().find(|body| body.name == name.text);
        let help = match known {
            Some(body) if body.tree.is_none() => "the macro is left out because of its own error".to_owned(),
            Some(_) => "the macro is defined later: move it up".to_owned(),
            None => {
                suggest::did_you_mean(&name.text, self.macros.entries.iter().map(|body| body.name.as_str()))
            }
        };
        TextError { message, offset: outer.start, help }
    }
}

/// A check from a macro's text, as if it stood where the macro's name does.
fn moved(check: &Check, at: &Span) -> Check {
    let mut check = Check { span: at.clone(), ..check.clone() };
    move_operand(&mut check.left, at);
    match &mut check.right {
        Right::Operand(operand) => move_operand(operand, at),
        Right::ListName(name) | Right::ModifiedName(_, name) => name.span = at.clone(),
        Right::None | Right::Literal(_) | Right::List(_) | Right::Modified(..) => {}
    }
    check
}

fn move_operand(operand: &mut Operand, at: &Span) {
    match operand {
        Operand::Field { span, .. } => *span = at.clone(),
        Operand::Transform { args, span, .. } => {
            *span = at.clone();
            for arg in args {
                move_argument(arg, at);
            }
        }
    }
}

fn move_argument(arg: &mut TransformArg, at: &Span) {
    match arg {
        TransformArg::Operand(operand) => move_operand(operand, at),
        TransformArg::List(args) => args.iter_mut().for_each(|arg| move_argument(arg, at)),
        TransformArg::Text(_) | TransformArg::Number(_) => {}
    }
}

fn load_too_large(outer: Option<&Span>) -> TextError {
    let message = format!("with its macros all rules together have more than {MAX_LOAD_NODES} checks");
    TextError { message, offset: outer.map_or(0, |span| span.start), help: "use lists".to_owned() }
}

fn too_large(outer: Option<&Span>) -> TextError {
    let message =
        format!("with its macros the condition has more than {MAX_NODES} checks or {MAX_DEPTH} levels");
    TextError { message, offset: outer.map_or(0, |span| span.start), help: "use lists".to_owned() }
}
