//! What a condition may mention: the host passes a schema, so this crate knows no domain.

use rustc_hash::FxHashMap;

use crate::value::{FieldType, Value};

/// Index of a field in [`Schema::fields`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldId(pub u16);

/// Index of a source in [`Schema::sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct SourceId(pub u8);

/// Index of an event type in [`Schema::event_types`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventTypeId(pub u16);

/// Whether a field takes an argument, `field[arg]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgRule {
    /// `field` alone.
    None,
    /// `field` or `field[arg]`.
    Optional(ArgKind),
    /// `field[arg]` only.
    Required(ArgKind),
}

/// What an argument may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgKind {
    /// A decimal number.
    Index,
    /// Any text.
    Key,
    /// A number or a text (`container.mount[0]`, `container.mount[/etc]`).
    IndexOrKey,
    /// The number or the name of an event's parameter (`evt.arg[0]`, `evt.arg.flags`).
    Parameter,
    /// The number or the name of an event type (`evt.type.is.open`).
    EventType,
    /// One of these words, behind a dot and not in brackets (`evt.abspath.src`).
    Word(&'static [&'static str]),
}

/// How a field of several values is compared when written without an index (specification §3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantifier {
    /// One value: compared as it is.
    One,
    /// `proc.aname` and its like: true if any value satisfies the operator.
    Any,
    /// `fd.ip`, `fd.port`, `fd.net`, `fd.proto`, `fd.sip.name`: any value for `=`/`in`, every value for `!=`, which
    /// also holds if there are none. An output shows the first.
    Endpoints,
}

/// The sources that offer a field, a bit per [`SourceId`].
pub type SourceMask = u8;

/// Properties of a field, or-ed together.
pub mod field_flags {
    /// Only in conditions, not in outputs.
    pub const FILTER_ONLY: u16 = 1;
    /// On neither side of a field-to-field comparison.
    pub const NO_RHS: u16 = 2;
    /// Takes no transformer.
    pub const NO_TRANSFORMER: u16 = 4;
    /// Still understood; a warning says what to use.
    pub const DEPRECATED: u16 = 8;
    /// Not listed.
    pub const HIDDEN: u16 = 16;
    /// Appended by `suggested_output`.
    pub const SUGGESTED: u16 = 32;
    /// `field.arg` is another way to write `field[arg]` (`evt.arg.name`, `thread.cgroup.cpu`).
    pub const DOTTED_ARG: u16 = 64;
    /// No source fills it yet: a rule that needs it is reported blind.
    pub const UNAVAILABLE: u16 = 128;
    /// Its value takes work for each event that asks for it, or waiting: conditions ask for it last.
    pub const COSTLY: u16 = 256;
    /// Depends on nothing but the process that made the event: the same while [`super::Record::process_state`] is.
    pub const OF_PROCESS: u16 = 512;
    /// Its values are found out from what conditions compare it with: a comparison other than with given texts is
    /// blind.
    pub const ONLY_COMPARED: u16 = 1024;
}

/// One row of the field table, as the rule language sees it.
#[derive(Debug, Clone, Copy)]
pub struct FieldSpec {
    /// `class.name`.
    pub name: &'static str,
    /// Element type for lists.
    pub ty: FieldType,
    /// A list field: `in`, `intersects` and `exists` only.
    pub list: bool,
    /// Argument form.
    pub arg: ArgRule,
    /// Comparison without an index.
    pub quantifier: Quantifier,
    /// See [`field_flags`].
    pub flags: u16,
    /// Which sources offer it.
    pub sources: SourceMask,
    /// One sentence for users.
    pub description: &'static str,
}

impl FieldSpec {
    /// Whether all of the given [`field_flags`] are set.
    pub const fn has(&self, flags: u16) -> bool {
        self.flags & flags == flags
    }

    /// Why a condition may be blind to it.
    pub const fn why_blind(&self) -> &'static str {
        if self.has(field_flags::UNAVAILABLE) {
            "no source fills it yet"
        } else {
            "it can only be compared with given texts by =, !=, in and intersects"
        }
    }
}

/// One value of `evt.type`.
#[derive(Debug, Clone)]
pub struct EventTypeSpec {
    /// The name as conditions write it.
    pub name: &'static str,
    /// How many event codes carry this name (both directions, all versions; for `LOAD_NO_EVTTYPE`).
    pub codes: u16,
    /// The names of the parameters that its events may have.
    pub parameters: Vec<&'static str>,
}

/// A source of events.
#[derive(Debug, Clone)]
pub struct SourceSpec {
    /// The name in a rule's `source:` key.
    pub name: &'static str,
    /// Whether its events are told apart by `evt.type`.
    pub typed: bool,
}

/// Everything a rule may mention.
#[derive(Debug, Clone)]
pub struct Schema {
    fields: Vec<FieldSpec>,
    by_name: FxHashMap<&'static str, Vec<FieldId>>,
    sources: Vec<SourceSpec>,
    event_types: Vec<EventTypeSpec>,
    event_by_name: FxHashMap<&'static str, EventTypeId>,
    /// Sorted; empty if any name will do.
    parameters: Vec<&'static str>,
    parameter_types: FxHashMap<&'static str, FieldType>,
}

impl Schema {
    /// Builds the look-up tables. At most 65 535 fields and event types and 8 sources are kept.
    pub fn new(fields: Vec<FieldSpec>, sources: Vec<SourceSpec>, event_types: Vec<EventTypeSpec>) -> Self {
        let mut by_name: FxHashMap<&'static str, Vec<FieldId>> = FxHashMap::default();
        for (id, field) in (0..=u16::MAX).zip(&fields) {
            by_name.entry(field.name).or_default().push(FieldId(id));
        }
        let event_by_name =
            (0..=u16::MAX).zip(&event_types).map(|(id, e)| (e.name, EventTypeId(id))).collect();
        let mut parameters: Vec<_> = event_types.iter().flat_map(|e| e.parameters.iter().copied()).collect();
        parameters.sort_unstable();
        parameters.dedup();
        let parameter_types = FxHashMap::default();
        Self { fields, by_name, sources, event_types, event_by_name, parameters, parameter_types }
    }

    /// Tells what parameters hold, in the order of the events that have them: of two with one name the first counts.
    #[must_use]
    pub fn with_parameter_types(
        mut self,
        types: impl IntoIterator<Item = (&'static str, FieldType)>,
    ) -> Self {
        for (name, ty) in types {
            self.parameter_types.entry(name).or_insert(ty);
        }
        self
    }

    /// What a parameter of this name holds, if that was told.
    pub fn parameter_type(&self, name: &str) -> Option<FieldType> {
        self.parameter_types.get(name).copied()
    }

    /// The names of parameters, sorted.
    pub fn parameters(&self) -> &[&'static str] {
        &self.parameters
    }

    /// Every field, indexed by [`FieldId`].
    pub fn fields(&self) -> &[FieldSpec] {
        &self.fields
    }

    /// The row of a field.
    pub fn field(&self, id: FieldId) -> Option<&FieldSpec> {
        self.fields.get(usize::from(id.0))
    }

    /// The field of this exact name in a source.
    pub fn find_field(&self, source: SourceId, name: &str) -> Option<FieldId> {
        let mask = 1u8.checked_shl(u32::from(source.0)).unwrap_or(0);
        let ids = self.by_name.get(name)?;
        ids.iter().copied().find(|id| self.field(*id).is_some_and(|f| f.sources & mask != 0))
    }

    /// Every source, indexed by [`SourceId`].
    pub fn sources(&self) -> &[SourceSpec] {
        &self.sources
    }

    /// The source of this name.
    pub fn find_source(&self, name: &str) -> Option<SourceId> {
        (0..=u8::MAX).zip(&self.sources).find(|(_, s)| s.name == name).map(|(id, _)| SourceId(id))
    }

    /// Every event type, indexed by [`EventTypeId`].
    pub fn event_types(&self) -> &[EventTypeSpec] {
        &self.event_types
    }

    /// Whether events of a type may have a parameter of this name.
    pub fn has_parameter(&self, ty: EventTypeId, name: &str) -> bool {
        let any = self.parameters.is_empty();
        any || self.event_types.get(usize::from(ty.0)).is_none_or(|ty| ty.parameters.contains(&name))
    }

    /// The event type of this name.
    pub fn find_event_type(&self, name: &str) -> Option<EventTypeId> {
        self.event_by_name.get(name).copied()
    }
}

/// A field with its argument.
pub type FieldRef = (FieldId, Option<FieldArg>);

/// The argument of a field, parsed once at compile time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FieldArg {
    /// As written, without brackets and quotes.
    pub text: String,
    /// The number, if the text is one.
    pub index: Option<u32>,
}

/// One event, as the compiled rules see it.
pub trait Record {
    /// Its type; meaningless for sources that are not `typed`.
    fn event_type(&self) -> EventTypeId;

    /// A field's value, or `None` if the event has none. For a quantified field without an argument
    /// the values come as [`Value::List`].
    fn field<'a>(&'a self, field: FieldId, arg: Option<&FieldArg>) -> Option<Value<'a>>;

    /// The process that made the event, as far as fields flagged [`field_flags::OF_PROCESS`] tell; `None` if that is
    /// not known.
    fn process_state(&self) -> Option<ProcessState> {
        None
    }
}

/// Names a process as it is for a while. Equal ones give equal values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessState {
    /// The process.
    pub who: u64,
    /// Another one whenever the process changes.
    pub version: u64,
    /// Another one whenever something changes that others see too: their parents, for instance.
    pub changes: u64,
}
