//! The compiled probe and its loading.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, BorrowedFd},
    thread,
};

use aya::{
    Btf, Ebpf, EbpfLoader, Pod, include_bytes_aligned,
    maps::{Array, Map, MapError},
    programs::{Program, ProgramError},
};

use crate::{
    bpf, cast,
    link::HookLink,
    probe::{ProbeError, RingBytes},
    recipe, syscalls,
};

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/saker.bpf.o"));

/// The program that iterates over processes.
const ITERATOR: &str = "scan";

/// Creates the maps; the programs are loaded apart.
pub(crate) fn open(btf: &Btf, ring_bytes: RingBytes) -> Result<Ebpf, ProbeError> {
    raise_memlock();
    let (agent, page_kib) = (std::process::id(), page_kib());
    let (object, casts) = cast::resolve(OBJECT, btf);
    EbpfLoader::new()
        .btf(Some(btf))
        .override_global("agent_tgid", &agent, true)
        .override_global("page_kib", &page_kib, true)
        .override_global("casts", &u32::from(casts), true)
        .map_max_entries("rare", ring_bytes.rare)
        .map_max_entries("bulk", ring_bytes.bulk)
        .load(&object)
        .map_err(|error| ProbeError::Maps(Box::new(error)))
}

/// Fills the tables that say which call a number is and how its event is made. Nobody can change them from then on.
pub(crate) fn fill(ebpf: &mut Ebpf) -> Result<(), ProbeError> {
    let recipes = syscalls::numbered().map(|(call, number)| (u32::from(number), recipe::recipe(call)));
    fill_map(ebpf, "recipes", recipes)?;
    fill_map(ebpf, "translations", (0..).zip(recipe::translations()))?;
    fill_map(ebpf, "numbers", (0..).zip(syscalls::numbers()))
}

fn fill_map<T: Pod>(
    ebpf: &mut Ebpf,
    name: &'static str,
    rows: impl Iterator<Item = (u32, T)>,
) -> Result<(), ProbeError> {
    let refused = |error: MapError| ProbeError::Map { name, error: Box::new(error) };
    let map = ebpf.map_mut(name).ok_or(ProbeError::Absent(name))?;
    let mut rows_of = Array::<_, T>::try_from(&mut *map).map_err(refused)?;
    rows.into_iter().try_for_each(|(at, row)| rows_of.set(at, row, 0)).map_err(refused)?;
    // Kernels before 5.2 cannot.
    if let Some(Err(error)) = fd_of(map).map(bpf::freeze) {
        tracing::debug!(%error, name, "A map of the probe can be changed");
    }
    Ok(())
}

/// The descriptor of an array.
pub(crate) fn fd_of(map: &Map) -> Option<BorrowedFd<'_>> {
    if let Map::Array(data) = map { Some(data.fd().as_fd()) } else { None }
}

/// Loads the programs for BTF tracepoints of the same names, and apart from them the iterator over processes.
pub(crate) fn load(
    ebpf: &mut Ebpf,
    btf: &Btf,
    tracepoints: &[&'static str],
) -> (Result<(), ProbeError>, Result<(), ProbeError>) {
    let mut loaded = load_each(ebpf, btf, &[tracepoints, &[ITERATOR]].concat());
    let iterator = loaded.remove(ITERATOR).unwrap_or(Err(ProbeError::Absent(ITERATOR)));
    (loaded.into_values().collect(), iterator)
}

/// Loads these, side by side, because the kernel's verifier takes most of the time of a start.
pub(crate) fn load_each(
    ebpf: &mut Ebpf,
    btf: &Btf,
    names: &[&'static str],
) -> BTreeMap<&'static str, Result<(), ProbeError>> {
    let named = ebpf.programs_mut().filter_map(|(found, program)| {
        let name = names.iter().find(|name| **name == found)?;
        Some((*name, program))
    });
    thread::scope(|scope| {
        let threads: Vec<_> =
            named.map(|(name, program)| (name, scope.spawn(move || load_one(program, btf, name)))).collect();
        let results = threads
            .into_iter()
            .map(|(name, thread)| (name, thread.join().unwrap_or(Err(ProbeError::Absent(name)))));
        results.collect()
    })
}

fn load_one(program: &mut Program, btf: &Btf, name: &'static str) -> Result<(), ProbeError> {
    let refused = |error: ProgramError| ProbeError::Program { name, error: Box::new(error) };
    match program {
        Program::BtfTracePoint(program) => program.load(name, btf).map_err(refused),
        Program::Iter(program) => program.load("task", btf).map_err(refused),
        _ => Err(ProbeError::Absent(name)),
    }
}

/// The program of that name.
fn tracepoint<'a>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut aya::programs::BtfTracePoint, ProbeError> {
    let program = ebpf.program_mut(name).ok_or(ProbeError::Absent(name))?;
    program.try_into().map_err(|error| ProbeError::Program { name, error: Box::new(error) })
}

/// Puts a loaded program into use.
pub(crate) fn attach(ebpf: &mut Ebpf, name: &'static str) -> Result<HookLink, ProbeError> {
    let refused = |error| ProbeError::Program { name, error: Box::new(error) };
    let program = tracepoint(ebpf, name)?;
    let link = program.attach().and_then(|id| program.take_link(id)).map_err(refused)?;
    Ok(HookLink::new(name, link.into()))
}

/// The iterator over processes.
pub(crate) fn iterator(ebpf: &mut Ebpf) -> Result<&mut aya::programs::Iter, ProbeError> {
    let program = ebpf.program_mut(ITERATOR).ok_or(ProbeError::Absent(ITERATOR))?;
    program.try_into().map_err(|error| ProbeError::Program { name: ITERATOR, error: Box::new(error) })
}

/// KiB per page.
#[expect(unsafe_code, reason = "no safe function asks for the page size")]
pub(crate) fn page_kib() -> u32 {
    // SAFETY: sysconf has no preconditions.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u32::try_from(bytes >> 10).unwrap_or(4)
}

/// Kernels before 5.11 charge maps to this limit. Later ones do not, so a refusal means nothing by itself.
#[expect(unsafe_code, reason = "no safe function raises the limit")]
fn raise_memlock() {
    let unlimited = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `unlimited` is a valid rlimit.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const unlimited) };
}

/// From now on large blocks go back to the system when they are freed, whichever thread had them. Without this the
/// allocator keeps as much as it ever gave back, and what a thread had cannot be trimmed.
pub(crate) fn keep_no_large_blocks() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "no safe function says so")]
    // SAFETY: the call has no preconditions.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 << 10)
    };
}

/// Returns freed memory to the system: the kernel's type information took some 15 MiB for a moment, which an
/// allocator would keep for good. So it is with the pages of the object, which nobody reads any more.
pub(crate) fn give_back_memory() {
    forget_object();
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "no safe function trims the heap")]
    // SAFETY: the call touches only memory that is free.
    unsafe {
        libc::malloc_trim(0)
    };
}

#[expect(unsafe_code, reason = "no safe function takes pages away")]
fn forget_object() {
    let page = usize::try_from(page_kib()).unwrap_or_default().saturating_mul(1024);
    let before = OBJECT.as_ptr().align_offset(page);
    let Some(rest) = OBJECT.len().checked_sub(before) else { return };
    let len = rest & !page.saturating_sub(1);
    let start = OBJECT.as_ptr().wrapping_add(before).cast_mut();
    // SAFETY: whole pages of a constant; whoever reads them again gets them from the program's file.
    unsafe { libc::madvise(start.cast(), len, libc::MADV_DONTNEED) };
}
