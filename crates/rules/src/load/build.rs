//! From what was collected to what runs: lists, then macros, then rules in the order of their
//! definition (specification §1.5, §1.6).

use std::{collections::BTreeSet, sync::Arc};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    append_output::{AppendOutput, extra_fields, extra_text},
    ast::{Body, Expr},
    collect::{Collection, Entry, Macro, Rule},
    compile::{Condition, Parts, too_many_event_types},
    diagnostic::{Code, Diagnostic, TextError, TextWarning},
    document::Decoded,
    exceptions,
    expand::{Expanded, Written, words},
    limits::{MAX_DEPTH, MAX_LIST_ITEMS, MAX_LOAD_NODES, MAX_PATTERN_BYTES, NODES_PER_WARNING},
    lint::DEPRECATED_FIELDS,
    load::{
        Catalog, CompiledList, CompiledMacro, CompiledRule, LoadOptions, Log, Mode, SourceFile, Stop,
        budget::Budget, help,
    },
    parse::parse,
    place::Place,
    resolve::{self, Macros},
    ruleset::ExtraField,
    schema::SourceId,
    template::Template,
};

/// The token that older rules have and nobody fills any more.
const CONTAINER_INFO: &str = "%container.info";

/// Errors about names that another version may know (specification §1.6).
const UNKNOWN: [&str; 4] =
    ["nonexistent field", "invalid formatting token", "unknown event type", "unknown filter:"];

/// Compiles everything; `files` is how many files share what a load may use up.
pub(super) fn build(
    collection: &Collection,
    options: &LoadOptions,
    files: usize,
    log: &mut Log,
) -> Result<Catalog, Stop> {
    let lists = lists(collection, files);
    let mut build = Build {
        collection,
        options,
        log,
        by_word: by_word(&lists),
        lists,
        macros: Macros::default(),
        parts: Parts::default(),
        nodes: Budget::new(MAX_LOAD_NODES, files),
        patterns: Budget::new(MAX_PATTERN_BYTES, files),
    };
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
    /// The lists by the first word of their names.
    by_word: FxHashMap<String, Vec<usize>>,
    macros: Macros,
    parts: Parts,
    /// Parts of macros and conditions.
    nodes: Budget,
    /// Compiled size of patterns, bytes.
    patterns: Budget,
}

/// Lists in lists, one level deep: what is deeper is found when the text is substituted.
/// A list for which there is no room is kept, but incomplete: who names it is refused.
fn lists(collection: &Collection, files: usize) -> Vec<CompiledList> {
    let mut budget = Budget::new(MAX_LIST_ITEMS, files);
    let mut used = FxHashSet::default();
    let mut lists = Vec::with_capacity(collection.lists.entries().len());
    for entry in collection.lists.entries() {
        let Some(list) = entry.current() else { continue };
        let room = budget.left(list.place.source());
        let mut items = Vec::with_capacity(list.items.len());
        for item in &list.items {
            let inner = collection.lists.entry(list.place.owner(), item);
            let inner = inner.filter(|inner| inner.index < entry.visibility);
            match inner.and_then(Entry::current) {
                Some(inner) => {
                    used.insert((inner.place.owner().map(str::to_owned), inner.name.clone()));
                    items.extend(inner.items.iter().take(room).cloned());
                }
                None => items.push(item.clone()),
            }
            if items.len() >= room {
                break;
            }
        }
        let complete = items.len() < room;
        budget.spend(list.place.source(), items.len());
        lists.push(CompiledList {
            name: list.name.clone(),
            owner: list.place.owner().map(str::to_owned),
            raw: list.items.clone(),
            items,
            complete,
            used: false,
        });
    }
    for list in &mut lists {
        list.used = used.contains(&(list.owner.clone(), list.name.clone()));
    }
    lists
}

fn by_word(lists: &[CompiledList]) -> FxHashMap<String, Vec<usize>> {
    let mut by_word: FxHashMap<String, Vec<usize>> = FxHashMap::default();
    for (at, list) in lists.iter().enumerate() {
        if let Some(first) = words(&list.name).next() {
            by_word.entry(first.to_owned()).or_default().push(at);
        }
    }
    by_word
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
            let newest =
                self.newest(&entry.versions, |build, object| build.parsed(&object.condition, &object.place))?;
            let tree = newest.as_ref().map(|(_, parsed)| Arc::clone(&parsed.tree));
            if let Some(object) = entry.current() {
                self.macros.push(object.place.owner(), &object.name, entry.index, tree);
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
            Ok(body) => Some((version, body)),
            Err(error) => {
                self.log.fail(error)?;
                let older = entry.versions.get(..version).unwrap_or_default();
                if let Some(object) = entry.current() {
                    self.macros.set(object.place.owner(), &object.name, None);
                }
                self.newest(older, |build, object| {
                    let parsed = build.parsed(&object.condition, &object.place)?;
                    build.resolved(&parsed, entry.visibility)
                })?
            }
        };
        let Some((object, body)) = found.and_then(|(i, body)| Some((entry.versions.get(i)?, body))) else {
            return Ok(None);
        };
        let body = Arc::new(Body { name: object.name.clone(), ..body });
        self.macros.set(object.place.owner(), &object.name, Some(Arc::clone(&body)));
        Ok(Some(CompiledMacro { name: object.name.clone(), condition: object.condition.text.clone(), body }))
    }

    /// Puts the items of lists in the places of their names, list by list in the order of their definition.
    fn expanded(&mut self, condition: Written, owner: Option<&str>) -> Decoded<Expanded> {
        let mut expanded = Expanded::new(condition);
        let mut named: BTreeSet<usize> =
            expanded.words().flat_map(|word| self.lists_of(word, owner)).collect();
        while let Some(at) = named.pop_first() {
            let Some(list) = self.lists.get_mut(at) else { continue };
            if !list.complete && expanded.names(&list.name) {
                let error = too_many_items(&list.name);
                return Err(expanded.diagnostic(Code::LoadErrCompileCondition, error));
            }
            match expanded.substitute(&list.name, &list.items) {
                Ok(true) => list.used = true,
                Ok(false) => continue,
                Err(error) => return Err(expanded.diagnostic(Code::LoadErrCompileCondition, error)),
            }
            let items = self.lists.get(at).into_iter().flat_map(|list| &list.items);
            let words = items.flat_map(|item| words(item)).flat_map(|word| self.lists_of(word, owner));
            named.extend(words.filter(|inner| *inner > at));
        }
        match self.broken_list(&expanded, owner) {
            Some(error) => Err(expanded.diagnostic(Code::LoadErrValidate, error)),
            None => Ok(expanded),
        }
    }

    /// The name of a list that is left out would be an ordinary value.
    fn broken_list(&self, expanded: &Expanded, owner: Option<&str>) -> Option<TextError> {
        let all = self.collection;
        let mut words = expanded.words().filter(|_| !all.broken.is_empty());
        let list = words.find(|word| all.is_broken_list(owner, word))?;
        let message = format!("the list '{list}' does not load: see its own error");
        Some(TextError::new(message, expanded.find(list).unwrap_or_default()))
    }

    /// The lists whose names begin with a word, as far as the owner sees them.
    fn lists_of<'s>(&'s self, word: &str, owner: Option<&'s str>) -> impl Iterator<Item = usize> + use<'s> {
        self.by_word.get(word).into_iter().flatten().copied().filter(move |at| self.sees(owner, *at))
    }

    fn sees(&self, owner: Option<&str>, list: usize) -> bool {
        let Some(list) = self.lists.get(list) else { return false };
        let hidden = || owner.is_some() && self.collection.lists.get(owner, &list.name).is_some();
        list.owner.as_deref() == owner || (list.owner.is_none() && !hidden())
    }

    fn parsed(&mut self, condition: &Written, place: &Place) -> Decoded<Parsed> {
        let text = self.expanded(condition.clone(), place.owner())?;
        match parse(&text.text, MAX_DEPTH) {
            Ok(tree) => Ok(Parsed { text, tree: Arc::new(tree), file: Arc::clone(place.source()) }),
            Err(error) => Err(text.diagnostic(Code::LoadErrCompileCondition, error)),
        }
    }

    fn resolved(&mut self, parsed: &Parsed, visibility: usize) -> Decoded<Body> {
        let owner = parsed.file.binding.as_ref().and_then(|binding| binding.owner.as_deref());
        let resolved = self.macros.resolve(&parsed.tree, owner, visibility, self.nodes.left(&parsed.file));
        let resolved = resolved.map_err(|error| parsed.text.diagnostic(Code::LoadErrValidate, error))?;
        self.nodes.spend(&parsed.file, resolved.own);
        Ok(resolved.body)
    }

    fn rules(&mut self) -> Result<Vec<CompiledRule>, Stop> {
        if self.options.mode == Mode::Strict {
            self.refuse_by_length()?;
        }
        let mut compiled = Vec::new();
        for entry in self.collection.rules.entries() {
            let newest = self.newest(&entry.versions, Self::rule)?;
            compiled.extend(newest.and_then(|(_, rule)| rule));
        }
        Ok(compiled)
    }

    /// Refuses what is far too much before any of it is compiled; otherwise it would be found out in the middle.
    fn refuse_by_length(&mut self) -> Result<(), Stop> {
        let mut parts = 0_usize;
        let rules = self.collection.rules.entries().iter().filter_map(Entry::current);
        for rule in rules.filter(|rule| rule.source_id.is_some()) {
            parts = parts.saturating_add(least_parts(&rule.condition.text));
            if parts > MAX_LOAD_NODES {
                let text = Expanded::new(rule.condition.clone());
                return self.log.fail(text.diagnostic(Code::LoadErrValidate, resolve::load_too_large(None)));
            }
        }
        Ok(())
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
        let parsed = self.parsed(condition, &rule.place)?;
        let mut body = self.resolved(&parsed, usize::MAX)?;
        body.tree = bound(body.tree, rule)?;
        self.log.warnings.extend(body.warnings.iter().map(|warning| parsed.warning(warning)));
        let condition = match self.compiled(&parsed, &body.tree, source) {
            Ok(condition) => condition,
            Err(error) => {
                let error = help::more(error, &parsed.tree, rule.place.owner(), self.collection);
                let error = parsed.text.diagnostic(Code::LoadErrCompileCondition, error);
                return self.skip(rule, error).map(|()| None);
            }
        };
        self.log.warnings.extend(condition.warnings().iter().map(|warning| parsed.warning(warning)));
        Ok(Some((body.tree, condition)))
    }

    fn compiled(&mut self, parsed: &Parsed, tree: &Expr, source: SourceId) -> Result<Condition, TextError> {
        let room = self.patterns.left(&parsed.file);
        self.parts.pattern_room = room;
        let condition = self.parts.compile(tree, &self.options.schema, source);
        self.patterns.spend(&parsed.file, room.saturating_sub(self.parts.pattern_room));
        let condition = condition?;
        let warnings = condition.warnings().len().saturating_mul(NODES_PER_WARNING);
        let told = warnings.saturating_add(condition.blind().len());
        if told > self.nodes.left(&parsed.file) {
            return Err(resolve::load_too_large(None));
        }
        self.nodes.spend(&parsed.file, told);
        Ok(condition)
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
            if self.macros.is_unused(object.place.owner(), &object.name) {
                let message = "Macro not referred to by any other rule/macro";
                self.log.warnings.push(object.place.diagnostic(Code::LoadUnusedMacro, message));
            }
        }
        let lists = self.collection.lists.entries().iter().filter_map(Entry::current);
        let mut left = help::MAX_WORDS;
        for (object, _) in lists.zip(&self.lists).filter(|(_, list)| !list.used) {
            let message = "List not referred to by any other rule/macro";
            let mut warning = object.place.diagnostic(Code::LoadUnusedList, message);
            warning.help = help::misspelled(&object.name, self.collection, &mut left);
            self.log.warnings.push(warning);
        }
    }
}

fn appended<'o>(options: &'o LoadOptions, rule: &'o Rule) -> impl Iterator<Item = &'o AppendOutput> {
    let entries = options.append_output.iter();
    entries.filter(|entry| entry.r#match.covers(&rule.name, &rule.source, &rule.tags))
}

/// The condition of a rule behind what its file's binding demands.
fn bound(tree: Expr, rule: &Rule) -> Decoded<Expr> {
    let Some(binding) = rule.place.binding() else { return Ok(tree) };
    let Some(demand) = binding.conditions.get(&rule.source) else {
        let message =
            format!("what the file is bound to is not known of events of the source {}", rule.source);
        let mut error = rule.place.refuse(message);
        error.help = format!("put rules of the source {} into a file without it", rule.source);
        return Err(error);
    };
    if demand.is_empty() {
        return Ok(tree);
    }
    let demand =
        parse(demand, MAX_DEPTH).map_err(|e| rule.place.refuse(format!("binding: {}", e.message)))?;
    Ok(Expr::And(vec![demand, tree]))
}

/// Parts that a condition has at least, found without parsing it: `and` and `or` join two, and one more of them may be a
/// value. Beside commas and parentheses they are items of a list; quotes may hold more.
fn least_parts(condition: &str) -> usize {
    if condition.contains(['"', '\'']) {
        return 0;
    }
    let mut words = condition.split_ascii_whitespace().peekable();
    let (mut joins, mut before) = (0_usize, "");
    while let Some(word) = words.next() {
        let after = words.peek().copied().unwrap_or_default();
        let listed = before.ends_with(['(', ',']) || after.starts_with([',', ')']);
        joins = joins.saturating_add(usize::from(matches!(word, "and" | "or") && !listed));
        before = word;
    }
    joins / 2
}

/// A condition as a tree, with the way back to the file.
struct Parsed {
    text: Expanded,
    tree: Arc<Expr>,
    /// Whose budget it is on.
    file: Arc<SourceFile>,
}

impl Parsed {
    fn warning(&self, warning: &TextWarning) -> Diagnostic {
        let error = TextError::new(warning.message.clone(), warning.offset);
        let mut diagnostic = self.text.diagnostic(warning.code, error);
        diagnostic.deprecated_field = warning.deprecated_field;
        diagnostic
    }
}
