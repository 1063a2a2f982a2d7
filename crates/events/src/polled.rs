//! The descriptors that `poll` waits for.

use std::iter;

use crate::{
    fd::Fd,
    fd_facts::{self, FdFacts},
    param,
    record::SyscallRecord,
    table::{ParamPlace, ParamType},
};

static FACTS: ParamPlace = ParamPlace::new(fd_facts::LIST);

impl<'a> SyscallRecord<'a> {
    /// The descriptors that the call waits for, each with the bits of what happened to it.
    pub fn polled(&self) -> Option<impl Iterator<Item = (Fd<'a>, u16)>> {
        let (index, _) = self.row.params.iter().enumerate().find(|(_, p)| p.ty == ParamType::Fdlist)?;
        let list = param::fd_list(self.event.param(index)?);
        let told = FACTS.of(self.row).and_then(|(at, _)| self.event.param(at)).unwrap_or_default();
        let facts = FdFacts::list(told).chain(iter::repeat_with(|| None));
        Some(list.zip(facts).map(|((fd, flags), facts)| (Fd::listed(self, fd, facts), flags)))
    }
}
