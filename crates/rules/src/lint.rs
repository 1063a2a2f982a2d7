//! Warnings that a condition's tree alone gives (specification §1.6): no field has to exist for them.

use std::collections::BTreeSet;

use crate::{
    ast::{Check, Expr, FieldName, Op, Right, Span},
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
            warnings.extend(unsafe_na(check));
            warnings.extend(check.fields().into_iter().filter_map(deprecated));
        }
    }
}

fn unsafe_na(check: &Check) -> Option<TextWarning> {
    let op = matches!(check.op, Op::Eq | Op::EqEq | Op::Ne | Op::In | Op::Intersects | Op::PMatch);
    let na = match &check.right {
        Right::Literal(text) => text == b"<NA>",
        Right::List(texts) | Right::Modified(_, texts) => texts.iter().any(|text| text == b"<NA>"),
        _ => false,
    };
    let plugin = |name: &str| name.starts_with("ka.") || name.starts_with("jevt.");
    let mut fields = check.left.fields().into_iter();
    let FieldName { name, span, .. } = fields.find(|field| op && na && plugin(field.name))?;
    let message = format!("comparing '{name}' with '<NA>' is unsafe: use 'exists'");
    Some(warning(Code::LoadUnsafeNaCheck, message, span, None))
}

fn deprecated(FieldName { name, span, .. }: FieldName) -> Option<TextWarning> {
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
