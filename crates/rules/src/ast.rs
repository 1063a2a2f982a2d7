//! The tree of a condition. Positions are byte offsets into the text that was parsed.

use std::ops::Range;

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
    /// `field op value`.
    Check(Check),
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
    Text(String),
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
