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
        let folded = if fold { pattern.to_ascii_lowercase() } else { pattern.to_vec() };
        let mut rest = folded.as_slice();
        let mut parts = Vec::new();
        while let Some((part, tail)) = next_part(rest) {
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
        let byte = if self.fold { byte.to_ascii_lowercase() } else { byte };
        match part {
            Part::Many | Part::One => true,
            Part::Byte(b) => *b == byte,
            Part::Set(set) => set.get(usize::from(byte)).copied().unwrap_or(false),
            Part::Never => false,
        }
    }
}

fn next_part(pattern: &[u8]) -> Option<(Part, &[u8])> {
    let (first, rest) = pattern.split_first()?;
    Some(match first {
        b'*' => (Part::Many, rest),
        b'?' => (Part::One, rest),
        b'\\' => match rest.split_first() {
            Some((escaped, rest)) => (Part::Byte(*escaped), rest),
            None => (Part::Never, rest),
        },
        // Without its `]` a bracket stands for itself.
        b'[' => bracket(rest).unwrap_or((Part::Byte(b'['), rest)),
        byte => (Part::Byte(*byte), rest),
    })
}

/// Behind `[`.
fn bracket(pattern: &[u8]) -> Option<(Part, &[u8])> {
    let negated = matches!(pattern.first(), Some(b'!' | b'^'));
    let mut rest = if negated { pattern.get(1..)? } else { pattern };
    let mut set = Box::new([negated; 256]);
    let mut first = true;
    loop {
        if !first && let Some(tail) = rest.strip_prefix(b"]") {
            return Some((Part::Set(set), tail));
        }
        first = false;
        if let Some((class, tail)) = class(rest) {
            mark(&mut set, (0..=u8::MAX).filter(class), negated);
            rest = tail;
            continue;
        }
        let (low, tail) = member(rest)?;
        let (high, tail) = range_end(tail).unwrap_or((low, tail));
        mark(&mut set, low..=high, negated);
        rest = tail;
    }
}

fn mark(set: &mut [bool; 256], bytes: impl Iterator<Item = u8>, negated: bool) {
    for byte in bytes {
        if let Some(cell) = set.get_mut(usize::from(byte)) {
            *cell = !negated;
        }
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

type Class = fn(&u8) -> bool;

/// `[:alpha:]` and its like.
fn class(pattern: &[u8]) -> Option<(Class, &[u8])> {
    const CLASSES: [(&[u8], Class); 12] = [
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
    let name = pattern.strip_prefix(b"[:")?;
    CLASSES.iter().find_map(|(class, test)| {
        let rest = name.strip_prefix(*class)?.strip_prefix(b":]")?;
        Some((*test, rest))
    })
}
