//! Everything that is loaded as JSON, in the shape of Falco's `-L`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    ast::{Check, Expr, Operand, Right, TransformArg},
    document::exceptions::Entry,
    event_types::{self, EventTypeSet},
    limits::MAX_DEPTH,
    load::{Catalog, CompiledList, CompiledMacro, CompiledRule, Loaded},
    parse::parse,
    requirements::{PluginRequirement, dotted},
    schema::Schema,
};

/// Lists, macros, rules and requirements. Rules of a source that nobody provides are not among them.
pub fn describe(loaded: &Loaded) -> Value {
    let (catalog, schema) = (&loaded.catalog, &*loaded.schema);
    let names = Names::of(catalog);
    let rules = catalog.rules.iter().map(|rule| rule_json(rule, &names, schema));
    let macros = catalog.macros.iter().map(|object| macro_json(object, &names, schema));
    json!({
        "required_engine_version": dotted(catalog.required_engine),
        "required_plugin_versions": catalog.required_plugins.iter().map(plugin_json).collect::<Vec<_>>(),
        "rules": rules.collect::<Vec<_>>(),
        "macros": macros.collect::<Vec<_>>(),
        "lists": catalog.lists.iter().map(|list| list_json(list, &names)).collect::<Vec<_>>(),
    })
}

/// The description of one rule, if it is loaded.
pub fn describe_rule(loaded: &Loaded, name: &str) -> Option<Value> {
    let rule = loaded.catalog.rules.iter().find(|rule| rule.rule.name == name)?;
    Some(rule_json(rule, &Names::of(&loaded.catalog), &loaded.schema))
}

/// Names of what a condition may refer to.
struct Names<'a> {
    macros: BTreeSet<&'a str>,
    lists: BTreeSet<&'a str>,
}

impl<'a> Names<'a> {
    fn of(catalog: &'a Catalog) -> Self {
        let macros = catalog.macros.iter().map(|object| object.name.as_str()).collect();
        Self { macros, lists: catalog.lists.iter().map(|list| list.name.as_str()).collect() }
    }
}

fn plugin_json(requirement: &PluginRequirement) -> Value {
    let named = |(name, version): &(String, String)| json!({ "name": name, "version": version });
    let mut value = requirement.alternatives.first().map_or(json!({}), named);
    let others: Vec<_> = requirement.alternatives.iter().skip(1).map(named).collect();
    if let Some(object) = value.as_object_mut() {
        object.insert("alternatives".to_owned(), json!(others));
    }
    value
}

fn list_json(list: &CompiledList, names: &Names<'_>) -> Value {
    // The name of a list that comes later is a value like any other.
    let replaced = |item: &&String| names.lists.contains(item.as_str()) && !list.items.contains(item);
    let (lists, items): (Vec<_>, Vec<_>) = list.raw.iter().partition(replaced);
    json!({
        "info": { "name": list.name, "items": items },
        "details": { "lists": lists, "items_compiled": list.items },
    })
}

fn macro_json(object: &CompiledMacro, names: &Names<'_>, schema: &Schema) -> Value {
    let written = Mentions::of_text(&object.condition, names);
    let compiled = Mentions::of(&object.body.tree, names);
    json!({
        "info": { "name": object.name, "condition": object.condition },
        "details": {
            "macros": written.macros,
            "lists": written.lists,
            "condition_operators": compiled.operators,
            "condition_fields": compiled.fields,
            "events": events(&event_types::of(&object.body.tree, schema), schema),
            "condition_compiled": format!("{:#}", object.body.tree),
        },
    })
}

fn rule_json(compiled: &CompiledRule, names: &Names<'_>, schema: &Schema) -> Value {
    let rule = &compiled.rule;
    json!({
        "info": {
            "name": rule.name,
            "condition": rule.condition.text,
            "output": rule.output.text,
            "description": rule.desc,
            "priority": rule.priority.name(),
            "enabled": rule.enabled,
            "source": rule.source,
            "tags": rule.tags,
            "capture": rule.capture.enabled,
            "capture_duration": rule.capture.duration,
        },
        "details": rule_details(compiled, names, schema),
    })
}

fn rule_details(compiled: &CompiledRule, names: &Names<'_>, schema: &Schema) -> Value {
    let rule = &compiled.rule;
    let written = Mentions::of_text(&rule.condition.text, names);
    let mentions = Mentions::of(&compiled.tree, names);
    let with_values = rule.exceptions.iter().filter(|exception| !exception.values.is_empty());
    let texts = |entry: &Entry| match entry {
        Entry::One(text) => vec![text.clone()],
        Entry::Many(entries) => entries.iter().map(|e| e.text().to_owned()).collect(),
    };
    let fields: BTreeSet<_> = with_values.flat_map(|exception| texts(&exception.fields)).collect();
    let operators: BTreeSet<_> = rule.exceptions.iter().flat_map(|e| texts(&e.comps)).collect();
    let typed = schema.sources().get(usize::from(compiled.source.0)).is_some_and(|source| source.typed);
    let mut details = json!({
        "macros": written.macros,
        "lists": written.lists,
        "condition_operators": mentions.operators,
        "condition_fields": mentions.fields,
        "output_fields": compiled.template.fields().map(|field| &field.key).collect::<Vec<_>>(),
        "exception_names": rule.exceptions.iter().map(|e| &e.name).collect::<BTreeSet<_>>(),
        "exception_fields": fields,
        "exception_operators": operators,
        "condition_compiled": format!("{:#}", compiled.tree),
        "output_compiled": compiled.output,
    });
    if let Some(object) = details.as_object_mut().filter(|_| typed) {
        object.insert("events".to_owned(), json!(events(compiled.condition.event_types(), schema)));
    }
    details
}

fn events(types: &EventTypeSet, schema: &Schema) -> Vec<&'static str> {
    let names = types.iter().filter_map(|id| schema.event_types().get(usize::from(id.0)));
    names.map(|event| event.name).collect()
}

/// What a condition mentions, sorted.
struct Mentions<'a> {
    names: &'a Names<'a>,
    macros: BTreeSet<String>,
    lists: BTreeSet<String>,
    fields: BTreeSet<String>,
    operators: BTreeSet<&'static str>,
}

impl<'a> Mentions<'a> {
    fn of(tree: &Expr, names: &'a Names<'a>) -> Self {
        let mut mentions = Self::none(names);
        mentions.expr(tree);
        mentions
    }

    /// Of a condition as written: nothing if it makes sense only with its lists filled in.
    fn of_text(text: &str, names: &'a Names<'a>) -> Self {
        parse(text, MAX_DEPTH).map_or_else(|_| Self::none(names), |tree| Self::of(&tree, names))
    }

    fn none(names: &'a Names<'a>) -> Self {
        let (macros, lists) = (BTreeSet::new(), BTreeSet::new());
        Self { names, macros, lists, fields: BTreeSet::new(), operators: BTreeSet::new() }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::And(exprs) | Expr::Or(exprs) => exprs.iter().for_each(|expr| self.expr(expr)),
            Expr::Not(expr) => self.expr(expr),
            Expr::Macro(name) if self.names.macros.contains(name.text.as_str()) => {
                self.macros.insert(name.text.clone());
            }
            Expr::Macro(_) => {}
            Expr::Body(body, _) => self.expr(&body.tree),
            Expr::Check(check) => self.check(check),
        }
    }

    fn check(&mut self, check: &Check) {
        self.operand(&check.left);
        self.operators.insert(check.op.name());
        match &check.right {
            Right::Operand(operand) => self.operand(operand),
            Right::ListName(name) | Right::ModifiedName(_, name) => self.value(name.text.as_bytes()),
            Right::List(values) | Right::Modified(_, values) => values.iter().for_each(|v| self.value(v)),
            Right::Literal(value) => self.value(value),
            Right::None => {}
        }
    }

    fn value(&mut self, value: &[u8]) {
        let name = std::str::from_utf8(value).ok().filter(|name| self.names.lists.contains(name));
        self.lists.extend(name.map(str::to_owned));
    }

    fn operand(&mut self, operand: &Operand) {
        match operand {
            Operand::Field { name, arg: None, .. } => drop(self.fields.insert(name.clone())),
            Operand::Field { name, arg: Some(arg), .. } => drop(self.fields.insert(format!("{name}[{arg}]"))),
            Operand::Transform { args, .. } => args.iter().for_each(|arg| self.argument(arg)),
        }
    }

    fn argument(&mut self, arg: &TransformArg) {
        match arg {
            TransformArg::Operand(operand) => self.operand(operand),
            TransformArg::List(args) => args.iter().for_each(|arg| self.argument(arg)),
            TransformArg::Text(_) | TransformArg::Number(_) => {}
        }
    }
}
