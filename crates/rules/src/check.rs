//! Names and types of a condition against the schema (specification §3.2, §3.4).

use std::ops::Range;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    ast::{Expr, FieldName, Op, Operand, TransformArg, Transformer},
    diagnostic::TextError,
    ops::Combine,
    schema::{ArgKind, ArgRule, FieldArg, FieldRef, FieldSpec, Quantifier, Schema, SourceId, field_flags},
    suggest,
    transform::{Map, Read},
    value::FieldType,
};

/// One side of a comparison, with its type.
#[derive(Debug, Clone)]
pub(crate) struct Side {
    pub(crate) read: Read,
    pub(crate) ty: FieldType,
    pub(crate) list: bool,
    pub(crate) combine: Combine,
    /// May stand in a comparison of two fields.
    pub(crate) comparable: bool,
}

/// Looks names up in the schema and collects the fields that are read.
pub(crate) struct Resolver<'s> {
    pub(crate) schema: &'s Schema,
    pub(crate) source: SourceId,
    pub(crate) fields: Vec<FieldRef>,
    known: FxHashMap<FieldRef, usize>,
}

/// Whether an operator is defined on a type (specification §3.2).
pub(crate) fn allowed(op: Op, ty: FieldType, list: bool) -> bool {
    let equality = matches!(op, Op::Eq | Op::EqEq | Op::Ne);
    let lists = matches!(op, Op::In | Op::Intersects);
    match ty {
        _ if op == Op::Exists => true,
        _ if list => lists,
        FieldType::Dynamic => true,
        FieldType::Opaque => false,
        FieldType::Bool | FieldType::IpAddr | FieldType::IpNet => equality || lists,
        FieldType::CharBuf | FieldType::FsPath => !matches!(op, Op::BContains | Op::BStartsWith),
        FieldType::ByteBuf => {
            let text = matches!(op, Op::Contains | Op::StartsWith | Op::EndsWith);
            equality || lists || text || matches!(op, Op::BContains | Op::BStartsWith)
        }
        _ => equality || lists || op.is_order(),
    }
}

/// A field by its name as written; `evt.arg.name` is `evt.arg[name]`. Errors are about the start of the name.
pub(crate) fn find_field(
    schema: &Schema,
    source: SourceId,
    name: &str,
    arg: Option<&str>,
) -> Result<FieldRef, TextError> {
    if let Some(id) = schema.find_field(source, name) {
        let rule = match schema.field(id).map_or(ArgRule::None, |f| f.arg) {
            ArgRule::Optional(ArgKind::Word(_)) => ArgRule::None,
            rule => rule,
        };
        return Ok((id, argument(schema, name, rule, arg)?));
    }
    let dots = name.match_indices('.').map(|(at, _)| at).rev();
    let dotted = dots.filter_map(|at| {
        let id = schema.find_field(source, name.get(..at)?)?;
        let spec = schema.field(id).filter(|f| f.has(field_flags::DOTTED_ARG) && arg.is_none())?;
        Some((id, spec.arg, name.get(at.saturating_add(1)..)?))
    });
    let Some((id, rule, rest)) = dotted.into_iter().next() else {
        return Err(TextError::new(format!("filter_check called with nonexistent field {name}"), 0));
    };
    Ok((id, argument(schema, name, rule, Some(rest))?))
}

/// Every field that a condition reads, each once, as they are written. It walks through all macros.
pub(crate) fn fields_of(tree: &Expr, schema: &Schema, source: SourceId) -> Vec<FieldRef> {
    let (mut seen, mut found) = (FxHashSet::default(), Vec::new());
    tree.checks(&mut |check| {
        let named = |field: FieldName| find_field(schema, source, field.name, field.arg).ok();
        let fields = check.fields().into_iter().filter_map(named);
        found.extend(fields.filter(|field| seen.insert(field.clone())));
    });
    found
}

fn argument(
    schema: &Schema,
    name: &str,
    rule: ArgRule,
    arg: Option<&str>,
) -> Result<Option<FieldArg>, TextError> {
    let error = |message: String| TextError::new(message, 0);
    let kind = match (rule, arg) {
        (ArgRule::None | ArgRule::Optional(_), None) => return Ok(None),
        (ArgRule::None, Some(_)) => return Err(error(format!("field '{name}' does not take an argument"))),
        (ArgRule::Required(_), None) => {
            return Err(error(format!("field '{name}' requires an argument: {name}[…]")));
        }
        (ArgRule::Optional(kind) | ArgRule::Required(kind), Some(_)) => kind,
    };
    let text = arg.unwrap_or_default().to_owned();
    let index = text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    if index.is_none() || matches!(kind, ArgKind::Word(_)) {
        known_word(schema, name, kind, &text)?;
    }
    Ok(Some(FieldArg { text, index }))
}

/// Refuses a text where only a number is possible, and a name that nothing has.
fn known_word(schema: &Schema, name: &str, kind: ArgKind, text: &str) -> Result<(), TextError> {
    let parameters = schema.parameters();
    let known = match kind {
        ArgKind::Key | ArgKind::IndexOrKey => true,
        ArgKind::Index => false,
        ArgKind::Parameter => parameters.is_empty() || parameters.binary_search(&text).is_ok(),
        ArgKind::EventType => schema.find_event_type(text).is_some(),
        ArgKind::Word(words) => words.contains(&text),
    };
    if known {
        return Ok(());
    }
    let near = |names: &[&str]| suggest::did_you_mean(text, names.iter().copied());
    let (message, help) = match kind {
        ArgKind::Parameter => (format!("unknown event argument {text}: no event has it"), near(parameters)),
        ArgKind::EventType => {
            let names: Vec<_> = schema.event_types().iter().map(|event| event.name).collect();
            (format!("unknown event type {text}"), near(&names))
        }
        ArgKind::Word(words) => (format!("filter_check called with nonexistent field {name}"), near(words)),
        _ => (format!("field '{name}' takes a number as argument, not '{text}'"), String::new()),
    };
    Err(TextError::new(message, 0).help(help))
}

impl<'s> Resolver<'s> {
    /// No fields yet.
    pub(crate) fn new(schema: &'s Schema, source: SourceId) -> Self {
        Self { schema, source, fields: Vec::new(), known: FxHashMap::default() }
    }

    /// Leaves out the fields from this place on.
    pub(crate) fn forget(&mut self, from: usize) {
        for field in self.fields.drain(from.min(self.fields.len())..) {
            self.known.remove(&field);
        }
    }

    /// A field or transformer.
    pub(crate) fn side(&mut self, operand: &Operand) -> Result<Side, TextError> {
        match operand {
            Operand::Field { name, arg, span } => {
                let (side, _) = self.field(name, arg.as_deref(), span)?;
                Ok(side)
            }
            Operand::Transform { name, args, selector, span } => {
                self.transform(*name, args, selector.as_deref(), span)
            }
        }
    }

    fn field(
        &mut self,
        name: &str,
        arg: Option<&str>,
        span: &Range<usize>,
    ) -> Result<(Side, FieldSpec), TextError> {
        let found = find_field(self.schema, self.source, name, arg);
        let field = found.map_err(|error| {
            let help = if error.help.is_empty() { self.field_help(name) } else { error.help.clone() };
            TextError { offset: span.start, help, ..error }
        })?;
        let Some(spec) = self.schema.field(field.0).copied() else {
            return Err(TextError::new(format!("field '{name}' is not in the schema"), span.start));
        };
        let combine = match spec.quantifier {
            _ if spec.list => Combine::List,
            Quantifier::Endpoints => Combine::Endpoints,
            Quantifier::One | Quantifier::Any => Combine::Any,
        };
        let comparable = !spec.has(field_flags::NO_RHS);
        let ty = self.ty(&spec, field.1.as_ref());
        let read = Read::Field(self.slot(field));
        Ok((Side { read, ty, list: spec.list, combine, comparable }, spec))
    }

    /// A parameter by name has the type of the first event that has it (specification §3.3).
    fn ty(&self, spec: &FieldSpec, arg: Option<&FieldArg>) -> FieldType {
        let named = arg.filter(|arg| spec.ty == FieldType::Dynamic && arg.index.is_none());
        named.and_then(|arg| self.schema.parameter_type(&arg.text)).unwrap_or(spec.ty)
    }

    /// The place of a field among those that are read.
    pub(crate) fn slot(&mut self, field: FieldRef) -> usize {
        let next = self.fields.len();
        *self.known.entry(field).or_insert_with_key(|field| {
            self.fields.push(field.clone());
            next
        })
    }

    fn field_help(&self, name: &str) -> String {
        if find_field(self.schema, self.source, name, None).is_ok() {
            return String::new();
        }
        let elsewhere = self.schema.sources().iter().find(|s| {
            self.schema.find_source(s.name).is_some_and(|id| find_field(self.schema, id, name, None).is_ok())
        });
        if let Some(source) = elsewhere {
            return format!(
                "'{name}' is a field of source {}: give the rule 'source: {}'",
                source.name, source.name
            );
        }
        let offered =
            self.schema.fields().iter().filter(|f| {
                self.schema.find_field(self.source, f.name).is_some() && !f.has(field_flags::HIDDEN)
            });
        suggest::did_you_mean(name, offered.map(|f| f.name))
    }

    fn transform(
        &mut self,
        name: Transformer,
        args: &[TransformArg],
        selector: Option<&str>,
        span: &Range<usize>,
    ) -> Result<Side, TextError> {
        let error = |message: String| TextError::new(format!("filter error: {message}"), span.start);
        if selector.is_some() && name != Transformer::GetOpt {
            let message = format!("transformer '{}' does not support field arguments", name.name());
            return Err(error(message));
        }
        match name {
            Transformer::Join => self.join(args, span),
            Transformer::Concat => self.concat(args, span),
            Transformer::GetOpt => self.getopt(args, selector, span),
            _ => match args {
                [TransformArg::Operand(inner)] if name == Transformer::Val => self.inner(inner, name),
                [arg] => {
                    let inner = self.argument(arg, name, span)?;
                    single(name, inner).map_err(error)
                }
                _ => Err(error(format!("transformer '{}' takes one argument", name.name()))),
            },
        }
    }

    /// A field or transformer within a transformer.
    fn inner(&mut self, operand: &Operand, name: Transformer) -> Result<Side, TextError> {
        let Operand::Field { name: field, arg, span } = operand else { return self.side(operand) };
        let (side, spec) = self.field(field, arg.as_deref(), span)?;
        if name != Transformer::Val && spec.has(field_flags::NO_TRANSFORMER) {
            let message = format!("field '{field}' does not support transformers");
            return Err(TextError::new(message, span.start));
        }
        Ok(side)
    }

    fn argument(
        &mut self,
        arg: &TransformArg,
        name: Transformer,
        span: &Range<usize>,
    ) -> Result<Side, TextError> {
        let constant = |text: &[u8], ty| Side {
            read: Read::Const(text.to_vec()),
            ty,
            list: false,
            combine: Combine::Any,
            comparable: true,
        };
        match arg {
            TransformArg::Operand(inner) => self.inner(inner, name),
            TransformArg::Text(text) => Ok(constant(text, FieldType::CharBuf)),
            TransformArg::Number(number) => Ok(constant(number.as_bytes(), FieldType::CharBuf)),
            TransformArg::List(_) => {
                let members = self.members(arg, name, span)?;
                let read = Read::List(members.into_iter().map(|member| member.read).collect());
                Ok(Side { list: true, combine: Combine::List, ..scalar(read, FieldType::CharBuf) })
            }
        }
    }

    /// The members of a list argument, or a list field.
    fn members(
        &mut self,
        arg: &TransformArg,
        name: Transformer,
        span: &Range<usize>,
    ) -> Result<Vec<Side>, TextError> {
        if let TransformArg::List(items) = arg {
            return items.iter().map(|i| self.argument(i, name, span)).collect();
        }
        let side = self.argument(arg, name, span)?;
        if side.list {
            return Ok(vec![side]);
        }
        let message =
            format!("filter error: transformer '{}' needs a list, like (a.b, \"text\")", name.name());
        Err(TextError::new(message, span.start))
    }

    fn join(&mut self, args: &[TransformArg], span: &Range<usize>) -> Result<Side, TextError> {
        let [separator, list] = args else {
            let message = "filter error: transformer 'join' takes a separator and a list";
            return Err(TextError::new(message, span.start));
        };
        let separator = self.argument(separator, Transformer::Join, span)?;
        if !is_text(separator.ty) || separator.list {
            return Err(TextError::new("filter error: the separator of 'join' must be a text", span.start));
        }
        let items = self.members(list, Transformer::Join, span)?;
        let reads = items.into_iter().map(|i| i.read).collect();
        Ok(scalar(Read::Join(Box::new(separator.read), reads), FieldType::CharBuf))
    }

    fn concat(&mut self, args: &[TransformArg], span: &Range<usize>) -> Result<Side, TextError> {
        let error = |m: &str| Err(TextError::new(format!("filter error: {m}"), span.start));
        if args.len() < 2 {
            return error("transformer 'concat' takes two or more arguments");
        }
        let mut reads = Vec::with_capacity(args.len());
        for arg in args {
            let side = self.argument(arg, Transformer::Concat, span)?;
            if !is_text(side.ty) || side.list {
                return error("transformer 'concat' takes texts only");
            }
            reads.push(side.read);
        }
        Ok(scalar(Read::Concat(reads), FieldType::CharBuf))
    }

    fn getopt(
        &mut self,
        args: &[TransformArg],
        selector: Option<&str>,
        span: &Range<usize>,
    ) -> Result<Side, TextError> {
        let error = |m: &str| TextError::new(format!("filter error: {m}"), span.start);
        let takes = "transformer 'getopt' takes a list of arguments and a text of options";
        let [list, options] = args else { return Err(error(takes)) };
        let selector = match selector.map(str::as_bytes) {
            None => None,
            Some([option]) => Some(*option),
            Some(_) => return Err(error("the selector of 'getopt' is one option letter")),
        };
        let items = self.members(list, Transformer::GetOpt, span)?;
        let args = items.into_iter().map(|i| i.read).collect();
        let options = self.argument(options, Transformer::GetOpt, span)?;
        if !is_text(options.ty) || options.list {
            return Err(error(takes));
        }
        let options = Box::new(options.read);
        let side = scalar(Read::GetOpt { args, options, selector }, FieldType::CharBuf);
        let list = selector.is_none();
        Ok(Side { list, combine: if list { Combine::List } else { Combine::Any }, ..side })
    }
}

fn scalar(read: Read, ty: FieldType) -> Side {
    Side { read, ty, list: false, combine: Combine::Any, comparable: true }
}

const fn is_text(ty: FieldType) -> bool {
    matches!(ty, FieldType::CharBuf | FieldType::FsPath)
}

/// A transformer of one argument.
fn single(name: Transformer, inner: Side) -> Result<Side, String> {
    let buffer = inner.ty == FieldType::ByteBuf;
    let (map, fits) = match name {
        Transformer::ToLower => (Map::Lower, is_text(inner.ty)),
        Transformer::ToUpper => (Map::Upper, is_text(inner.ty)),
        Transformer::Basename => (Map::Basename, is_text(inner.ty)),
        Transformer::B64 => (Map::B64, is_text(inner.ty) || buffer),
        _ if is_text(inner.ty) || buffer || inner.list => {
            return Ok(scalar(Read::Len(Box::new(inner.read)), FieldType::Uint64));
        }
        _ => (Map::Lower, false),
    };
    if !fits {
        return Err(format!("transformer '{}' cannot be applied to a value of this type", name.name()));
    }
    Ok(Side { read: Read::Map(map, Box::new(inner.read)), ..inner })
}
