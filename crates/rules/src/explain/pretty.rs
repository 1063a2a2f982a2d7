//! A condition on several lines: a member of a group a line where the group does not fit on one.

use std::fmt::{self, Display, Formatter};

use crate::ast::{Check, Expr, Right};

/// Characters of a line, if it can be broken at all.
const WIDTH: usize = 100;

const STEP: usize = 2;

/// The condition, without the brackets around the whole.
pub(super) fn print(tree: &Expr) -> String {
    let tree = flat(tree);
    let mut lines = Lines { text: String::new() };
    match &tree {
        Expr::And(members) => lines.members(members, "and", 0),
        Expr::Or(members) => lines.members(members, "or", 0),
        _ => lines.expr("", &tree, 0),
    }
    lines.text
}

/// The same condition with groups in groups of their kind joined, and groups of one member dissolved.
pub(super) fn flat(tree: &Expr) -> Expr {
    match tree {
        Expr::And(members) => join(members, true),
        Expr::Or(members) => join(members, false),
        Expr::Not(inner) => Expr::Not(Box::new(flat(inner))),
        Expr::Body(body, _) => flat(&body.tree),
        Expr::Macro(_) | Expr::Check(_) => tree.clone(),
    }
}

fn join(members: &[Expr], and: bool) -> Expr {
    let mut joined = Vec::with_capacity(members.len());
    for member in members {
        match flat(member) {
            Expr::And(inner) if and => joined.extend(inner),
            Expr::Or(inner) if !and => joined.extend(inner),
            other => joined.push(other),
        }
    }
    match (joined.pop(), joined.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            joined.extend(last);
            if and { Expr::And(joined) } else { Expr::Or(joined) }
        }
    }
}

struct Lines {
    text: String,
}

impl Lines {
    fn line(&mut self, indent: usize, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&" ".repeat(indent));
        self.text.push_str(text);
    }

    fn members(&mut self, members: &[Expr], word: &str, indent: usize) {
        for (i, member) in members.iter().enumerate() {
            let lead = if i == 0 { String::new() } else { format!("{word} ") };
            self.expr(&lead, member, indent);
        }
    }

    /// `lead` stands before the expression on its first line.
    fn expr(&mut self, lead: &str, expr: &Expr, indent: usize) {
        let whole = format!("{lead}{expr}");
        if indent.saturating_add(whole.chars().count()) <= WIDTH {
            return self.line(indent, &whole);
        }
        match expr {
            Expr::Not(inner) => self.expr(&format!("{lead}not "), inner, indent),
            Expr::And(members) => self.group(lead, members, "and", indent),
            Expr::Or(members) => self.group(lead, members, "or", indent),
            Expr::Check(check) => self.check(lead, check, indent),
            Expr::Body(body, _) => self.expr(lead, &body.tree, indent),
            Expr::Macro(_) => self.line(indent, &whole),
        }
    }

    fn group(&mut self, lead: &str, members: &[Expr], word: &str, indent: usize) {
        self.line(indent, &format!("{lead}("));
        self.members(members, word, indent.saturating_add(STEP));
        self.line(indent, ")");
    }

    /// A comparison with a long list: as many values a line as fit.
    fn check(&mut self, lead: &str, check: &Check, indent: usize) {
        let (modifier, values) = match &check.right {
            Right::List(values) => (String::new(), values),
            Right::Modified(modifier, values) => (format!("{} ", modifier.name()), values),
            _ => return self.line(indent, &format!("{lead}{check}")),
        };
        self.line(indent, &format!("{lead}{} {} {modifier}(", check.left, check.op.name()));
        let inner = indent.saturating_add(STEP);
        let mut row = String::new();
        for (i, value) in values.iter().enumerate() {
            let comma = if i.saturating_add(1) < values.len() { "," } else { "" };
            let value = format!("{}{comma}", Literal(value));
            let width = [inner, row.chars().count(), 1, value.chars().count()].iter().sum::<usize>();
            if !row.is_empty() && width > WIDTH {
                self.line(inner, &std::mem::take(&mut row));
            }
            if !row.is_empty() {
                row.push(' ');
            }
            row.push_str(&value);
        }
        self.line(inner, &row);
        self.line(indent, ")");
    }
}

struct Literal<'a>(&'a [u8]);

impl Display for Literal<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Right::Literal(self.0.to_vec()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{limits::MAX_DEPTH, parse::parse};

    fn check(condition: &str, expected: &str) {
        let tree = parse(condition, MAX_DEPTH).unwrap();
        let printed = print(&tree);
        assert_eq!(printed, expected);
        let again = parse(&printed, MAX_DEPTH).unwrap();
        assert_eq!(flat(&again).to_string(), flat(&tree).to_string(), "it means the same");
    }

    #[test]
    fn groups_are_joined_and_broken() {
        check("(a.b = 1 and (c.d = 2 and e.f = 3))", "a.b = 1\nand c.d = 2\nand e.f = 3");
        check("a.b = 1", "a.b = 1");
        check("not (a.b = 1 or c.d = 2)", "not (a.b = 1 or c.d = 2)");
        let long = "x".repeat(60);
        check(
            &format!("a.b = 1 and not (c.d = {long} or e.f in ({long}, y))"),
            &format!("a.b = 1\nand not (\n  c.d = {long}\n  or e.f in ({long}, y)\n)"),
        );
        check(
            &format!("a.b in ({long}, 'y z', {long})"),
            &format!("a.b in (\n  {long}, \"y z\",\n  {long}\n)"),
        );
    }
}
