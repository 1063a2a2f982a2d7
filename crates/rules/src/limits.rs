//! Caps on untrusted rule text. Each has an error that names it.

/// Nesting of a condition (specification §1.6): open parentheses, and levels of `and`, `or`, `not` with all macros.
pub const MAX_DEPTH: usize = 1000;
/// Nesting of transformers.
pub const MAX_TRANSFORM_DEPTH: usize = 100;
/// Bytes of one rules file.
pub const MAX_FILE_BYTES: usize = 32 << 20;
/// Nodes of one condition after macro expansion.
pub const MAX_NODES: usize = 50_000;
/// YAML events of one file; aliases count each time they are expanded.
pub const MAX_YAML_EVENTS: usize = 200_000;
/// Bytes of a text literal in a condition (specification §1.7).
pub const MAX_LITERAL_BYTES: usize = 255;
/// Compiled size of one regular expression, bytes.
pub const MAX_REGEX_BYTES: usize = 1 << 20;
/// Objects defined twice that are told.
pub const MAX_REPLACED: usize = 1000;
/// Compiled size of all patterns (`regex`, `glob`, `iglob`) of one load, bytes.
pub const MAX_PATTERN_BYTES: usize = 16 << 20;
/// Nesting of YAML sequences and maps in a file.
pub const MAX_YAML_DEPTH: usize = 64;
/// Bytes of one condition after its exceptions and lists are written out.
pub const MAX_CONDITION_BYTES: usize = 1 << 20;
/// Bytes of a bundle's text.
pub const MAX_BUNDLE_BYTES: usize = 64 << 20;
/// Bytes read over and over to get along with the layout of one file.
pub const MAX_REPARSED_BYTES: usize = 4 << 20;
/// Items of all lists of one load, those of lists in lists counted each time.
pub const MAX_LIST_ITEMS: usize = 200_000;
/// Parts of all conditions of one load; the name of a macro is one, a warning counts for several.
pub const MAX_LOAD_NODES: usize = 90_000;
/// Parts that a warning of a condition counts for: it takes as much memory.
pub const NODES_PER_WARNING: usize = 4;
