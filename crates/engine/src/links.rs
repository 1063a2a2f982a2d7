//! A second view of calls that change names: their paths without the symbolic links in them. The kernel shows no object of
//! these calls but to LSM programs, so it is asked right afterwards where the paths lead.

use std::{fmt::Debug, sync::Arc};

use saker_events::{
    OwnedEvent, SYSCALL_SOURCE, fields, path,
    process::lineage,
    record::SyscallRecord,
    table::{ParamType, code, event_type},
};
use saker_rules::{event_types::EventTypeSet, ruleset::RuleSet};
use smallvec::SmallVec;

/// Looks at the paths of this machine.
pub trait Links: Debug + Send + Sync {
    /// Where a path leads, as the first of the processes with these ids sees it that can tell; with `last` its last part
    /// is followed too. `None` if all are gone or the answer would have to be waited for.
    fn follow(&self, pids: &[i64], path: &[u8], last: bool) -> Option<Vec<u8>>;
}

/// An event whose paths are where they lead, and the first of them that is another one then.
pub(crate) type Followed = (OwnedEvent, Vec<u8>);

/// What the kernel does with a link that is the last part of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Kept,
    Followed,
    /// As the flags say, if they have this bit.
    FollowedIf(u64),
    KeptIf(u64),
}

/// `AT_SYMLINK_FOLLOW` of `linkat_flags`, and what `fchownat_flags` has for `AT_SYMLINK_NOFOLLOW`.
const AT_SYMLINK: u64 = 0x400;

/// What a call does; `None` if it changes no names.
fn last(event_code: u16) -> Option<Last> {
    Some(match event_code {
        code::SYSCALL_LINK_2_X
        | code::SYSCALL_MKDIR_2_X
        | code::SYSCALL_MKDIRAT_X
        | code::SYSCALL_MKNOD_X
        | code::SYSCALL_MKNODAT_X
        | code::SYSCALL_RENAME_X
        | code::SYSCALL_RENAMEAT_X
        | code::SYSCALL_RENAMEAT2_X
        | code::SYSCALL_RMDIR_2_X
        | code::SYSCALL_SYMLINK_X
        | code::SYSCALL_SYMLINKAT_X
        | code::SYSCALL_UNLINK_2_X
        | code::SYSCALL_UNLINKAT_2_X
        | code::SYSCALL_LCHOWN_X => Last::Kept,
        code::SYSCALL_CHMOD_X
        | code::SYSCALL_FCHMODAT_X
        | code::SYSCALL_CHOWN_X
        | code::SYSCALL_MOUNT_X
        | code::SYSCALL_UMOUNT_1_X
        | code::SYSCALL_UMOUNT2_X => Last::Followed,
        code::SYSCALL_LINKAT_2_X => Last::FollowedIf(AT_SYMLINK),
        code::SYSCALL_FCHOWNAT_X => Last::KeptIf(AT_SYMLINK),
        _ => return None,
    })
}

impl Last {
    fn is_followed(self, record: &SyscallRecord) -> bool {
        let has = |bit| record.number("flags").unwrap_or(0) & bit != 0;
        match self {
            Self::Kept => false,
            Self::Followed => true,
            Self::FollowedIf(bit) => has(bit),
            Self::KeptIf(bit) => !has(bit),
        }
    }
}

/// Follows the paths that rules ask for.
#[derive(Debug)]
pub(crate) struct Follower {
    links: Arc<dyn Links>,
    /// The rules that were in force last, and the event types whose paths they ask for.
    asked: Option<(Arc<RuleSet>, EventTypeSet)>,
}

impl Follower {
    pub(crate) fn new(links: Arc<dyn Links>) -> Self {
        Self { links, asked: None }
    }

    /// The event with its paths followed, if it worked, one of the rules asks for them, and one of them leads elsewhere
    /// than its text says.
    pub(crate) fn follow(&mut self, record: &SyscallRecord, rules: &Arc<RuleSet>) -> Option<Followed> {
        let last = last(record.event.code)?.is_followed(record);
        let asked = record.result()? >= 0 && self.asked(rules).contains(event_type(&record.event));
        if asked { follow(record, last, &*self.links) } else { None }
    }

    fn asked(&mut self, rules: &Arc<RuleSet>) -> &EventTypeSet {
        let same = self.asked.take().filter(|(of, _)| Arc::ptr_eq(of, rules));
        let anew = || (Arc::clone(rules), rules.asks_for(SYSCALL_SOURCE, fields::may_tell_path));
        &self.asked.insert(same.unwrap_or_else(anew)).1
    }
}

fn follow(record: &SyscallRecord, last: bool, links: &dyn Links) -> Option<Followed> {
    let pids: SmallVec<[i64; 8]> = witnesses(record).collect();
    let lead = |given: &[u8], last| links.follow(&pids, given, last);
    let mut texts: SmallVec<[(usize, Vec<u8>); 2]> = SmallVec::new();
    for (at, param) in record.row.params.iter().enumerate() {
        if matches!(param.ty, ParamType::Fspath | ParamType::Fsrelpath)
            && let Some(given) = record.path_as_given(at)
            && let Some(real) = lead(&given, last).filter(|real| *real != record.param_text(at))
        {
            texts.push((at, real));
        }
    }
    if let Some((at, given)) = target(record) {
        // A link may point to what is not there, or to what cannot be looked at.
        let real = lead(&given, true).unwrap_or_else(|| path::join_whole(b"/", &given).into_owned());
        if real != record.param_text(at) {
            texts.push((at, real));
        }
    }
    let first = texts.first()?.1.clone();
    Some((record.event.with_texts(&texts), first))
}

/// The position of a symbolic link's target, and the target as a path from the root on.
fn target(record: &SyscallRecord) -> Option<(usize, Vec<u8>)> {
    let (at, _) = record.row.param("target")?;
    let (link, _) = record.row.param("linkpath")?;
    let target = record.param_text(at);
    if target.starts_with(b"/") {
        return Some((at, target));
    }
    let link = record.path_as_given(link)?;
    Some((at, [path::directory(&link), b"/", &target].concat()))
}

/// Processes that see the same files: the one that called, or those of its parents in the same container if it is gone.
fn witnesses<'a>(record: &SyscallRecord<'a>) -> impl Iterator<Item = i64> + use<'a> {
    let container = record.process().and_then(|process| process.container.as_ref()).map(|c| &c.full_id);
    let same = move |process: &&saker_events::process::Process| {
        process.container.as_ref().map(|c| &c.full_id) == container
    };
    lineage(record.process(), record.processes).take_while(same).map(|process| process.pid)
}
