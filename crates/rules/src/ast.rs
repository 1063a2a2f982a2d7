//! The tree of a condition. Positions are byte offsets into the text that was parsed.

use std::{ops::Range, sync::Arc};

use rustc_hash::FxHashSet;

use crate::diagnostic::TextWarning;

/// Byte range in the parsed text.
pub type Span = Range<usize>;

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// `a and b and c`.
    And(Vec<Expr>),
    /// `a or b or c`.
    Or(Vec<Expr>),
    /// `not a`.
    Not(Box<Expr>),
    /// A macro's name.
    Macro(Name),
    /// A macro's tree, in the place of its name.
    Body(Arc<Body>, Span),
    /// `field op value`.
    Check(Check),
}

/// The tree of a macro, shared by all conditions that name the macro. Positions in it are those of the macro's text.
#[derive(Debug, PartialEq)]
pub struct Body {
    /// The name of the macro; empty for that of a rule.
    pub name: String,
    /// Without names of macros.
    pub tree: Expr,
    /// Its parts, those of macros in it counted with each use.
    pub nodes: usize,
    /// Its levels.
    pub depth: usize,
    /// What is unsafe or deprecated in it.
    pub warnings: Vec<TextWarning>,
}

impl Expr {
    /// Calls `visit` for each comparison in the order in which they are written; those of a macro are visited once.
    pub fn checks<'e>(&'e self, visit: &mut impl FnMut(&'e Check)) {
        self.walk(&mut FxHashSet::default(), visit);
    }

    fn walk<'e>(&'e self, known: &mut FxHashSet<*const Body>, visit: &mut impl FnMut(&'e Check)) {
        match self {
            Self::And(members) | Self::Or(members) => members.iter().for_each(|m| m.walk(known, visit)),
            Self::Not(inner) => inner.walk(known, visit),
            Self::Body(body, _) if known.insert(Arc::as_ptr(body)) => body.tree.walk(known, visit),
            Self::Check(check) => visit(check),
            Self::Body(..) | Self::Macro(_) => {}
        }
    }
}

/// An identifier with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Name {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// One comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// Left side.
    pub left: Operand,
    /// The operator.
    pub op: Op,
    /// Right side.
    pub right: Right,
    /// The whole comparison.
    pub span: Span,
    /// Where the right side starts; the end of the comparison if it has none.
    pub value: usize,
}

/// A field or a transformed field, on either side.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// `proc.name`, `evt.arg[flags]`.
    Field {
        /// `class.name`, dots included.
        name: String,
        /// The text in brackets.
        arg: Option<String>,
        /// Where it stands.
        span: Span,
    },
    /// `tolower(proc.name)`, `getopt(proc.args, "a:")[a]`; also `val(field)` on the right.
    Transform {
        /// The transformer.
        name: Transformer,
        /// Its arguments.
        args: Vec<TransformArg>,
        /// The text in brackets behind it.
        selector: Option<String>,
        /// Where it stands.
        span: Span,
    },
}

/// A field as a condition names it.
#[derive(Debug, Clone, Copy)]
pub struct FieldName<'e> {
    /// `class.name`, dots included.
    pub name: &'e str,
    /// The text in brackets.
    pub arg: Option<&'e str>,
    /// Where it stands.
    pub span: &'e Span,
}

impl Check {
    /// The fields on both sides, those within transformers, too.
    pub fn fields(&self) -> Vec<FieldName<'_>> {
        let mut fields = self.left.fields();
        if let Right::Operand(operand) = &self.right {
            operand.add_fields(&mut fields);
        }
        fields
    }
}

impl Operand {
    /// Its fields, those within transformers, too.
    pub fn fields(&self) -> Vec<FieldName<'_>> {
        let mut fields = Vec::new();
        self.add_fields(&mut fields);
        fields
    }

    fn add_fields<'e>(&'e self, fields: &mut Vec<FieldName<'e>>) {
        match self {
            Self::Field { name, arg, span } => fields.push(FieldName { name, arg: arg.as_deref(), span }),
            Self::Transform { args, .. } => args.iter().for_each(|arg| arg.add_fields(fields)),
        }
    }
}

impl TransformArg {
    fn add_fields<'e>(&'e self, fields: &mut Vec<FieldName<'e>>) {
        match self {
            Self::Operand(operand) => operand.add_fields(fields),
            Self::List(args) => args.iter().for_each(|arg| arg.add_fields(fields)),
            Self::Text(_) | Self::Number(_) => {}
        }
    }
}

/// The transformers (specification §3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum Transformer {
    ToLower,
    ToUpper,
    B64,
    Basename,
    Len,
    Join,
    Concat,
    GetOpt,
    Val,
}

/// An argument of a transformer.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "one variant per form of the grammar")]
pub enum TransformArg {
    Operand(Operand),
    /// Unescaped; bytes, because of `\xHH`.
    Text(Vec<u8>),
    /// As written: decimal or hexadecimal.
    Number(String),
    List(Vec<TransformArg>),
}

/// The right side of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum Right {
    /// `exists` has none.
    None,
    /// A literal, unescaped; bytes, because of `\xHH`.
    Literal(Vec<u8>),
    /// `(a, b)`, unescaped.
    List(Vec<Vec<u8>>),
    /// A bare name where a list may stand (`in names`): a list that was not substituted.
    ListName(Name),
    /// A field or a transformer.
    Operand(Operand),
    /// `oneof|anyof|allof (list)` behind a text operator.
    Modified(Modifier, Vec<Vec<u8>>),
    /// `oneof|anyof|allof name`: a list that was not substituted.
    ModifiedName(Modifier, Name),
}

impl Transformer {
    /// Every transformer but `val`, which stands on the right side only.
    pub const ALL: [Self; 8] = [
        Self::ToLower,
        Self::ToUpper,
        Self::B64,
        Self::Basename,
        Self::Len,
        Self::Join,
        Self::Concat,
        Self::GetOpt,
    ];

    /// As conditions write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ToLower => "tolower",
            Self::ToUpper => "toupper",
            Self::B64 => "b64",
            Self::Basename => "basename",
            Self::Len => "len",
            Self::Join => "join",
            Self::Concat => "concat",
            Self::GetOpt => "getopt",
            Self::Val => "val",
        }
    }
}

/// How the values of a list combine (specification §3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum Modifier {
    OneOf,
    AnyOf,
    AllOf,
}

/// The operators. `==` is `Eq` with its own spelling kept for printing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the operators")]
pub enum Op {
    Exists,
    Eq,
    EqEq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Contains,
    IContains,
    BContains,
    StartsWith,
    BStartsWith,
    EndsWith,
    Glob,
    IGlob,
    Regex,
    In,
    Intersects,
    PMatch,
}

impl Modifier {
    /// Every modifier.
    pub const ALL: [Self; 3] = [Self::OneOf, Self::AnyOf, Self::AllOf];

    /// As conditions write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OneOf => "oneof",
            Self::AnyOf => "anyof",
            Self::AllOf => "allof",
        }
    }
}

impl Op {
    /// Every operator, in the order in which the parser tries them (specification §2).
    pub const ALL: [Self; 20] = [
        Self::Exists,
        Self::Le,
        Self::Lt,
        Self::Ge,
        Self::Gt,
        Self::EqEq,
        Self::Eq,
        Self::Ne,
        Self::Glob,
        Self::IGlob,
        Self::Contains,
        Self::IContains,
        Self::BContains,
        Self::StartsWith,
        Self::BStartsWith,
        Self::EndsWith,
        Self::Regex,
        Self::Intersects,
        Self::In,
        Self::PMatch,
    ];

    /// As conditions write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exists => "exists",
            Self::Eq => "=",
            Self::EqEq => "==",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::Contains => "contains",
            Self::IContains => "icontains",
            Self::BContains => "bcontains",
            Self::StartsWith => "startswith",
            Self::BStartsWith => "bstartswith",
            Self::EndsWith => "endswith",
            Self::Glob => "glob",
            Self::IGlob => "iglob",
            Self::Regex => "regex",
            Self::In => "in",
            Self::Intersects => "intersects",
            Self::PMatch => "pmatch",
        }
    }

    /// `<`, `<=`, `>`, `>=`.
    pub const fn is_order(self) -> bool {
        matches!(self, Self::Lt | Self::Le | Self::Gt | Self::Ge)
    }

    /// `in`, `intersects`, `pmatch`: a list on the right.
    pub const fn takes_list(self) -> bool {
        matches!(self, Self::In | Self::Intersects | Self::PMatch)
    }

    /// Operators spelled with letters that need a blank behind them.
    pub const fn needs_blank(self) -> bool {
        matches!(
            self,
            Self::Glob
                | Self::IGlob
                | Self::Contains
                | Self::IContains
                | Self::BContains
                | Self::StartsWith
                | Self::BStartsWith
                | Self::EndsWith
                | Self::Regex
        )
    }
}
