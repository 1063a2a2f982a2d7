//! Which address families of `socket` can make a rule alert: most rules on this call are about one that hardly anybody
//! uses, and sockets are made all the time.

use saker_events::table::SOCKET_FAMILIES;
use saker_rules::ast::{Expr, Operand};

use super::{known::Known, weaken};

/// The families from this number on share a bit.
const OTHERS: u32 = 63;
/// Conditions about sockets that are looked at for each family; more are not worth the time.
const MAX_CONDITIONS: usize = 1000;

/// A bit for each address family of `socket` with which one of these conditions without macros may hold; the highest is
/// that of all families without one.
pub fn families<'e>(conditions: impl Iterator<Item = &'e Expr>) -> u64 {
    let about: Vec<_> = conditions.filter(|condition| may_hold(condition, "")).collect();
    let also = |family| about.iter().any(|condition| may_hold(condition, &names(family)));
    if about.len() > MAX_CONDITIONS {
        return u64::MAX;
    }
    (0..=OTHERS).filter(|family| also(*family)).fold(0, |bits, family| bits | 1 << family)
}

/// What `evt.arg.domain` shows for it; nothing where that is a number.
fn names(family: u32) -> String {
    let same = SOCKET_FAMILIES.iter().filter(|symbol| symbol.value == u64::from(family));
    same.map(|symbol| symbol.name).collect::<Vec<_>>().join("|")
}

/// Whether the condition may hold for a socket of the family with these names; if there are none, of any.
fn may_hold(condition: &Expr, names: &str) -> bool {
    weaken::may_hold(condition, &|field| known(field, names))
}

fn known<'a>(field: &Operand, names: &'a str) -> Known<'a> {
    let Operand::Field { name, arg, .. } = field else { return Known::Nothing };
    match (name.as_str(), arg.as_deref()) {
        ("evt.type" | "syscall.type", None) => Known::Text("socket"),
        ("evt.arg", Some("domain")) | ("evt.arg.domain", None) if !names.is_empty() => Known::Text(names),
        _ => Known::Nothing,
    }
}
