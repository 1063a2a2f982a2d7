//! Files in, compiled rules and diagnostics out. This is the way through:
//!
//! 1. [`crate::yaml`]: text to nodes with positions
//! 2. [`crate::document`]: nodes to items, keys checked
//! 3. [`crate::collect`]: items to rules, macros and lists; append, override, replacement
//! 4. [`crate::load`]`::build`: per macro and rule: exceptions and lists written out ([`crate::exceptions`],
//!    [`crate::expand`]), parsed, macros put in ([`crate::resolve`]), compiled
//! 5. [`crate::select`]: which of the rules run

mod budget;
mod build;
mod catalog;
mod help;
mod log;
mod running;

use std::sync::Arc;

use saker_alert::Priority;

pub use crate::collect::Replaced;
pub(crate) use catalog::{Catalog, CompiledList, CompiledMacro, CompiledRule};
pub use log::Quarantined;
pub use running::RunningRule;

use crate::{
    append_output::AppendOutput,
    ast::Expr,
    collect::Collection,
    diagnostic::{Code, Diagnostic},
    document::{self, Item, structure},
    place::Place,
    requirements::Version,
    ruleset::RuleSet,
    schema::{FieldId, Schema, SourceId},
    select::{self, Selection},
    yaml::{self, Node},
};
use log::{Log, Stop};

pub use crate::source_file::SourceFile;

/// What happens when an item is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// As Falco: the first error of a file ends its load, and no rule runs.
    #[default]
    Strict,
    /// The item and what depends on it are left out; everything else runs.
    Quarantine,
}

/// How to load.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// What rules may mention.
    pub schema: Arc<Schema>,
    /// For `required_engine_version`.
    pub engine_version: Version,
    /// Name and version of what stands in for Falco's plugins, for `required_plugin_versions`.
    pub plugins: Vec<(String, Version)>,
    /// Rules that are less urgent than this number (0 = emergency … 7 = debug) do not run.
    pub min_priority: u8,
    /// Which rules run, on top of their own `enabled`.
    pub selection: Vec<Selection>,
    /// What is added to the outputs.
    pub append_output: Vec<AppendOutput>,
    /// What happens when an item is wrong.
    pub mode: Mode,
}

impl LoadOptions {
    /// Falco's defaults, at the engine version of the specification.
    pub fn new(schema: Arc<Schema>) -> Self {
        Self {
            schema,
            engine_version: (0, 63, 0),
            plugins: Vec::new(),
            min_priority: 7,
            selection: Vec::new(),
            append_output: Vec::new(),
            mode: Mode::Strict,
        }
    }
}

/// What is to be said about one file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileReport {
    /// The file.
    pub name: String,
    /// What does not load, in the order in which it was found.
    pub errors: Vec<Diagnostic>,
    /// What loads but looks wrong.
    pub warnings: Vec<Diagnostic>,
    /// Deviations from the JSON schema for rules; `None` for a file that has no items.
    pub schema: Option<Vec<String>>,
}

impl FileReport {
    /// Whether nothing is wrong.
    pub fn successful(&self) -> bool {
        self.errors.is_empty()
    }
}

/// The result.
#[derive(Debug)]
pub struct Loaded {
    /// One report per file, in the given order.
    pub files: Vec<FileReport>,
    /// The rules that run. `None` only after an error in strict mode.
    pub rules: Option<Arc<RuleSet>>,
    /// What is left out because of its own error or that of something it needs.
    pub quarantined: Vec<Quarantined>,
    /// Rules that are loaded but can never match, or not in all cases.
    pub blind: Vec<Blind>,
    /// What is defined twice: the later definition counts.
    pub replaced: Vec<Replaced>,
    /// Everything that compiled, for [`crate::describe`].
    pub(crate) catalog: Catalog,
    pub(crate) schema: Arc<Schema>,
}

/// A rule that is blind to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blind {
    /// Its name.
    pub rule: String,
    /// The field's name.
    pub field: &'static str,
    /// Why, as what is said of the field.
    pub reason: &'static str,
}

impl Loaded {
    /// How many rules compiled, whether they run or not.
    pub fn compiled(&self) -> usize {
        self.catalog.rules.len()
    }

    /// How many rules run.
    pub fn enabled(&self) -> usize {
        self.catalog.running.len()
    }

    /// The conditions of the rules of a source that run, without exceptions, lists and macros.
    pub fn conditions(&self, source: SourceId) -> impl Iterator<Item = &Expr> {
        let rules = self.catalog.running.iter().filter_map(|at| self.catalog.rules.get(*at));
        rules.filter(move |rule| rule.source == source).map(|rule| &rule.tree)
    }

    /// Rules whose condition needs a field of this kind, with the field.
    pub fn readers(&self, kind: impl Fn(FieldId) -> bool) -> Vec<(String, String)> {
        self.catalog.readers(&self.schema, kind)
    }

    /// The rules of a source that run and compare fields of this kind with texts, with the texts.
    pub fn compared(
        &self,
        source: SourceId,
        kind: impl Fn(FieldId) -> bool,
    ) -> impl Iterator<Item = (&str, Vec<&[u8]>)> {
        let rules = self.catalog.running.iter().filter_map(|at| self.catalog.rules.get(*at));
        let rules = rules.filter(move |rule| rule.source == source);
        rules.map(move |rule| (rule.rule.name.as_str(), rule.condition.compared(&kind)))
    }

    /// The rules that compiled, in the order of definition.
    pub fn defined(&self) -> impl Iterator<Item = DefinedRule<'_>> {
        self.catalog.rules.iter().map(|CompiledRule { rule, .. }| DefinedRule {
            file: &rule.place.source().name,
            name: &rule.name,
            source: &rule.source,
            priority: rule.priority,
        })
    }

    /// Whether no file has an error.
    pub fn successful(&self) -> bool {
        self.files.iter().all(FileReport::successful)
    }
}

/// A rule in a list of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefinedRule<'a> {
    /// The file that defines it.
    pub file: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Where its events come from.
    pub source: &'a str,
    /// How urgent it is.
    pub priority: Priority,
}

/// Loads rules files; later ones see and change what earlier ones define.
pub fn load(files: &[SourceFile], options: &LoadOptions) -> Loaded {
    let mut loader = Loader::new(options);
    for file in files {
        match options.mode {
            Mode::Strict => loader.file_alone(file),
            Mode::Quarantine => loader.file_with_others(file),
        }
    }
    if options.mode == Mode::Quarantine || files.is_empty() {
        loader.build();
    }
    loader.finish()
}

struct Loader<'a> {
    options: &'a LoadOptions,
    collection: Collection,
    reports: Vec<FileReport>,
    log: Log,
    catalog: Catalog,
}

impl<'a> Loader<'a> {
    fn new(options: &'a LoadOptions) -> Self {
        let keep_versions = options.mode == Mode::Quarantine;
        let schema = Arc::clone(&options.schema);
        Self {
            options,
            collection: Collection::new(schema, options.engine_version, keep_versions),
            reports: Vec::new(),
            log: Log::new(options.mode),
            catalog: Catalog::default(),
        }
    }

    /// Reads a file and compiles all that was read so far: what is found then is said about this file,
    /// as Falco does it.
    fn file_alone(&mut self, file: &SourceFile) {
        let mut report = FileReport { name: file.name.clone(), ..FileReport::default() };
        if self.read(file, &mut report).is_ok() {
            self.build();
        }
        (report.errors, report.warnings) = self.log.take();
        self.reports.push(report);
    }

    /// Reads a file; compiling comes after all of them.
    fn file_with_others(&mut self, file: &SourceFile) {
        let mut report = FileReport { name: file.name.clone(), ..FileReport::default() };
        // Reading ends early only for this file.
        if self.read(file, &mut report).is_err() {
            self.collection.broken.add_file(&Place::file(Arc::new(file.clone())));
        }
        (report.errors, report.warnings) = self.log.take();
        self.reports.push(report);
    }

    fn read(&mut self, file: &SourceFile, report: &mut FileReport) -> Result<(), Stop> {
        let file = Arc::new(file.clone());
        let place = Place::file(Arc::clone(&file));
        if let Some(reason) = &file.unreadable {
            let place = if file.content.is_empty() { place } else { place.step("value for", "", file.end()) };
            let mut error = place.diagnostic(Code::LoadErrFileRead, format!("Could not read: {reason}"));
            error.help.push_str("check that the file exists, is UTF-8 text and may be read");
            return self.log.fail_file(error);
        }
        let documents = match yaml::documents(&file.content) {
            Ok(documents) => documents,
            Err(error) => {
                let place = place.step("value for", "", error.mark);
                let help = yaml::help(&error.message).to_owned();
                let diagnostic = place.diagnostic(Code::LoadErrYamlParse, error.message);
                return self.log.fail_file(Diagnostic { help, ..diagnostic });
            }
        };
        let found = documents.iter().filter(|document| !document.is_null()).map(structure::check);
        report.schema = found.reduce(|mut all, more| {
            all.extend(more);
            all
        });
        documents.iter().try_for_each(|document| self.document(document, &place))
    }

    fn document(&mut self, document: &Node, file: &Place) -> Result<(), Stop> {
        let entries = match document::entries(document, file) {
            Ok(entries) => entries,
            Err(error) => return self.log.fail_file(error),
        };
        entries.iter().try_for_each(|entry| self.item(entry, file))
    }

    fn item(&mut self, entry: &Node, file: &Place) -> Result<(), Stop> {
        let mut required = false;
        let added = document::item(entry, file, &mut self.log.warnings).and_then(|item| {
            let Some(item) = item else { return Ok(()) };
            required = matches!(item, Item::Engine(_) | Item::Plugins(_));
            self.plugins_suffice(&item)?;
            self.collection.add(item, &mut self.log.warnings)
        });
        match added {
            Ok(()) => Ok(()),
            // What follows in this file counts on what it asks for.
            Err(error) if required => self.log.fail_file(error),
            Err(error) => {
                self.collection.broken.add_item(entry, file);
                self.log.fail(error)
            }
        }
    }

    /// In strict mode the plugins are looked at after all files.
    fn plugins_suffice(&self, item: &Item) -> document::Decoded<()> {
        match item {
            Item::Plugins(plugins) if self.options.mode == Mode::Quarantine => {
                plugins.iter().try_for_each(|plugin| plugin.check_plugins(&self.options.plugins))
            }
            _ => Ok(()),
        }
    }

    fn build(&mut self) {
        // In strict mode the first error ends the load, and shares would help nobody.
        let files = if self.options.mode == Mode::Quarantine { self.reports.len() } else { 0 };
        if let Ok(catalog) = build::build(&self.collection, self.options, files, &mut self.log) {
            self.catalog = catalog;
        }
    }

    fn finish(mut self) -> Loaded {
        if self.options.mode == Mode::Strict {
            self.check_plugins();
        }
        self.distribute();
        let failed = self.reports.iter().any(|report| !report.successful());
        let blind = self.catalog.blind(&self.options.schema);
        let rules = if failed && self.options.mode == Mode::Strict { None } else { Some(self.rule_set()) };
        let Self { reports: files, log, catalog, options, collection, .. } = self;
        let schema = Arc::clone(&options.schema);
        let (quarantined, replaced) = (log.quarantined, collection.replaced);
        Loaded { files, rules, quarantined, blind, replaced, catalog, schema }
    }

    fn check_plugins(&mut self) {
        let requirements = &self.collection.required_plugins;
        let unmet = requirements.iter().find_map(|r| r.check_plugins(&self.options.plugins).err());
        if let Some(error) = unmet {
            self.log.errors.push(error);
        }
    }

    /// Says what was found after reading about the file in which it is.
    fn distribute(&mut self) {
        let (errors, warnings) = self.log.take();
        let file_of = |d: &Diagnostic| d.locations.first().map(|l| l.position.name.clone());
        for diagnostic in errors.into_iter().chain(warnings) {
            let name = file_of(&diagnostic);
            let found = self.reports.iter_mut().find(|report| Some(&report.name) == name.as_ref());
            let Some(report) = found else { continue };
            let list = if diagnostic.code.is_error() { &mut report.errors } else { &mut report.warnings };
            list.push(diagnostic);
        }
    }

    fn rule_set(&mut self) -> Arc<RuleSet> {
        let catalog = &mut self.catalog;
        let candidates: Vec<_> = catalog.rules.iter().map(CompiledRule::candidate).collect();
        let mut order = select::enabled(&candidates, &self.options.selection);
        order.retain(|i| {
            catalog.rules.get(*i).is_some_and(|r| r.rule.priority as u8 <= self.options.min_priority)
        });
        let rules = catalog.rule_set(&order, &self.options.schema);
        catalog.running = order;
        rules
    }
}
