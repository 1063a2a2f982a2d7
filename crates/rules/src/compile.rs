//! Tree to a condition that can be evaluated.

use std::{
    collections::BTreeSet,
    hash::{Hash, Hasher},
    ops::Range,
    sync::Arc,
};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    ast::{Body, Check, Expr, Op, Operand, Right, Span, Transformer},
    cache::{Cache, Places},
    check::{self, Resolver, Side},
    diagnostic::{Code, TextError, TextWarning},
    evaluate::{Against, Atom},
    event_types::{self, EventTypeSet, Outcomes, TYPE_FIELD},
    limits::{MAX_DEPTH, MAX_NODES, MAX_PATTERN_BYTES},
    ops::{Combine, Test, pattern},
    parse,
    schema::{FieldId, FieldRef, FieldSpec, Record, Schema, SourceId, field_flags},
    suggest,
    value::FieldType,
};

/// A compiled condition.
#[derive(Debug, Clone)]
pub struct Condition {
    pub(crate) root: Node,
    /// What it reads itself, beside its macros.
    pub(crate) own_fields: Vec<FieldRef>,
    /// What it reads with its macros, whatever the arguments: so it is small in each of many rules that share a macro.
    fields: BTreeSet<FieldId>,
    /// Those of its fields to which it is blind.
    blind: BTreeSet<FieldId>,
    operators: BTreeSet<&'static str>,
    outcomes: Outcomes,
    warnings: Vec<TextWarning>,
}

#[derive(Debug, Clone)]
pub(crate) enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    /// A macro, which has a numbering of fields of its own.
    Part(Arc<Condition>),
    /// With its printed form, which tells equal comparisons of several rules.
    Atom(Box<(String, Atom)>),
}

/// What the conditions of a load share: a macro is compiled once for each source.
#[derive(Debug)]
pub(crate) struct Parts {
    known: FxHashMap<(SourceId, Address), Result<Arc<Condition>, TextError>>,
    /// Bytes that patterns may still take.
    pub(crate) pattern_room: usize,
}

/// A macro's tree, told from others by its place in memory.
#[derive(Debug)]
struct Address(Arc<Body>);

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Address {}

impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl Default for Parts {
    fn default() -> Self {
        Self { known: FxHashMap::default(), pattern_room: MAX_PATTERN_BYTES }
    }
}

impl Parts {
    /// Compiles a condition whose macros are trees.
    pub(crate) fn compile(
        &mut self,
        expr: &Expr,
        schema: &Schema,
        source: SourceId,
    ) -> Result<Condition, TextError> {
        let mut compiler = Compiler {
            fields: Resolver::new(schema, source),
            typed: is_typed(schema, source),
            known: self,
            blind: BTreeSet::new(),
            read: BTreeSet::new(),
            operators: BTreeSet::new(),
            warnings: Vec::new(),
            nodes: 0,
        };
        let root = compiler.node(expr, 0)?;
        Ok(compiler.finish(root, expr))
    }

    fn part(
        &mut self,
        body: &Arc<Body>,
        schema: &Schema,
        source: SourceId,
    ) -> Result<Arc<Condition>, TextError> {
        let key = (source, Address(Arc::clone(body)));
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let compiled = self.compile(&body.tree, schema, source).map(Arc::new);
        // Another file may have room for the patterns that were too many here.
        if self.pattern_room > 0 || compiled.is_ok() {
            self.known.insert(key, compiled.clone());
        }
        compiled
    }
}

impl Condition {
    /// Compiles a condition without names of macros.
    pub fn compile(expr: &Expr, schema: &Schema, source: SourceId) -> Result<Self, TextError> {
        Parts::default().compile(expr, schema, source)
    }

    /// What an author may have meant differently.
    pub fn warnings(&self) -> &[TextWarning] {
        &self.warnings
    }

    /// The event types on which the condition can be true; all for a source without event types.
    pub fn event_types(&self) -> &EventTypeSet {
        &self.outcomes.holds
    }

    /// The fields that it reads, whatever their arguments; [`check::fields_of`] tells these, too.
    pub(crate) fn fields(&self) -> &BTreeSet<FieldId> {
        &self.fields
    }

    /// Those of its fields to which it is blind: no source fills them, or not for what they are compared with.
    pub(crate) fn blind(&self) -> &BTreeSet<FieldId> {
        &self.blind
    }

    /// The texts that fields of a kind are compared with, each once.
    pub(crate) fn compared(&self, kind: &impl Fn(FieldId) -> bool) -> Vec<&[u8]> {
        let (mut seen, mut found) = (FxHashSet::default(), Vec::new());
        self.atoms(&mut |atom, of| {
            let Against::Test(test) = &atom.right else { return };
            let mut fields = atom.slots.iter().filter_map(|slot| of.own_fields.get(*slot));
            if fields.any(|(id, _)| kind(*id)) {
                found.extend(test.equal_texts().into_iter().flatten().filter(|text| seen.insert(*text)));
            }
        });
        found
    }

    /// Calls `visit` for each comparison in the order in which they are written, with the condition whose fields it
    /// names. Those of a macro are visited once.
    fn atoms<'c>(&'c self, visit: &mut impl FnMut(&'c Atom, &'c Self)) {
        self.root.atoms(self, &mut FxHashSet::default(), visit);
    }

    /// The operators that the condition uses, sorted by name.
    pub fn operators(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.operators.iter().copied()
    }

    /// Whether the condition holds for one event.
    pub fn matches(&self, record: &dyn Record) -> bool {
        let mut places = Places::default();
        self.root.holds(&mut Cache::new(record, &self.own_fields, &mut places, Vec::new()))
    }
}

/// Whether more event codes can match than is good, for `LOAD_NO_EVTTYPE`; an empty set is no reason to warn.
pub fn too_many_event_types(condition: &Condition, schema: &Schema, source: SourceId) -> bool {
    let codes = condition.event_types().codes(schema);
    is_typed(schema, source) && codes > event_types::MAX_EVENT_CODES
}

fn is_typed(schema: &Schema, source: SourceId) -> bool {
    schema.sources().get(usize::from(source.0)).is_some_and(|s| s.typed)
}

impl Node {
    fn holds(&self, cache: &mut Cache<'_, '_>) -> bool {
        match self {
            Self::And(members) => members.iter().all(|m| m.holds(cache)),
            Self::Or(members) => members.iter().any(|m| m.holds(cache)),
            Self::Not(inner) => !inner.holds(cache),
            Self::Part(part) => part.matches(cache.record),
            Self::Atom(atom) => atom.1.holds(cache),
        }
    }

    /// See [`Condition::atoms`].
    fn atoms<'c>(
        &'c self,
        of: &'c Condition,
        parts: &mut FxHashSet<*const Condition>,
        visit: &mut impl FnMut(&'c Atom, &'c Condition),
    ) {
        match self {
            Self::And(members) | Self::Or(members) => members.iter().for_each(|m| m.atoms(of, parts, visit)),
            Self::Not(inner) => inner.atoms(of, parts, visit),
            Self::Part(part) if parts.insert(Arc::as_ptr(part)) => part.root.atoms(part, parts, visit),
            Self::Part(_) => {}
            Self::Atom(atom) => visit(&atom.1, of),
        }
    }
}

/// The patterns of a load take too much memory.
fn too_many_patterns(offset: usize) -> TextError {
    let message = format!("all regular expressions and globs compile to more than {MAX_PATTERN_BYTES} bytes");
    TextError::new(message, offset).help("use lists, or fewer repetitions".to_owned())
}

struct Compiler<'s, 'p> {
    fields: Resolver<'s>,
    /// The source has event types.
    typed: bool,
    /// What macros read.
    read: BTreeSet<FieldId>,
    operators: BTreeSet<&'static str>,
    known: &'p mut Parts,
    blind: BTreeSet<FieldId>,
    warnings: Vec<TextWarning>,
    nodes: usize,
}

impl Compiler<'_, '_> {
    fn node(&mut self, expr: &Expr, depth: usize) -> Result<Node, TextError> {
        self.nodes = self.nodes.saturating_add(1);
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            let message = format!(
                "the condition is too large with its macros: at most {MAX_DEPTH} levels and {MAX_NODES} parts"
            );
            return Err(TextError::new(message, 0));
        }
        let below = depth.saturating_add(1);
        match expr {
            Expr::And(members) => self.nodes(members, below).map(Node::And),
            Expr::Or(members) => self.nodes(members, below).map(Node::Or),
            Expr::Not(inner) => self.node(inner, below).map(|n| Node::Not(Box::new(n))),
            Expr::Check(check) => self.atom(check),
            Expr::Body(body, name) => self.part(body, name),
            Expr::Macro(name) => {
                let message = format!("Undefined macro '{}' used in filter.", name.text);
                Err(TextError::new(message, name.span.start))
            }
        }
    }

    fn nodes(&mut self, members: &[Expr], depth: usize) -> Result<Vec<Node>, TextError> {
        // A loop, because the frames of an iterator would multiply with the depth.
        let mut nodes = Vec::with_capacity(members.len());
        for member in members {
            nodes.push(self.node(member, depth)?);
        }
        Ok(nodes)
    }

    /// The positions of what is wrong in a macro are that of its name.
    fn part(&mut self, body: &Arc<Body>, name: &Span) -> Result<Node, TextError> {
        let (schema, source) = (self.fields.schema, self.fields.source);
        let part = self.known.part(body, schema, source).map_err(|error| error.at(name, &body.name))?;
        self.blind.extend(&part.blind);
        self.read.extend(&part.fields);
        self.operators.extend(&part.operators);
        self.warnings.extend(part.warnings.iter().map(|warning| warning.at(name)));
        Ok(Node::Part(part))
    }

    fn finish(self, root: Node, expr: &Expr) -> Condition {
        let outcomes = self.outcomes(expr);
        let Self { fields: Resolver { fields: own_fields, .. }, read, blind, operators, warnings, .. } = self;
        let fields = own_fields.iter().map(|(id, _)| *id).chain(read).collect();
        Condition { root, own_fields, fields, blind, operators, outcomes, warnings }
    }

    fn outcomes(&self, expr: &Expr) -> Outcomes {
        let (schema, source) = (self.fields.schema, self.fields.source);
        if !self.typed {
            return Outcomes::unknown(schema);
        }
        Outcomes::of(expr, schema, &|body| match self.known.known.get(&(source, Address(Arc::clone(body)))) {
            Some(Ok(part)) => part.outcomes.clone(),
            _ => Outcomes::unknown(schema),
        })
    }

    fn atom(&mut self, check: &Check) -> Result<Node, TextError> {
        self.operators.insert(check.op.name());
        let left = self.fields.side(&check.left)?;
        if !check::allowed(check.op, left.ty, left.list) {
            return Err(Self::not_allowed(check, &left));
        }
        self.refuse_changed_event_type(check)?;
        self.warn(check);
        let right = match &check.right {
            Right::Operand(right) => self.against_side(check, &left, right)?,
            _ => Against::Test(self.counted_test(check, &left)?),
        };
        let mut atom = Atom::new(left.read, left.combine, right);
        if self.typed {
            atom.types = event_types::decided(check, self.fields.schema).map(Box::new);
        }
        self.note_blind(&atom);
        Ok(Node::Atom(Box::new((check.to_string(), atom))))
    }

    /// Keeps those of the fields of a comparison to which it is blind.
    fn note_blind(&mut self, atom: &Atom) {
        let schema = self.fields.schema;
        let texts = || matches!(&atom.right, Against::Test(test) if test.equal_texts().is_some());
        let blind = |field: &FieldSpec| {
            field.has(field_flags::UNAVAILABLE) || field.has(field_flags::ONLY_COMPARED) && !texts()
        };
        let fields = atom.slots.iter().filter_map(|slot| self.fields.fields.get(*slot));
        self.blind.extend(fields.map(|(id, _)| *id).filter(|id| schema.field(*id).is_some_and(blind)));
    }

    fn not_allowed(check: &Check, left: &Side) -> TextError {
        let op = check.op.name();
        let kind = if left.list { "a list".to_owned() } else { format!("of type {:?}", left.ty) };
        let possible = Op::ALL.iter().filter(|o| check::allowed(**o, left.ty, left.list));
        let names: Vec<_> = possible.map(|o| o.name()).collect();
        let message = format!("operator '{op}' is not possible: '{}' is {kind}", check.left);
        TextError::new(message, check.span.start).help(format!("use one of {}", names.join(" ")))
    }

    fn against_side(&mut self, check: &Check, left: &Side, right: &Operand) -> Result<Against, TextError> {
        let error = |message: String| TextError::new(format!("filter error: {message}"), check.value);
        let right_side = self.fields.side(right)?;
        if matches!(check.op, Op::Regex | Op::PMatch) {
            return Err(error(format!("'{}' cannot be compared with another field", check.op.name())));
        }
        let told = self.typed && event_types::is_told_with(check.op) && event_types::is_told_by(&check.left);
        if told || !left.comparable || !right_side.comparable {
            return Err(error(format!("'{}' cannot be compared with '{right}'", check.left)));
        }
        if (left.ty, left.list) != (right_side.ty, right_side.list) {
            return Err(error(format!("'{}' and '{right}' have different types", check.left)));
        }
        Ok(Against::Side(check.op, Box::new(right_side.read)))
    }

    fn is_event_type(&self, operand: &Operand) -> bool {
        self.typed && matches!(operand, Operand::Field { name, .. } if name == TYPE_FIELD)
    }

    /// Which events a rule runs on could not be told any more (specification §4).
    fn refuse_changed_event_type(&self, check: &Check) -> Result<(), TextError> {
        let Operand::Transform { args, .. } = &check.left else { return Ok(()) };
        if !self.typed || !event_types::is_told_with(check.op) || !args.iter().any(event_types::is_hidden_in)
        {
            return Ok(());
        }
        let message =
            format!("filter error: an event type cannot be compared under a transformer: '{}'", check.left);
        Err(TextError::new(message, check.span.start).help("compare the field itself".to_owned()))
    }

    fn counted_test(&mut self, check: &Check, left: &Side) -> Result<Test, TextError> {
        let test = self.test(check, left)?;
        let left = self.known.pattern_room.checked_sub(test.pattern_bytes());
        self.known.pattern_room = left.unwrap_or(0);
        left.map(|_| test).ok_or_else(|| too_many_patterns(check.value))
    }

    fn test(&self, check: &Check, left: &Side) -> Result<Test, TextError> {
        if self.is_event_type(&check.left) {
            self.known_event_types(check)?;
        }
        let one = |text: &[u8]| Test::with_literal(check.op, text, left.ty);
        let test = match &check.right {
            Right::None | Right::Operand(_) => Ok(Test::Exists),
            Right::Literal(text) => one(text),
            Right::List(texts) => Test::with_list(check.op, visible(texts, left), left.ty),
            Right::ListName(name) => one(name.text.as_bytes()),
            Right::Modified(modifier, texts) => texts
                .iter()
                .map(|t| one(t))
                .collect::<Result<_, _>>()
                .map(|tests| Test::Modified(*modifier, tests)),
            Right::ModifiedName(modifier, name) => {
                one(name.text.as_bytes()).map(|test| Test::Modified(*modifier, vec![test]))
            }
        };
        test.map_err(|message| TextError::new(message, check.value))
    }

    fn known_event_types(&self, check: &Check) -> Result<(), TextError> {
        let schema = self.fields.schema;
        for text in literals(&check.right) {
            let name = String::from_utf8_lossy(text);
            if schema.find_event_type(&name).is_none() {
                let known = schema.event_types().iter().map(|e| e.name);
                let error = TextError::new(format!("unknown event type {name}"), check.value);
                return Err(error.help(suggest::did_you_mean(&name, known)));
            }
        }
        Ok(())
    }

    /// Warnings of specification §3.6.
    fn warn(&mut self, check: &Check) {
        for text in literals(&check.right) {
            let Ok(text) = std::str::from_utf8(text) else { continue };
            for message in self.misused(check.op, text) {
                let (code, offset) = (Code::LoadCompileCondition, check.value);
                self.warnings.push(TextWarning { code, message, offset, deprecated_field: None });
            }
        }
    }

    /// What a literal may have been meant to be. Blanks within it do not matter.
    fn misused(&self, op: Op, text: &str) -> Vec<String> {
        let dense: String = text.split_ascii_whitespace().collect();
        let regex = (op == Op::Regex && pattern::is_simple(text)).then(|| {
            format!(
                "regex check with '{text}' may be optimized with simpler operators such as '=', 'contains', 'startswith', 'endswith'"
            )
        });
        let field = self
            .is_field(&dense)
            .then(|| format!("'{text}' may be a valid field misused as a const string value"));
        let transformer = is_transformer(&dense)
            .then(|| format!("'{text}' may be a valid field transformer misused as a const string value"));
        [regex, field, transformer].into_iter().flatten().collect()
    }

    fn is_field(&self, text: &str) -> bool {
        let Ok((Operand::Field { name, arg, span }, _)) = parse::operand_prefix(text, true) else {
            return false;
        };
        let whole: Range<usize> = 0..text.len();
        let Resolver { schema, source, .. } = self.fields;
        span == whole && check::find_field(schema, source, &name, arg.as_deref()).is_ok()
    }
}

/// `tolower(…)`, whatever stands in it.
fn is_transformer(text: &str) -> bool {
    let call = |t: &Transformer| text.strip_prefix(t.name()).is_some_and(|rest| rest.starts_with('('));
    text.ends_with(')') && (text.starts_with("val(") || Transformer::ALL.iter().any(call))
}

/// `fd.net in (a, b)` looks at the first network only (specification §3.3).
fn visible<'t>(texts: &'t [Vec<u8>], left: &Side) -> &'t [Vec<u8>] {
    let first_only = left.combine == Combine::Endpoints && left.ty == FieldType::IpNet;
    if first_only { texts.get(..1).unwrap_or(texts) } else { texts }
}

/// The constants on the right side.
fn literals(right: &Right) -> impl Iterator<Item = &[u8]> {
    let (one, many): (Option<&[u8]>, &[Vec<u8>]) = match right {
        Right::Literal(text) => (Some(text), &[]),
        Right::List(texts) | Right::Modified(_, texts) => (None, texts),
        Right::ListName(name) | Right::ModifiedName(_, name) => (Some(name.text.as_bytes()), &[]),
        Right::None | Right::Operand(_) => (None, &[]),
    };
    one.into_iter().chain(many.iter().map(Vec::as_slice))
}
