//! fnmatch(3) without flags, in the C locale: over bytes, `*` and `?` match everything.

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Glob {
    parts: Vec<Part>,
    /// Upper and lower case are the same.
    fold: bool,
}

#[derive(Debug, Clone)]
enum Part {
    /// `*`.
    Many,
    /// `?`.
    One,
    Byte(u8),
    /// `[…]`: the bytes it accepts.
    Set(Box<[bool; 256]>),
    /// A backslash at the end matches nothing.
    Never,
}

impl Glob {
    /// Compiles a pattern; every text is one.
    pub fn new(pattern: &[u8], fold: bool) -> Self {
        let mut rest = pattern;
        let mut parts = Vec::new();
        while let Some((part, tail)) = next_part(rest, fold) {
            if !(matches!(part, Part::Many) && matches!(parts.last(), Some(Part::Many))) {
                parts.push(part);
            }
            rest = tail;
        }
        Self { parts, fold }
    }

    /// Its compiled size, bytes.
    pub(crate) fn size(&self) -> usize {
        let sets = self.parts.iter().filter(|part| matches!(part, Part::Set(_))).count();
        size_of_val(self.parts.as_slice()).saturating_add(sets.saturating_mul(size_of::<[bool; 256]>()))
    }

    /// Whether the whole text matches. Only the last `*` is ever tried again, so the work is at most
    /// length of pattern times length of text.
    pub fn matches(&self, text: &[u8]) -> bool {
        let (mut part, mut at) = (0_usize, 0_usize);
        let mut star: Option<(usize, usize)> = None;
        while let Some(byte) = text.get(at) {
            match self.parts.get(part) {
                Some(Part::Many) => {
                    part = part.saturating_add(1);
                    star = Some((part, at));
                    continue;
                }
                Some(other) if self.accepts(other, *byte) => {
                    part = part.saturating_add(1);
                    at = at.saturating_add(1);
                    continue;
                }
                _ => {}
            }
            let Some((after, start)) = star else { return false };
            at = start.saturating_add(1);
            part = after;
            star = Some((after, at));
        }
        self.parts.iter().skip(part).all(|p| matches!(p, Part::Many))
    }

    fn accepts(&self, part: &Part, byte: u8) -> bool {
        match part {
            Part::Many | Part::One => true,
            Part::Byte(b) if self.fold => b.eq_ignore_ascii_case(&byte),
            Part::Byte(b) => *b == byte,
            Part::Set(set) => set.get(usize::from(byte)).copied().unwrap_or(false),
            Part::Never => false,
        }
    }
}

fn next_part(pattern: &[u8], fold: bool) -> Option<(Part, &[u8])> {
    let (first, rest) = pattern.split_first()?;
    Some(match first {
        b'*' => (Part::Many, rest),
        b'?' => (Part::One, rest),
        b'\\' => match rest.split_first() {
            Some((escaped, rest)) => (Part::Byte(*escaped), rest),
            None => (Part::Never, rest),
        },
        // Without its `]` a bracket stands for itself.
        b'[' => bracket(rest, fold).unwrap_or((Part::Byte(b'['), rest)),
        byte => (Part::Byte(*byte), rest),
    })
}

/// Behind `[`.
fn bracket(pattern: &[u8], fold: bool) -> Option<(Part, &[u8])> {
    let negated = matches!(pattern.first(), Some(b'!' | b'^'));
    let mut rest = if negated { pattern.get(1..)? } else { pattern };
    let mut set = Set { accepts: Box::new([negated; 256]), negated, ended: false };
    let mut first = true;
    loop {
        if !first && let Some(tail) = rest.strip_prefix(b"]") {
            return Some((Part::Set(set.accepts), tail));
        }
        first = false;
        if let Some((class, tail)) = named(rest) {
            match class {
                Some(class) => set.mark(|byte| class.holds(byte)),
                None => set.end(),
            }
            rest = tail;
            continue;
        }
        let (low, tail) = member(rest)?;
        let (high, tail) = range_end(tail).unwrap_or((low, tail));
        let fold = |byte: u8| if fold { byte.to_ascii_lowercase() } else { byte };
        set.mark(|byte| (fold(low)..=fold(high)).contains(&fold(byte)));
        rest = tail;
    }
}

/// The bytes that a bracket accepts, as it is read.
struct Set {
    accepts: Box<[bool; 256]>,
    negated: bool,
    /// Nothing more is looked at: the names of the C library end there.
    ended: bool,
}

impl Set {
    fn mark(&mut self, belongs: impl Fn(u8) -> bool) {
        let marked =
            (0..=u8::MAX).zip(self.accepts.iter_mut()).filter(|(byte, _)| !self.ended && belongs(*byte));
        marked.for_each(|(_, cell)| *cell = !self.negated);
    }

    /// At a class that nobody knows: what did not match before does not match.
    fn end(&mut self) {
        if self.negated {
            self.accepts.fill(false);
        }
        self.ended = true;
    }
}

fn member(pattern: &[u8]) -> Option<(u8, &[u8])> {
    match pattern.split_first()? {
        (b'\\', rest) => rest.split_first().map(|(b, rest)| (*b, rest)),
        (byte, rest) => Some((*byte, rest)),
    }
}

/// `-z`, unless the `-` is the last member.
fn range_end(pattern: &[u8]) -> Option<(u8, &[u8])> {
    let rest = pattern.strip_prefix(b"-")?;
    if rest.first() == Some(&b']') { None } else { member(rest) }
}

/// Whether a byte is of a class.
type IsOf = fn(&u8) -> bool;

/// A member in brackets of its own. It is looked for in the text as it is, whatever the case of the rest.
enum Named {
    Class(IsOf),
    Byte(u8),
}

impl Named {
    fn holds(&self, byte: u8) -> bool {
        match self {
            Self::Class(class) => class(&byte),
            Self::Byte(wanted) => *wanted == byte,
        }
    }
}

/// `[:alpha:]`, `[=a=]` or `[.a.]`; nothing inside if the C locale does not know it.
fn named(pattern: &[u8]) -> Option<(Option<Named>, &[u8])> {
    match pattern {
        [b'[', b'=', byte, b'=', b']', rest @ ..] | [b'[', b'.', byte, b'.', b']', rest @ ..] => {
            Some((Some(Named::Byte(*byte)), rest))
        }
        [b'[', b':', rest @ ..] => class(rest),
        _ => None,
    }
}

/// Behind `[:`.
fn class(text: &[u8]) -> Option<(Option<Named>, &[u8])> {
    const CLASSES: [(&[u8], IsOf); 12] = [
        (b"alnum", u8::is_ascii_alphanumeric),
        (b"alpha", u8::is_ascii_alphabetic),
        (b"blank", |b| matches!(b, b' ' | b'\t')),
        (b"cntrl", u8::is_ascii_control),
        (b"digit", u8::is_ascii_digit),
        (b"graph", u8::is_ascii_graphic),
        (b"lower", u8::is_ascii_lowercase),
        (b"print", |b| b.is_ascii_graphic() || *b == b' '),
        (b"punct", u8::is_ascii_punctuation),
        (b"space", |b| matches!(b, b' ' | b'\t'..=b'\r')),
        (b"upper", u8::is_ascii_uppercase),
        (b"xdigit", u8::is_ascii_hexdigit),
    ];
    let length = text.iter().position(|b| !b.is_ascii_lowercase())?;
    let (name, rest) = text.split_at_checked(length)?;
    let rest = rest.strip_prefix(b":]")?;
    let found = CLASSES.iter().find(|(class, _)| *class == name);
    Some((found.map(|(_, test)| Named::Class(*test)), rest))
}
