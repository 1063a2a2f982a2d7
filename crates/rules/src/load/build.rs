//! From what was collected to what runs: lists, then macros, then rules in the order of their
//! definition (specification §1.5, §1.6).

use rustc_hash::FxHashMap;

use crate::{
    append_output::{AppendOutput, extra_fields, extra_text},
    ast::Expr,
    collect::{Collection, Entry, Macro, Rule},
    compile::{Condition, too_many_event_types, too_many_patterns},
    diagnostic::{Code, Diagnostic, TextError, TextWarning},
    document::Decoded,
    exceptions,
    expand::{Expanded, Written},
    limits::{MAX_DEPTH, MAX_LIST_ITEMS, MAX_LOAD_NODES, MAX_PATTERN_BYTES},
    lint::{self, DEPRECATED_FIELDS},
    load::{Catalog, CompiledList, CompiledMacro, CompiledRule, LoadOptions, Log, Stop},
    parse::parse,
    resolve::Macros,
    ruleset::ExtraField,
    schema::SourceId,
    template::Template,
};

/// The token that older rules have and nobody fills any more.
const CONTAINER_INFO: &str = "%container.info";

/// Errors about names that another version may know (specification §1.6).
const UNKNOWN: [&str; 4] =
    ["nonexistent field", "invalid formatting token", "unknown event type", "unknown filter:"];

pub(super) fn build(collection: &Collection, options: &LoadOptions, log: &mut Log) -> Result<Catalog, Stop> {
    let lists = lists(collection);
    let mut build =
        Build { collection, options, log, lists, macros: Macros::default(), nodes: 0, pattern_bytes: 0 };
    let macros = build.macros()?;
    let rules = build.rules()?;
    build.warn_unused();
    let Build { lists, .. } = build;
    Ok(Catalog::new(collection, lists, macros, rules))
}

struct Build<'a> {
    collection: &'a Collection,
    options: &'a LoadOptions,
    log: &'a mut Log,
    lists: Vec<CompiledList>,
    macros: Macros,
    /// Parts of all macros and conditions so far.
    nodes: usize,
    /// Compiled size of the patterns of all conditions so far.
    pattern_bytes: usize,
}

/// Lists in lists, one level deep: what is deeper is found when the text is substituted.
/// A list for which there is no room is kept, but incomplete: who names it is refused.
fn lists(collection: &Collection) -> Vec<CompiledList> {
    let mut room = MAX_LIST_ITEMS;
    let mut used = FxHashMap::default();
    let mut lists = Vec::with_capacity(collection.lists.entries().len());
    for entry in collection.lists.entries() {
        let Some(list) = entry.current() else { continue };
        let mut items = Vec::with_capacity(list.items.len());
        for item in &list.items {
            let inner = collection.lists.entry(item).filter(|inner| inner.index < entry.visibility);
            match inner.and_then(Entry::current) {
                Some(inner) => {
                    used.insert(inner.name.clone(), true);
                    items.extend(inner.items.iter().take(room).cloned());
                }
                None => items.push(item.clone()),
            }
            if items.len() >= room {
                break;
            }
        }
        let complete = items.len() < room;
        room = room.saturating_sub(items.len());
        lists.push(CompiledList {
            name: list.name.clone(),
            raw: list.items.clone(),
            items,
            complete,
            used: false,
        });
    }
    for list in &mut lists {
        list.used = used.contains_key(&list.name);
    }
    lists
}

fn too_many_items(list: &str) -> TextError {
    let message = format!("up to the list '{list}' the lists have more than {MAX_LIST_ITEMS} items together");
    TextError::new(message, 0).help("shorten the lists".to_owned())
}

impl Build<'_> {
    /// The newest version that works; the errors of newer ones are reported.
    fn newest<'t, T, R>(
        &mut self,
        versions: &'t [T],
        mut compile: impl FnMut(&mut Self, &'t T) -> Decoded<R>,
    ) -> Result<Option<(usize, R)>, Stop> {
        for (i, version) in versions.iter().enumerate().rev() {
            match compile(self, version) {
                Ok(compiled) => return Ok(Some((i, compiled))),
                Err(error) => self.log.fail(error)?,
            }
        }
        Ok(None)
    }

    fn macros(&mut self) -> Result<Vec<CompiledMacro>, Stop> {
        let entries = self.collection.macros.entries();
        let mut parsed = Vec::with_capacity(entries.len());
        for entry in entries {
            let newest = self.newest(&entry.versions, |build, object| build.parsed(&object.condition))?;
            let tree = newest.as_ref().map(|(_, parsed)| parsed.tree.clone());
            if let Some(object) = entry.current() {
                self.macros.push(&object.name, entry.index, tree);
            }
            parsed.push(newest);
        }
        let mut compiled = Vec::with_capacity(entries.len());
        for (entry, parsed) in entries.iter().zip(parsed) {
            let Some((version, parsed)) = parsed else { continue };
            compiled.extend(self.resolve_macro(entry, version, &parsed)?);
        }
        Ok(compiled)
    }

    /// Puts macros into a macro; if its newest version cannot have them, an older one may.
    fn resolve_macro(
        &mut self,
        entry: &Entry<Macro>,
        version: usize,
        parsed: &Parsed,
    ) -> Result<Option<CompiledMacro>, Stop> {
        let found = match self.resolved(parsed, entry.visibility) {
            Ok(tree) => Some((version, tree)),
            Err(error) => {
                self.log.fail(error)?;
                let older = entry.versions.get(..version).unwrap_or_default();
                if let Some(object) = entry.current() {
                    self.macros.set_tree(&object.name, None);
                }
                self.newest(older, |build, object| {
                    let parsed = build.parsed(&object.condition)?;
                    build.resolved(&parsed, entry.visibility)
                })?
            }
        };
        let Some((object, tree)) = found.and_then(|(i, tree)| Some((entry.versions.get(i)?, tree))) else {
            return Ok(None);
        };
        self.macros.set_tree(&object.name, Some(tree.clone()));
        Ok(Some(CompiledMacro { name: object.name.clone(), condition: object.condition.text.clone(), tree }))
    }

    fn expanded(&mut self, condition: Written) -> Decoded<Expanded> {
        let mut expanded = Expanded::new(condition);
        for list in &mut self.lists {
            if !list.complete && expanded.names(&list.name) {
                let error = too_many_items(&list.name);
                return Err(expanded.diagnostic(Code::LoadErrCompileCondition, error));
            }
            match expanded.substitute(&list.name, &list.items) {
                Ok(used) => list.used |= used,
                Err(error) => return Err(expanded.diagnostic(Code::LoadErrCompileCondition, error)),
            }
        }
        Ok(expanded)
    }

    fn parsed(&mut self, condition: &Written) -> Decoded<Parsed> {
        let text = self.expanded(condition.clone())?;
        match parse(&text.text, MAX_DEPTH) {
            Ok(tree) => Ok(Parsed { text, tree }),
            Err(error) => Err(text.diagnostic(Code::LoadErrCompileCondition, error)),
        }
    }

    fn resolved(&mut self, parsed: &Parsed, visibility: usize) -> Decoded<Expr> {
        let left = MAX_LOAD_NODES.saturating_sub(self.nodes);
        let resolved = self.macros.resolve(&parsed.tree, visibility, left);
        let (tree, nodes) = resolved.map_err(|error| parsed.text.diagnostic(Code::LoadErrValidate, error))?;
        self.nodes = self.nodes.saturating_add(nodes);
        Ok(tree)
    }

    fn rules(&mut self) -> Result<Vec<CompiledRule>, Stop> {
        let mut compiled = Vec::new();
        for entry in self.collection.rules.entries() {
            let newest = self.newest(&entry.versions, Self::rule)?;
            compiled.extend(newest.and_then(|(_, rule)| rule));
        }
        Ok(compiled)
    }

    /// Compiles a rule; `None` for one that is skipped with a warning.
    fn rule(&mut self, rule: &Rule) -> Decoded<Option<CompiledRule>> {
        let Some(source) = rule.source_id else { return Ok(None) };
        let condition = exceptions::expand(rule)?;
        let Some((output, template)) = self.output(rule, source)? else { return Ok(None) };
        let mut extra = Vec::new();
        for field in extra_fields(appended(self.options, rule)) {
            let template = self.template(rule, &field.format, source)?;
            self.warn_deprecated(rule, &field.format);
            let raw = template.fields().next().filter(|_| field.raw).cloned();
            extra.push((field.key, raw.map_or(ExtraField::Text(template), ExtraField::Raw)));
        }
        let Some((tree, condition)) = self.condition(rule, &condition, source)? else { return Ok(None) };
        self.warn_event_types(rule, source, &condition);
        Ok(Some(CompiledRule { rule: rule.clone(), output, template, extra, tree, condition, source }))
    }

    fn output(&mut self, rule: &Rule, source: SourceId) -> Decoded<Option<(String, Template)>> {
        let mut output = rule.output.text.clone();
        output.push_str(&extra_text(appended(self.options, rule), &self.options.schema, source));
        if output.contains(CONTAINER_INFO) {
            output = output.replace(CONTAINER_INFO, "");
            let message = "%container.info is deprecated and no more useful: it is left out of the output";
            self.log.warnings.push(rule.place.diagnostic(Code::LoadDeprecatedItem, message));
        }
        let template = match self.template(rule, &output, source) {
            Ok(template) => template,
            Err(error) => return self.skip(rule, error).map(|()| None),
        };
        self.warn_deprecated(rule, &output);
        Ok(Some((output, template)))
    }

    fn template(&self, rule: &Rule, format: &str, source: SourceId) -> Decoded<Template> {
        Template::compile(format, &self.options.schema, source).map_err(|error| {
            let output = Written::new(rule.output.clone());
            output.diagnostic("rule output expression", Code::LoadErrCompileOutput, error)
        })
    }

    fn condition(
        &mut self,
        rule: &Rule,
        condition: &Written,
        source: SourceId,
    ) -> Decoded<Option<(Expr, Condition)>> {
        let parsed = self.parsed(condition)?;
        let tree = self.resolved(&parsed, usize::MAX)?;
        self.log.warnings.extend(lint::warnings(&tree).iter().map(|warning| parsed.warning(warning)));
        let condition = match Condition::compile(&tree, &self.options.schema, source) {
            Ok(condition) => condition,
            Err(error) => {
                let error = parsed.text.diagnostic(Code::LoadErrCompileCondition, error);
                return self.skip(rule, error).map(|()| None);
            }
        };
        self.pattern_bytes = self.pattern_bytes.saturating_add(condition.pattern_bytes());
        if self.pattern_bytes > MAX_PATTERN_BYTES {
            return Err(parsed.text.diagnostic(Code::LoadErrCompileCondition, too_many_patterns(0)));
        }
        self.log.warnings.extend(condition.warnings().iter().map(|warning| parsed.warning(warning)));
        Ok(Some((tree, condition)))
    }

    /// Turns an error into a warning if the rule asks for that and it is about an unknown name.
    fn skip(&mut self, rule: &Rule, mut error: Diagnostic) -> Decoded<()> {
        let unknown = UNKNOWN.iter().any(|text| error.message.contains(text));
        if !rule.skip_if_unknown_filter || !unknown {
            return Err(error);
        }
        error.code = Code::LoadUnknownFilter;
        self.log.warnings.push(error);
        Ok(())
    }

    fn warn_deprecated(&mut self, rule: &Rule, output: &str) {
        for field in DEPRECATED_FIELDS.into_iter().filter(|field| output.contains(field)) {
            let message = format!("usage of deprecated field '{field}' has been detected in the rule output");
            let mut warning = rule.output.place.diagnostic(Code::LoadDeprecatedItem, message);
            warning.deprecated_field = Some(field);
            self.log.warnings.push(warning);
        }
    }

    fn warn_event_types(&mut self, rule: &Rule, source: SourceId, condition: &Condition) {
        if rule.warn_evttypes && too_many_event_types(condition, &self.options.schema, source) {
            let message =
                "Rule matches too many evt.type values. This has a significant performance penalty.";
            self.log.warnings.push(rule.place.diagnostic(Code::LoadNoEvttype, message));
        }
    }

    fn warn_unused(&mut self) {
        for object in self.collection.macros.entries().iter().filter_map(Entry::current) {
            if self.macros.is_unused(&object.name) {
                let message = "Macro not referred to by any other rule/macro";
                self.log.warnings.push(object.place.diagnostic(Code::LoadUnusedMacro, message));
            }
        }
        let lists = self.collection.lists.entries().iter().filter_map(Entry::current);
        for (object, _) in lists.zip(&self.lists).filter(|(_, list)| !list.used) {
            let message = "List not referred to by any other rule/macro";
            self.log.warnings.push(object.place.diagnostic(Code::LoadUnusedList, message));
        }
    }
}

fn appended<'o>(options: &'o LoadOptions, rule: &'o Rule) -> impl Iterator<Item = &'o AppendOutput> {
    let entries = options.append_output.iter();
    entries.filter(|entry| entry.r#match.covers(&rule.name, &rule.source, &rule.tags))
}

/// A condition as a tree, with the way back to the file.
struct Parsed {
    text: Expanded,
    tree: Expr,
}

impl Parsed {
    fn warning(&self, warning: &TextWarning) -> Diagnostic {
        let error = TextError::new(warning.message.clone(), warning.offset);
        let mut diagnostic = self.text.diagnostic(warning.code, error);
        diagnostic.deprecated_field = warning.deprecated_field;
        diagnostic
    }
}
