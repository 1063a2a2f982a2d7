//! How the probe makes an event of a table row (`probe/recipe.h` is the other side): from the rows of `calls.rs` to the
//! values of its maps.

use aya::Pod;
use saker_events::{
    param::layout,
    table::{
        EventRow, Format, Link, Param, ParamType, QUOTACTL_CMDS, QUOTACTL_DQI_FLAGS, QUOTACTL_QUOTA_FMTS,
        QUOTACTL_TYPES, SEMCTL_COMMANDS, Symbol, SyscallRow, code, symbol_value,
    },
};

use crate::{
    calls::{CALLS, Make},
    translation::TRANSLATIONS,
};

/// Rows of a recipe at most.
const ROWS: usize = 20;
/// Pairs of a translation at most.
const PAIRS: usize = 40;

/// How one parameter is made.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct RawParam {
    from: u8,
    arg: u8,
    put: u8,
    size: u8,
    with: u16,
    table: u16,
}

/// How one event is made: the probe's `struct recipe`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RawRecipe {
    code: u16,
    params: u16,
    made: u16,
    unused: u16,
    rows: [RawParam; ROWS],
}

/// The probe's `struct translation`: kernel value, value in the event.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawTranslation([[u32; 2]; PAIRS]);

#[expect(unsafe_code, reason = "map values are written as plain bytes")]
// SAFETY: integers of all sizes in an order that leaves no padding; any bytes are valid.
unsafe impl Pod for RawRecipe {}
#[expect(unsafe_code, reason = "map values are written as plain bytes")]
// SAFETY: only u32 fields, so no padding, and any bytes are valid.
unsafe impl Pod for RawTranslation {}

/// `enum from` of the probe.
mod from {
    pub(super) const RESULT: u8 = 0;
    pub(super) const ARG: u8 = 1;
    pub(super) const INT: u8 = 2;
    pub(super) const MEMORY: u8 = 3;
    pub(super) const OPTIONAL: u8 = 4;
    pub(super) const TIME: u8 = 5;
    pub(super) const OPTION: u8 = 6;
    pub(super) const STRUCT: u8 = 7;
    pub(super) const CONSTANT: u8 = 8;
    pub(super) const NUMBER: u8 = 9;
    pub(super) const MADE: u8 = 10;
    pub(super) const SOCKET_OPTION: u8 = 11;
    pub(super) const QUOTA: u8 = 12;
}

/// `enum put` of the probe.
mod put {
    pub(super) const EMPTY: u8 = 0;
    pub(super) const NUMBER: u8 = 1;
    pub(super) const FLAGS: u8 = 2;
    pub(super) const ENUM: u8 = 3;
    pub(super) const TEXT: u8 = 4;
    pub(super) const BYTES: u8 = 5;
    pub(super) const VECTOR: u8 = 6;
    pub(super) const CONTROL: u8 = 7;
    pub(super) const NAME: u8 = 8;
    pub(super) const SIZE: u8 = 9;
    pub(super) const ADDRESS: u8 = 10;
    pub(super) const PEER: u8 = 11;
    pub(super) const MESSAGE_PEER: u8 = 12;
    pub(super) const TUPLE_OUT: u8 = 13;
    pub(super) const TUPLE_IN: u8 = 14;
    pub(super) const QUEUE: u8 = 15;
    pub(super) const INODE: u8 = 16;
    pub(super) const FACTS: u8 = 17;
    pub(super) const DIRECTORY: u8 = 18;
    pub(super) const DYNAMIC: u8 = 19;
    pub(super) const CAPABILITIES: u8 = 20;
    pub(super) const KIB: u8 = 21;
    pub(super) const DEVICE: u8 = 22;
    pub(super) const PATH: u8 = 23;
    pub(super) const OPEN_FLAGS: u8 = 24;
    pub(super) const WORKING_DIRECTORY: u8 = 25;
    pub(super) const OPTION: u8 = 26;
    pub(super) const POLLED: u8 = 27;
    pub(super) const POLLED_FACTS: u8 = 28;
    pub(super) const SOCK: u8 = 29;
    pub(super) const SOCK_PEER: u8 = 30;
    pub(super) const CLOSED: u8 = 31;
}

/// Offsets in the kernel's `struct msghdr`: the first part of its data and how many there are.
const MESSAGE_VECTOR: u16 = 16;

/// Before the place of a limit (`probe/quota.h`).
const QUOTA_LIMITS: u16 = 16;

/// The recipe of a call: its event's row of [`CALLS`] and the extensions of the event table, or a generic event. With
/// nothing known of the call the recipe has the code 0.
pub(crate) fn recipe(call: &SyscallRow) -> RawRecipe {
    if call.exit_event == code::GENERIC_X {
        return RawRecipe::new(code::GENERIC_X, &[Make::Constant(call.id), Make::Number], ID_AND_NUMBER);
    }
    let event = EventRow::of(call.exit_event);
    let row = event.and_then(|event| CALLS.iter().find(|(name, _)| *name == event.name));
    let (Some(event), Some((_, makes))) = (event, row) else { return RawRecipe::default() };
    let mut makes = makes.to_vec();
    let table: Vec<Make> = makes.iter().copied().filter(|make| make.is_param()).collect();
    makes.extend(event.params.iter().filter(|p| p.extension).map(|p| extension(event, p.name, &table)));
    RawRecipe::new(event.code, &makes, event.params)
}

/// Parameters of a generic event.
const ID_AND_NUMBER: &[Param] = &[plain("ID"), plain("nativeID")];

const fn plain(name: &'static str) -> Param {
    Param { name, ty: ParamType::Uint16, format: Format::Dec, link: Link::None, extension: false }
}

/// How an extension is made: it follows from how the parameters it belongs to are.
fn extension(event: &EventRow, name: &str, table: &[Make]) -> Make {
    let of = |index: usize| table.get(index).copied();
    let mut paths = event.params.iter().enumerate().filter(|(_, p)| p.may_be_relative());
    match name {
        "fdfacts" if event.code == code::SYSCALL_CLOSE_X => Make::Closed,
        "fdfacts" => match event.fd_param.and_then(|index| of(index.into())) {
            Some(Make::Arg(fd)) => Make::Facts(fd),
            _ => Make::FactsOfResult,
        },
        "fdsfacts" => Make::PolledFacts,
        "dirpath" | "olddirpath" => directory(paths.next(), of),
        "newdirpath" => directory(paths.nth(1), of),
        _ => Make::Empty,
    }
}

fn directory(path: Option<(usize, &Param)>, of: impl Fn(usize) -> Option<Make>) -> Make {
    let Some((index, param)) = path else { return Make::Empty };
    let dirfd = if let Link::Dirfd(dirfd) = param.link { of(dirfd.into()) } else { None };
    match (of(index), dirfd) {
        (Some(Make::Arg(name)), Some(Make::Arg(fd))) => Make::Directory(fd, name),
        (Some(Make::Arg(name)), None) => Make::WorkingDirectory(name),
        _ => Make::Empty,
    }
}

impl RawRecipe {
    fn new(code: u16, makes: &[Make], params: &[Param]) -> Self {
        let mut recipe = Self { code, ..Self::default() };
        let mut params = params.iter();
        for (row, make) in recipe.rows.iter_mut().zip(makes) {
            let param = if make.is_param() { params.next() } else { None };
            *row = make.raw(param);
            recipe.params = recipe.params.saturating_add(u16::from(make.is_param()));
            recipe.made = recipe.made.saturating_add(1);
        }
        recipe
    }
}

impl Make {
    fn is_param(self) -> bool {
        !matches!(self, Self::Peer(..) | Self::MessagePeer(_))
    }

    fn raw(self, param: Option<&Param>) -> RawParam {
        let (from, arg, with, put) = self.parts();
        let size = param.and_then(|p| layout(p.ty)).map_or(0, |(size, _)| size);
        let size = u8::try_from(size).unwrap_or_default();
        let row = RawParam { from, arg, put, size, with, table: self.table() };
        if put == put::NUMBER { stored(row, param) } else { row }
    }

    /// Where the value is, a number that goes with it, and how it is stored; a plain value as its type says.
    fn parts(self) -> (u8, u8, u16, u8) {
        match self {
            Self::Empty => (from::CONSTANT, 0, 0, put::EMPTY),
            Self::Result => (from::RESULT, 0, 0, put::NUMBER),
            Self::Arg(arg) => (from::ARG, arg, 0, put::NUMBER),
            Self::Memory(arg, at, _) => (from::MEMORY, arg, at, put::NUMBER),
            Self::Constant(value) => (from::CONSTANT, 0, value, put::NUMBER),
            Self::Number => (from::NUMBER, 0, 0, put::NUMBER),
            Self::Dynamic(_, arg) => (from::ARG, arg, 0, put::DYNAMIC),
            Self::Bytes(arg, len) => (from::ARG, arg, len, put::BYTES),
            Self::Vector(arg) | Self::VectorRead(arg) => (from::ARG, arg, 0, put::VECTOR),
            Self::VectorSize(arg, count) => (from::ARG, arg, count, put::SIZE),
            Self::Message(arg) | Self::MessageRead(arg) => (from::STRUCT, arg, MESSAGE_VECTOR, put::VECTOR),
            Self::Control(arg) => (from::ARG, arg, 0, put::CONTROL),
            Self::Name(arg) => (from::ARG, arg, 0, put::NAME),
            Self::Option(arg) => (from::OPTION, arg, 0, put::NUMBER),
            Self::Time(arg) => (from::TIME, arg, 0, put::NUMBER),
            Self::MessageSize(arg) => (from::STRUCT, arg, MESSAGE_VECTOR, put::SIZE),
            Self::MessagePeer(arg) => (from::ARG, arg, 0, put::MESSAGE_PEER),
            Self::Address(arg, len) => (from::ARG, arg, len, put::ADDRESS),
            Self::Peer(arg, len) => (from::ARG, arg, len, put::PEER),
            Self::Out(arg) => (from::INT, arg, 0, put::TUPLE_OUT),
            Self::In(arg) => (from::INT, arg, 0, put::TUPLE_IN),
            Self::Accepted => (from::RESULT, 0, 0, put::TUPLE_IN),
            Self::Queue(which) => (from::INT, 0, which, put::QUEUE),
            Self::Int(arg) => (from::INT, arg, 0, put::NUMBER),
            Self::Made(arg, at) => (from::MADE, arg, at, put::NUMBER),
            Self::Inode(arg) => (from::MADE, arg, 0, put::INODE),
            Self::Sock(arg) => (from::MADE, arg, 0, put::SOCK),
            Self::SockPeer(arg) => (from::MADE, arg, 0, put::SOCK_PEER),
            Self::SocketOption => (from::SOCKET_OPTION, 0, 0, put::NUMBER),
            Self::OptionSet(size) => (from::ARG, size, 0, put::OPTION),
            Self::OptionGot(size) => (from::MEMORY, size, 0, put::OPTION),
            Self::Polled => (from::ARG, 0, 0, put::POLLED),
            Self::PolledFacts => (from::ARG, 0, 0, put::POLLED_FACTS),
            Self::Quota(which) => (from::QUOTA, 0, which as u16, put::NUMBER),
            Self::QuotaLimit(member) => (from::QUOTA, 0, QUOTA_LIMITS | member, put::NUMBER),
            Self::Closed => (from::CONSTANT, 0, 0, put::CLOSED),
            Self::Facts(arg) => (from::INT, arg, 0, put::FACTS),
            Self::FactsOfResult => (from::RESULT, 0, 0, put::FACTS),
            Self::Device => (from::RESULT, 0, 0, put::DEVICE),
            Self::InodeOfResult => (from::RESULT, 0, 0, put::INODE),
            Self::PathOfResult => (from::RESULT, 0, 0, put::PATH),
            Self::OpenFlags(arg) => (from::ARG, arg, 0, put::OPEN_FLAGS),
            Self::Directory(arg, name) => (from::INT, arg, name.into(), put::DIRECTORY),
            Self::WorkingDirectory(name) => (from::CONSTANT, 0, name.into(), put::WORKING_DIRECTORY),
            Self::Capabilities(which) => (from::CONSTANT, 0, which, put::CAPABILITIES),
            Self::Kib(which) => (from::CONSTANT, 0, which, put::KIB),
        }
    }

    /// For memory the bytes there, for a `Dyn` parameter which of its types.
    fn table(self) -> u16 {
        match self {
            Self::Memory(_, _, bytes) => bytes,
            Self::OptionGot(_) => 4,
            Self::VectorRead(_) | Self::MessageRead(_) => 1,
            Self::Dynamic(index, _) => index,
            _ => 0,
        }
    }
}

/// A plain value as its parameter's type says.
fn stored(row: RawParam, param: Option<&Param>) -> RawParam {
    let Some(param) = param else { return row };
    let names = |symbols: &'static [Symbol]| symbols.iter().map(|symbol| symbol.name);
    let same = |table: &'static [Symbol]| names(table).eq(names(param.symbols()));
    let translation = TRANSLATIONS.iter().zip(0_u16..).find(|((table, _), _)| same(table));
    let whole = matches!(param.ty, ParamType::Enumflags8 | ParamType::Enumflags16 | ParamType::Enumflags32)
        || ONE_OF.into_iter().any(same);
    match (param.ty, translation) {
        (ParamType::Charbuf | ParamType::Fspath | ParamType::Fsrelpath, _) => {
            RawParam { put: put::TEXT, ..row }
        }
        (_, Some((_, table))) => RawParam { put: if whole { put::ENUM } else { put::FLAGS }, table, ..row },
        (ParamType::Fd | ParamType::Pid | ParamType::Errno | ParamType::Int32, _)
            if row.from == from::ARG =>
        {
            RawParam { from: from::INT, ..row }
        }
        // Where nothing is pointed to, descriptors, limits and ids are -1.
        (ParamType::Fd | ParamType::Int64 | ParamType::Uid | ParamType::Gid, _) => row,
        _ if row.from == from::MEMORY => RawParam { from: from::OPTIONAL, ..row },
        _ => row,
    }
}

/// Flags of which a call has one: its command, and their like.
const ONE_OF: [&[Symbol]; 5] =
    [SEMCTL_COMMANDS, QUOTACTL_CMDS, QUOTACTL_TYPES, QUOTACTL_QUOTA_FMTS, QUOTACTL_DQI_FLAGS];

/// Every translation as the probe has it.
pub(crate) fn translations() -> Vec<RawTranslation> {
    let one = |(symbols, pairs): &(&[Symbol], &[(u32, &str)])| {
        let mut raw = RawTranslation([[0; 2]; PAIRS]);
        for (slot, (kernel, name)) in raw.0.iter_mut().zip(pairs.iter()) {
            *slot = [*kernel, u32::try_from(symbol_value(symbols, name)).unwrap_or_default()];
        }
        raw
    };
    TRANSLATIONS.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use saker_events::table::{EVENTS, SYSCALLS, Source, event_flags};

    use super::*;

    /// Made by programs of the probe: processes, the open family, connect.
    const BY_PROGRAM: [&str; 11] = [
        "clone", "clone3", "fork", "vfork", "execve", "execveat", "open", "openat", "openat2", "creat",
        "connect",
    ];

    fn made(name: &str) -> Option<&'static [Make]> {
        CALLS.iter().find(|(known, _)| *known == name).map(|(_, makes)| *makes)
    }

    #[test]
    fn every_event_of_a_call_is_made_with_all_its_parameters() {
        for call in &SYSCALLS {
            let row = EventRow::of(call.exit_event).unwrap();
            if call.exit_event == code::GENERIC_X || BY_PROGRAM.contains(&row.name) {
                continue;
            }
            let makes = made(row.name).unwrap_or_else(|| panic!("no row makes {}", row.name));
            let params = row.params.iter().filter(|p| !p.extension).count();
            assert_eq!(makes.iter().filter(|make| make.is_param()).count(), params, "{}", row.name);
            let recipe = recipe(call);
            assert_eq!(
                (recipe.code, usize::from(recipe.params)),
                (row.code, row.params.len()),
                "{}",
                row.name
            );
            assert!(usize::from(recipe.made) <= ROWS, "{}", row.name);
        }
    }

    #[test]
    fn every_row_is_an_event() {
        for (at, (name, _)) in CALLS.iter().enumerate() {
            let known = EVENTS.iter().any(|row| {
                row.name == *name && row.source == Source::Syscall && !row.any(event_flags::UNUSED)
            });
            assert!(known, "{name}");
            assert!(CALLS[..at].iter().all(|(before, _)| before != name), "{name} twice");
        }
    }

    #[test]
    fn every_translation_has_its_symbols() {
        assert!(TRANSLATIONS.len() <= 32, "the probe's map has no more");
        for (symbols, pairs) in TRANSLATIONS {
            assert!(pairs.len() <= PAIRS);
            for (_, name) in *pairs {
                assert!(symbols.iter().any(|s| s.name == *name), "{name}");
            }
        }
    }

    #[test]
    fn a_relative_path_has_its_directory() {
        let call = SYSCALLS.iter().find(|call| call.name == "linkat").unwrap();
        let rows = recipe(call).rows;
        let directory =
            |arg, with| RawParam { from: from::INT, arg, put: put::DIRECTORY, with, size: 0, table: 0 };
        assert_eq!(rows[6..8], [directory(0, 1), directory(2, 3)]);
        let unlink = recipe(SYSCALLS.iter().find(|call| call.name == "unlink").unwrap());
        assert_eq!((unlink.rows[2].put, unlink.rows[2].with), (put::WORKING_DIRECTORY, 0));
    }
}
