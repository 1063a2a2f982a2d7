//! The output format language (specification §5.1).

use std::fmt::Write as _;

use crate::{
    ast::{Operand, TransformArg, Transformer},
    cache::{Cache, Places},
    check::Resolver,
    diagnostic::TextError,
    ops::Combine,
    parse, render,
    schema::{FieldArg, FieldId, FieldRef, Record, Schema, SourceId, field_flags},
    suggest,
    transform::Read,
    value::FieldType,
};

/// What stands for an absent value.
pub const ABSENT: &str = "<NA>";

/// Widest padding.
const MAX_WIDTH: usize = 4096;

/// A compiled output.
#[derive(Debug, Clone)]
pub struct Template {
    parts: Vec<Part>,
    /// What is read, each field once.
    slots: Vec<FieldRef>,
    fields: Vec<TemplateField>,
}

/// A field of an output: a key of `output_fields`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateField {
    /// As written, with its argument.
    pub key: String,
    /// The field.
    pub id: FieldId,
    /// Its argument.
    pub arg: Option<FieldArg>,
}

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Value {
        read: Read,
        ty: FieldType,
        /// Of [`crate::schema::Quantifier::Endpoints`].
        endpoints: bool,
        /// The field's name, for its rendering; empty for a transformer.
        name: String,
        /// Exactly this many characters, if not 0.
        width: usize,
    },
}

impl Template {
    /// Compiles an output. Of a `%` the longest text is taken that is a field or a transformer.
    pub fn compile(text: &str, schema: &Schema, source: SourceId) -> Result<Self, TextError> {
        let resolver = Resolver::new(schema, source);
        let mut compiler = Compiler { text, pos: 0, resolver, parts: Vec::new(), fields: Vec::new() };
        while let Some((before, _)) = compiler.rest().split_once('%') {
            compiler.literal(before);
            compiler.token()?;
        }
        let end = compiler.rest();
        compiler.literal(end);
        Ok(Self { parts: compiler.parts, slots: compiler.resolver.fields, fields: compiler.fields })
    }

    /// Appends the output for one event; an absent value is `<NA>`.
    pub fn render(&self, record: &dyn Record, out: &mut String) {
        let mut places = Places::default();
        let mut cache = self.load(record, &mut places);
        for part in &self.parts {
            part.render(&mut cache, out).unwrap_or_else(|width| pad(out, ABSENT, width));
        }
    }

    /// Appends the output for one event up to the first absent value; whether there was none.
    pub fn render_strict(&self, record: &dyn Record, out: &mut String) -> bool {
        let mut places = Places::default();
        let mut cache = self.load(record, &mut places);
        self.parts.iter().all(|part| part.render(&mut cache, out).is_ok())
    }

    /// The fields of the output, each once, in the order of their first use. A transformer has no key of its
    /// own; the fields within it have.
    pub fn fields(&self) -> impl Iterator<Item = &TemplateField> {
        self.fields.iter()
    }

    fn load<'r, 's>(&'r self, record: &'r dyn Record, places: &'s mut Places) -> Cache<'r, 's> {
        let mut cache = Cache::new(record, &self.slots, places, Vec::new());
        for slot in 0..self.slots.len() {
            cache.read(slot);
        }
        cache
    }
}

impl Part {
    /// Fails with the width of an absent value.
    fn render(&self, cache: &mut Cache<'_, '_>, out: &mut String) -> Result<(), usize> {
        match self {
            Self::Text(text) => out.push_str(text),
            Self::Value { read, ty, endpoints, name, width } => {
                let value = read.get(cache).ok_or(*width)?;
                let value = render::shown(&value, *endpoints).ok_or(*width)?;
                if *width == 0 {
                    render::write_text(out, value, *ty, name);
                } else {
                    pad(out, &render::text(value, *ty, name), *width);
                }
            }
        }
        Ok(())
    }
}

/// Exactly `width` characters, or all of them for 0.
fn pad(out: &mut String, text: &str, width: usize) {
    if width == 0 {
        out.push_str(text);
    } else {
        // Writing to a string cannot fail.
        let _ = write!(out, "{text:<width$.width$}");
    }
}

struct Compiler<'t> {
    text: &'t str,
    pos: usize,
    resolver: Resolver<'t>,
    parts: Vec<Part>,
    fields: Vec<TemplateField>,
}

impl<'t> Compiler<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.pos..).unwrap_or_default()
    }

    fn skip(&mut self, length: usize) {
        self.pos = self.pos.saturating_add(length);
    }

    fn literal(&mut self, text: &str) {
        self.skip(text.len());
        if !text.is_empty() {
            self.parts.push(Part::Text(text.to_owned()));
        }
    }

    /// What begins with a `%`.
    fn token(&mut self) -> Result<(), TextError> {
        let start = self.pos;
        self.skip(1);
        let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        let width = self.rest().get(..digits).unwrap_or_default().parse().unwrap_or(0);
        self.skip(digits);
        if self.rest().is_empty() {
            let message = "invalid formatting syntax: formatting cannot end with a %";
            return Err(
                TextError::new(message, start).help("remove the %: it cannot be written in an output")
            );
        }
        let operand = self.longest().map_err(|error| self.unknown(start, &error))?;
        self.value(&operand, width.min(MAX_WIDTH))
    }

    fn unknown(&self, start: usize, error: &TextError) -> TextError {
        let rest = self.rest();
        let shown = rest.split(|c: char| c.is_whitespace() || c == '%').next().unwrap_or_default();
        let message = format!("invalid formatting token {shown} (unknown filter: {})", error.message);
        TextError::new(message, start).help(error.help.clone())
    }

    /// Tries the whole field or transformer, then shorter beginnings of it.
    fn longest(&mut self) -> Result<Operand, TextError> {
        let rest = self.rest();
        let whole = parse::operand_prefix(rest, true).and_then(|found| self.accept(found));
        let Err(error) = whole else { return whole };
        if let Ok(found) = parse::operand_prefix(rest, false).and_then(|found| self.accept(found)) {
            return Ok(found);
        }
        let is_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
        let length = rest.bytes().take_while(|b| is_name(b)).count();
        let shorter = (1..=length).rev().filter_map(|end| rest.get(..end));
        let found =
            shorter.filter_map(|name| parse::operand_prefix(name, false).ok().filter(|f| f.1 == name.len()));
        let mut found = found.collect::<Vec<_>>().into_iter();
        found.find_map(|f| self.accept(f).ok()).ok_or_else(|| self.suggest(error))
    }

    /// The field or transformer, if it compiles and may stand in an output.
    fn accept(&mut self, (operand, length): (Operand, usize)) -> Result<Operand, TextError> {
        let known = self.resolver.fields.len();
        let side = self.resolver.side(&operand);
        let side = side.and_then(|_| self.printable(known));
        self.resolver.forget(known);
        side?;
        self.skip(length);
        Ok(operand)
    }

    fn printable(&self, from: usize) -> Result<(), TextError> {
        let schema = self.resolver.schema;
        let fields = self.resolver.fields.iter().skip(from).filter_map(|f| schema.field(f.0));
        let filter_only = fields.into_iter().find(|f| f.has(field_flags::FILTER_ONLY));
        filter_only.map_or(Ok(()), |f| {
            Err(TextError::new(format!("field '{}' can only be used in conditions", f.name), 0))
        })
    }

    fn suggest(&self, error: TextError) -> TextError {
        if !error.help.is_empty() {
            return error;
        }
        let name: String =
            self.rest().chars().take_while(|c| c.is_alphanumeric() || "._".contains(*c)).collect();
        error.help(match self.rest().get(name.len()..).unwrap_or_default().chars().next() {
            _ if name.is_empty() => {
                "a field or a transformer follows a %: a % itself cannot be written".to_owned()
            }
            Some('(') => suggest::did_you_mean(&name, Transformer::ALL.iter().map(|t| t.name())),
            _ => suggest::did_you_mean(&name, self.resolver.schema.fields().iter().map(|f| f.name)),
        })
    }

    fn value(&mut self, operand: &Operand, width: usize) -> Result<(), TextError> {
        let side = self.resolver.side(operand)?;
        let name = match operand {
            Operand::Field { name, .. } => name.clone(),
            Operand::Transform { .. } => String::new(),
        };
        self.keys(operand)?;
        let endpoints = side.combine == Combine::Endpoints;
        self.parts.push(Part::Value { read: side.read, ty: side.ty, endpoints, name, width });
        Ok(())
    }

    /// Collects the fields of an operand.
    fn keys(&mut self, operand: &Operand) -> Result<(), TextError> {
        match operand {
            Operand::Field { name, arg, span } => {
                let found = crate::check::find_field(
                    self.resolver.schema,
                    self.resolver.source,
                    name,
                    arg.as_deref(),
                );
                let (id, arg) = found.map_err(|error| TextError { offset: span.start, ..error })?;
                let field = TemplateField { key: operand.to_string(), id, arg };
                if !self.fields.contains(&field) {
                    self.fields.push(field);
                }
                Ok(())
            }
            Operand::Transform { args, .. } => args.iter().try_for_each(|arg| self.keys_of_arg(arg)),
        }
    }

    fn keys_of_arg(&mut self, arg: &TransformArg) -> Result<(), TextError> {
        match arg {
            TransformArg::Operand(operand) => self.keys(operand),
            TransformArg::List(items) => items.iter().try_for_each(|i| self.keys_of_arg(i)),
            TransformArg::Text(_) | TransformArg::Number(_) => Ok(()),
        }
    }
}
