//! Warnings that a condition's tree alone gives (specification §1.6): no field has to exist for them.

use std::collections::BTreeSet;

use crate::{
    ast::{Check, Expr, Op, Operand, Right, Span, TransformArg},
    diagnostic::{Code, TextWarning},
};

/// Fields that nobody should use any more.
pub(crate) const DEPRECATED_FIELDS: [&str; 6] =
    ["evt.dir", "evt.latency", "evt.latency.s", "evt.latency.ns", "evt.latency.human", "evt.wait_latency"];

/// What is unsafe or deprecated in a condition.
pub fn warnings(tree: &Expr) -> Vec<TextWarning> {
    let mut warnings = Vec::new();
    walk(tree, &mut warnings);
    // Each is told once for a condition, as in Falco.
    let mut told = BTreeSet::new();
    warnings.retain(|warning: &TextWarning| told.insert(warning.message.clone()));
    warnings
}

fn walk(expr: &Expr, warnings: &mut Vec<TextWarning>) {
    match expr {
        Expr::And(exprs) | Expr::Or(exprs) => exprs.iter().for_each(|expr| walk(expr, warnings)),
        Expr::Not(expr) => walk(expr, warnings),
        Expr::Macro(_) => {}
        Expr::Body(body, span) => warnings.extend(body.warnings.iter().map(|w| w.at(span))),
        Expr::Check(check) => {
            let mut read = Vec::new();
            fields(&check.left, &mut read);
            warnings.extend(unsafe_na(check, &read));
            if let Right::Operand(operand) = &check.right {
                fields(operand, &mut read);
            }
            warnings.extend(read.iter().filter_map(|(name, span)| deprecated(name, span)));
        }
    }
}

/// The fields of an operand, those within transformers, too.
fn fields<'e>(operand: &'e Operand, found: &mut Vec<(&'e str, &'e Span)>) {
    match operand {
        Operand::Field { name, span, .. } => found.push((name, span)),
        Operand::Transform { args, .. } => args.iter().for_each(|arg| fields_of_arg(arg, found)),
    }
}

fn fields_of_arg<'e>(arg: &'e TransformArg, found: &mut Vec<(&'e str, &'e Span)>) {
    match arg {
        TransformArg::Operand(operand) => fields(operand, found),
        TransformArg::List(items) => items.iter().for_each(|item| fields_of_arg(item, found)),
        TransformArg::Text(_) | TransformArg::Number(_) => {}
    }
}

fn unsafe_na(check: &Check, read: &[(&str, &Span)]) -> Option<TextWarning> {
    let op = matches!(check.op, Op::Eq | Op::EqEq | Op::Ne | Op::In | Op::Intersects | Op::PMatch);
    let na = match &check.right {
        Right::Literal(text) => text == b"<NA>",
        Right::List(texts) | Right::Modified(_, texts) => texts.iter().any(|text| text == b"<NA>"),
        _ => false,
    };
    let plugin = |name: &str| name.starts_with("ka.") || name.starts_with("jevt.");
    let (name, span) = read.iter().find(|(name, _)| op && na && plugin(name))?;
    let message = format!("comparing '{name}' with '<NA>' is unsafe: use 'exists'");
    Some(warning(Code::LoadUnsafeNaCheck, message, span, None))
}

fn deprecated(name: &str, span: &Span) -> Option<TextWarning> {
    let field = DEPRECATED_FIELDS.into_iter().find(|field| *field == name)?;
    let message = format!("usage of deprecated field '{field}' has been detected in the rule condition");
    Some(warning(Code::LoadDeprecatedItem, message, span, Some(field)))
}

fn warning(code: Code, message: String, span: &Span, deprecated_field: Option<&'static str>) -> TextWarning {
    TextWarning { code, message, offset: span.start, deprecated_field }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{limits::MAX_DEPTH, parse::parse};

    #[test]
    fn trees_alone_tell() {
        for (condition, codes) in [
            ("ka.a = <NA>", &[Code::LoadUnsafeNaCheck][..]),
            ("not jevt.value[/a] in (x, <NA>)", &[Code::LoadUnsafeNaCheck]),
            ("ka.a = anyof (x, <NA>)", &[Code::LoadUnsafeNaCheck]),
            ("proc.name = <NA> or ka.a startswith <NA> or ka.a = NA", &[]),
            ("evt.dir = < and evt.latency.ns > 1", &[Code::LoadDeprecatedItem; 2]),
            ("evt.dir = < or evt.dir = > and evt.dir exists", &[Code::LoadDeprecatedItem]),
            ("some_macro or evt.num = 1", &[]),
            ("tolower(ka.a) = <NA>", &[Code::LoadUnsafeNaCheck]),
            ("join(\",\", (a.b, concat(jevt.a, a.b))) in (<NA>)", &[Code::LoadUnsafeNaCheck]),
            ("tolower(a.b) = <NA> or a.b = tolower(ka.a)", &[]),
            ("toupper(evt.dir) = a or a.b = concat(a.b, evt.latency)", &[Code::LoadDeprecatedItem; 2]),
        ] {
            let found = warnings(&parse(condition, MAX_DEPTH).unwrap());
            assert_eq!(found.iter().map(|w| w.code).collect::<Vec<_>>(), codes, "{condition}");
        }
    }
}
