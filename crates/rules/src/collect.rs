//! What all files say together: definitions, appends and overrides, in the order in which they are read
//! (specification §1.2, §1.3). An object keeps its place in the order when it is defined again.

mod replaced;
mod rules;

use rustc_hash::FxHashMap;
use std::sync::Arc;

use crate::{
    diagnostic::{Code, Diagnostic},
    document::{Decoded, Item, ListItem, MacroItem},
    expand::Written,
    limits::MAX_REPLACED,
    load::SourceFile,
    place::Place,
    requirements::{EngineRequirement, PluginRequirement, Version},
    schema::Schema,
    suggest,
};
pub use replaced::Replaced;
pub(crate) use rules::Rule;

/// A list before expansion.
#[derive(Debug, Clone)]
pub(crate) struct List {
    pub(crate) name: String,
    pub(crate) items: Vec<String>,
    pub(crate) place: Place,
}

/// A macro before expansion.
#[derive(Debug, Clone)]
pub(crate) struct Macro {
    pub(crate) name: String,
    pub(crate) condition: Written,
    pub(crate) place: Place,
}

/// An object with its place in the order.
#[derive(Debug)]
pub(crate) struct Entry<T> {
    /// When it was first defined.
    pub(crate) index: usize,
    /// When it was last changed.
    pub(crate) visibility: usize,
    /// As it is, behind what it was at the end of each earlier file that changed it. The earlier ones
    /// are kept only where a broken file must not take down what a good one defined.
    pub(crate) versions: Vec<T>,
    /// The file of the last version.
    file: Arc<SourceFile>,
}

impl<T> Entry<T> {
    /// As the last file left it.
    pub(crate) fn current(&self) -> Option<&T> {
        self.versions.last()
    }
}

/// Objects of one kind, found by name, in the order of their definition.
#[derive(Debug)]
pub(crate) struct Table<T> {
    entries: Vec<Entry<T>>,
    by_name: FxHashMap<String, usize>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), by_name: FxHashMap::default() }
    }
}

impl<T: Clone> Table<T> {
    pub(crate) fn entries(&self) -> &[Entry<T>] {
        &self.entries
    }

    pub(crate) fn entry(&self, name: &str) -> Option<&Entry<T>> {
        self.entries.get(*self.by_name.get(name)?)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        self.entry(name)?.current()
    }

    /// Puts an object in the place of an earlier one of its name, which is given back.
    fn define(&mut self, name: &str, object: T, clock: &mut Clock, file: &Arc<SourceFile>) -> Option<T> {
        let now = clock.tick();
        if let Some(previous) = self.change(name, clock, file) {
            return Some(std::mem::replace(previous, object));
        }
        self.by_name.insert(name.to_owned(), self.entries.len());
        let file = Arc::clone(file);
        self.entries.push(Entry { index: now, visibility: now, versions: vec![object], file });
        None
    }

    /// The current version, to be changed by an item of `file`.
    fn change(&mut self, name: &str, clock: &Clock, file: &Arc<SourceFile>) -> Option<&mut T> {
        let entry = self.entries.get_mut(*self.by_name.get(name)?)?;
        if clock.keep_versions && !Arc::ptr_eq(&entry.file, file) {
            let current = entry.versions.last()?.clone();
            entry.versions.push(current);
            entry.file = Arc::clone(file);
        }
        entry.visibility = clock.now;
        entry.versions.last_mut()
    }
}

/// Numbers every change.
#[derive(Debug, Default)]
struct Clock {
    now: usize,
    keep_versions: bool,
}

impl Clock {
    fn tick(&mut self) -> usize {
        self.now = self.now.saturating_add(1);
        self.now
    }
}

/// Everything read so far.
#[derive(Debug)]
pub(crate) struct Collection {
    schema: Arc<Schema>,
    engine: Version,
    clock: Clock,
    pub(crate) rules: Table<Rule>,
    pub(crate) macros: Table<Macro>,
    pub(crate) lists: Table<List>,
    /// The newest engine that any file asks for.
    pub(crate) required_engine: Version,
    pub(crate) required_plugins: Vec<PluginRequirement>,
    /// Objects that were defined twice, at most [`MAX_REPLACED`].
    pub(crate) replaced: Vec<Replaced>,
}

impl Collection {
    /// Nothing yet. With `keep_versions`, what an object was in earlier files is remembered.
    pub(crate) fn new(schema: Arc<Schema>, engine: Version, keep_versions: bool) -> Self {
        Self {
            schema,
            engine,
            clock: Clock { now: 0, keep_versions },
            rules: Table::default(),
            macros: Table::default(),
            lists: Table::default(),
            required_engine: (0, 0, 0),
            required_plugins: Vec::new(),
            replaced: Vec::new(),
        }
    }

    /// Takes in one item.
    pub(crate) fn add(&mut self, item: Item, warnings: &mut Vec<Diagnostic>) -> Decoded<()> {
        match item {
            Item::Engine(requirement) => self.engine(&requirement),
            Item::Plugins(requirements) => requirements.into_iter().try_for_each(|r| self.plugin(r)),
            Item::List(item) => self.list(item),
            Item::Macro(item) => self.macro_(item),
            Item::Rule(item) => self.rule(item, warnings),
        }
    }

    fn engine(&mut self, requirement: &EngineRequirement) -> Decoded<()> {
        requirement.check(self.engine)?;
        self.required_engine = self.required_engine.max(requirement.version);
        Ok(())
    }

    fn plugin(&mut self, requirement: PluginRequirement) -> Decoded<()> {
        requirement.check()?;
        self.required_plugins.push(requirement);
        Ok(())
    }

    fn note(&mut self, replaced: Option<Replaced>) {
        self.replaced.extend(replaced.filter(|_| self.replaced.len() < MAX_REPLACED));
    }

    fn list(&mut self, item: ListItem) -> Decoded<()> {
        let ListItem { name, items, append, place } = item;
        if !append {
            let list = List { name: name.clone(), items, place: place.clone() };
            let before = self.lists.define(&name, list, &mut self.clock, place.source());
            self.note(before.map(|list| Replaced::new("list", &name, &list.place, &place)));
            return Ok(());
        }
        self.clock.tick();
        let Some(list) = self.lists.change(&name, &self.clock, place.source()) else {
            let message =
                "List uses 'append' or 'override.items: append' but no list by that name already exists";
            return Err(no_such(&place, message, &name, &self.lists));
        };
        list.items.extend(items);
        Ok(())
    }

    fn macro_(&mut self, item: MacroItem) -> Decoded<()> {
        let MacroItem { name, condition, append, place } = item;
        if !append {
            let condition = Written::new(condition);
            let object = Macro { name: name.clone(), condition, place: place.clone() };
            let before = self.macros.define(&name, object, &mut self.clock, place.source());
            self.note(before.map(|object| Replaced::new("macro", &name, &object.place, &place)));
            return Ok(());
        }
        self.clock.tick();
        let Some(object) = self.macros.change(&name, &self.clock, place.source()) else {
            let message = "Macro uses 'append' or 'override.condition: append' but no macro by that name \
                           already exists";
            return Err(no_such(&place, message, &name, &self.macros));
        };
        object.condition.append(condition);
        Ok(())
    }
}

/// What is to be changed is not there; perhaps something of nearly the same name is.
fn no_such<T>(place: &Place, message: &str, name: &str, table: &Table<T>) -> Diagnostic {
    let mut error = refuse(place, message);
    let mut known: Vec<_> = table.by_name.keys().map(String::as_str).collect();
    known.sort_unstable();
    error.help = suggest::did_you_mean(name, known.into_iter());
    error
}

/// `LOAD_ERR_VALIDATE` at a place.
pub(crate) fn refuse(place: &Place, message: impl Into<String>) -> Diagnostic {
    place.diagnostic(Code::LoadErrValidate, message)
}
