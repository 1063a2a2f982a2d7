//! Exceptions of rules: what they may say, and the text they become (specification §1.4).

use crate::{
    ast::{Modifier, Op},
    collect::Rule,
    compile::Condition,
    diagnostic::Diagnostic,
    document::{
        Decoded,
        exceptions::{Entry, Exception},
    },
    expand::{Written, quote},
    limits::MAX_DEPTH,
    parse::parse,
    schema::{Schema, SourceId},
    suggest,
};

/// Checks an exception that is new to its rule, and fills in the operators that were left out. Fields of
/// an unknown source cannot be checked.
pub(crate) fn check(exception: &mut Exception, source: Option<SourceId>, schema: &Schema) -> Decoded<()> {
    if !exception.fields.is_given() {
        let message = "Rule exception item must have fields property with a list of fields";
        return Err(exception.place.refuse(message));
    }
    match &exception.fields {
        Entry::Many(fields) => {
            if !exception.comps.is_given() {
                exception.comps = Entry::Many(vec![Entry::One("=".to_owned()); fields.len()]);
            }
            check_lists(exception, fields)?;
        }
        Entry::One(_) => {
            if !exception.comps.is_given() {
                exception.comps = Entry::One("in".to_owned());
            }
            check_single(exception)?;
        }
    }
    source.map_or(Ok(()), |source| check_fields(exception, source, schema))
}

/// Checks an exception that is added to a rule with the given ones.
pub(crate) fn check_append(
    exception: &mut Exception,
    previous: &[Exception],
    source: Option<SourceId>,
    schema: &Schema,
) -> Decoded<()> {
    let known = previous.iter().any(|e| e.name == exception.name);
    let message = match (known, exception.fields.is_given(), exception.comps.is_given()) {
        (true, true, _) => "Can not append exception fields to existing exception, only values",
        (true, _, true) => "Can not append exception comps to existing exception, only values",
        (true, ..) => return Ok(()),
        (false, false, _) => "Rule exception must have fields property with a list of fields",
        (false, ..) if exception.values.is_empty() => {
            "Rule exception must have values property with a list of values"
        }
        (false, ..) => return check(exception, source, schema),
    };
    let mut error = exception.place.refuse(message);
    error.help = suggest::did_you_mean(&exception.name, previous.iter().map(|e| &*e.name));
    Err(error)
}

fn check_lists(exception: &Exception, fields: &[Entry]) -> Decoded<()> {
    let comps = exception.comps.entries();
    if fields.len() != comps.len() {
        return Err(exception.place.refuse("Fields and comps lists must have equal length"));
    }
    match comps.iter().find(|comp| !is_operator(comp.text())) {
        Some(comp) => Err(unsupported_operator(exception, comp)),
        None => Ok(()),
    }
}

fn check_single(exception: &Exception) -> Decoded<()> {
    let Entry::One(comp) = &exception.comps else {
        return Err(exception.place.refuse("Fields and comps must both be strings"));
    };
    if takes_list(comp) {
        return Ok(());
    }
    let message = "When fields is a single value, comps must be one of (in, pmatch, intersects)";
    Err(exception.place.refuse(message))
}

fn unsupported_operator(exception: &Exception, comp: &Entry) -> Diagnostic {
    let message = format!("'{}' is not a supported comparison operator", comp.text());
    let mut error = exception.place.refuse(message);
    let (operator, modifier) = comp.text().split_once(' ').unwrap_or((comp.text(), ""));
    let all = Op::ALL.map(Op::name);
    error.help = match suggest::nearest(operator, all.into_iter()) {
        Some(near) => format!("did you mean '{}'?", format!("{near} {modifier}").trim_end()),
        None => format!("the operators are {}", all.join(" ")),
    };
    error
}

fn check_fields(exception: &Exception, source: SourceId, schema: &Schema) -> Decoded<()> {
    let fields = match &exception.fields {
        Entry::One(_) => std::slice::from_ref(&exception.fields),
        Entry::Many(fields) => fields,
    };
    for field in fields.iter().map(Entry::text) {
        let compiled = parse(&format!("{field} exists"), MAX_DEPTH)
            .and_then(|check| Condition::compile(&check, schema, source));
        if let Err(reason) = compiled {
            let message = format!("'{field}' is not a supported filter field");
            let mut error = exception.place.refuse(message);
            error.help = reason.help;
            return Err(error);
        }
    }
    Ok(())
}

fn operator(name: &str) -> Option<Op> {
    Op::ALL.into_iter().find(|op| op.name() == name)
}

fn is_operator(text: &str) -> bool {
    operator(text.trim()).is_some() || takes_list(text)
}

/// Whether the right side is a list: `in`, `contains anyof`.
fn takes_list(text: &str) -> bool {
    let words: Vec<_> = text.split_ascii_whitespace().collect();
    let (name, modifier) = match words.as_slice() {
        [name] => (name, None),
        [name, modifier] => (name, Some(modifier)),
        _ => return false,
    };
    match (operator(name), modifier) {
        (Some(op), None) => op.takes_list(),
        (Some(op), Some(modifier)) => {
            let modifies = Modifier::ALL.into_iter().any(|m| m.name() == *modifier);
            modifies && !op.takes_list() && !op.is_order() && op != Op::Exists
        }
        (None, _) => false,
    }
}

/// The condition of a rule with its exceptions written out.
pub(crate) fn expand(rule: &Rule) -> Decoded<Written> {
    if rule.exceptions.is_empty() {
        return Ok(rule.condition.clone());
    }
    let mut condition = rule.condition.clone().in_parentheses();
    for exception in &rule.exceptions {
        let text = match &exception.fields {
            Entry::One(field) => single(exception, field)?,
            Entry::Many(fields) => rows(exception, fields)?,
        };
        if !text.is_empty() {
            condition.push(&format!(" and not {text}"), &exception.place);
        }
    }
    Ok(condition)
}

/// `(field in (a, b))`.
fn single(exception: &Exception, field: &str) -> Decoded<String> {
    if exception.values.is_empty() {
        return Ok(String::new());
    }
    let mut values = Vec::with_capacity(exception.values.len());
    for value in &exception.values {
        let Entry::One(value) = value else {
            return Err(exception.place.refuse("Expected values array to contain a list of strings"));
        };
        values.push(quote(value));
    }
    Ok(format!("({field} {} ({}))", exception.comps.text(), values.join(", ")))
}

/// `((field = a and other in (b)) or (…))`.
fn rows(exception: &Exception, fields: &[Entry]) -> Decoded<String> {
    if exception.values.is_empty() {
        return Ok(String::new());
    }
    let mut rows = Vec::with_capacity(exception.values.len());
    for row in &exception.values {
        let values = row.entries();
        if values.len() != fields.len() {
            return Err(exception.place.refuse("Fields and values lists must have equal length"));
        }
        let checks = fields.iter().zip(exception.comps.entries()).zip(values);
        let checks = checks.map(|((field, comp), value)| {
            format!("{} {} {}", field.text(), comp.text(), right_side(comp.text(), value))
        });
        rows.push(format!("({})", checks.collect::<Vec<_>>().join(" and ")));
    }
    Ok(format!("({})", rows.join(" or ")))
}

fn right_side(comp: &str, value: &Entry) -> String {
    match value {
        Entry::Many(values) => {
            let values: Vec<_> = values.iter().map(|value| quote(value.text())).collect();
            format!("({})", values.join(", "))
        }
        Entry::One(value) if !takes_list(comp) => quote(value).into_owned(),
        Entry::One(value) if value.starts_with('(') => value.clone(),
        Entry::One(value) => format!("({value})"),
    }
}
