//! What all files say together: definitions, appends and overrides, in the order in which they are read
//! (specification §1.2, §1.3). An object keeps its place in the order when it is defined again.

mod broken;
mod replaced;
mod rules;
mod table;

use std::sync::Arc;

use crate::{
    diagnostic::Diagnostic,
    document::{Decoded, Item, ListItem, MacroItem},
    expand::Written,
    limits::MAX_REPLACED,
    place::Place,
    requirements::{EngineRequirement, PluginRequirement, Version},
    schema::Schema,
    suggest,
};
use broken::BrokenLists;
pub use replaced::Replaced;
pub(crate) use rules::Rule;
use table::Clock;
pub(crate) use table::{Entry, Names, Table};

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

/// Everything read so far.
#[derive(Debug)]
pub(crate) struct Collection {
    schema: Arc<Schema>,
    engine: Version,
    clock: Clock,
    pub(crate) rules: Table<Rule>,
    pub(crate) macros: Table<Macro>,
    pub(crate) lists: Table<List>,
    pub(crate) broken: BrokenLists,
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
            clock: Clock::new(keep_versions),
            rules: Table::default(),
            macros: Table::default(),
            lists: Table::default(),
            broken: BrokenLists::default(),
            required_engine: (0, 0, 0),
            required_plugins: Vec::new(),
            replaced: Vec::new(),
        }
    }

    /// Whether a word is the name of a list that was left out, and of no other that the owner sees.
    pub(crate) fn is_broken_list(&self, owner: Option<&str>, word: &str) -> bool {
        self.broken.has(owner, word) && self.lists.visible(owner, word).is_none()
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
            may_define(&self.lists, "list", &name, &place, |list| &list.place)?;
            let list = List { name: name.clone(), items, place: place.clone() };
            let before = self.lists.define(&name, list, &mut self.clock, &place);
            self.note(before.map(|list| Replaced::new("list", &name, &list.place, &place)));
            return Ok(());
        }
        self.clock.tick();
        may_change(&self.lists, "list", &name, &place, |list| &list.place)?;
        let Some(list) = self.lists.change(&name, &self.clock, &place) else {
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
            may_define(&self.macros, "macro", &name, &place, |object| &object.place)?;
            let condition = Written::new(condition);
            let object = Macro { name: name.clone(), condition, place: place.clone() };
            let before = self.macros.define(&name, object, &mut self.clock, &place);
            self.note(before.map(|object| Replaced::new("macro", &name, &object.place, &place)));
            return Ok(());
        }
        self.clock.tick();
        may_change(&self.macros, "macro", &name, &place, |object| &object.place)?;
        let Some(object) = self.macros.change(&name, &self.clock, &place) else {
            let message = "Macro uses 'append' or 'override.condition: append' but no macro by that name \
                           already exists";
            return Err(no_such(&place, message, &name, &self.macros));
        };
        object.condition.append(condition);
        Ok(())
    }
}

/// What is to be changed is not there; perhaps something of nearly the same name is.
fn no_such<T: Clone>(place: &Place, message: &str, name: &str, table: &Table<T>) -> Diagnostic {
    let mut error = place.refuse(message);
    error.help = suggest::did_you_mean(name, table.names(place.owner()).into_iter());
    error
}

/// A file with a binding does not take away what another file of the same names defined.
fn may_define<T: Clone>(
    table: &Table<T>,
    kind: &str,
    name: &str,
    place: &Place,
    of: fn(&T) -> &Place,
) -> Decoded<()> {
    let before = table.get(place.owner(), name).map(of);
    may_touch(before, kind, name, place)
}

/// A file with a binding does not change what another file defined, unless it is there for that.
fn may_change<T: Clone>(
    table: &Table<T>,
    kind: &str,
    name: &str,
    place: &Place,
    of: fn(&T) -> &Place,
) -> Decoded<()> {
    let tunes = place.binding().is_some_and(|binding| binding.tunes);
    let before = table.visible(place.owner(), name).map(of);
    may_touch(before.filter(|_| !tunes), kind, name, place)
}

fn may_touch(before: Option<&Place>, kind: &str, name: &str, place: &Place) -> Decoded<()> {
    let own = |before: &&Place| {
        Arc::ptr_eq(before.source(), place.source())
            || (before.owner().is_some() && before.owner() == place.owner())
    };
    match before.filter(|before| place.binding().is_some() && !own(before)) {
        Some(before) => {
            let other = &before.source().name;
            let message = format!(
                "the {kind} '{name}' is defined in {other}: rules with a scope, a selector or in shadow stand for themselves and change no others"
            );
            Err(place.refuse(message))
        }
        None => Ok(()),
    }
}
