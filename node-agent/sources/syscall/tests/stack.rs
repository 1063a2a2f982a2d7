//! The stack that a program takes with all that it calls. Kernels before 6.13 refuse more than 512 bytes; those of today
//! count otherwise, so nobody would see it on them.

use std::collections::{BTreeMap, HashSet};

use aya_obj::{Object, generated::bpf_insn};

/// `MAX_BPF_STACK` of the kernel.
const LIMIT: i64 = 512;
/// The kernel rounds each function's part up.
const PART: i64 = 32;

const FRAME: u8 = 10;
const CALL: u8 = 0x85;
/// Of a call: to another function of the program.
const PSEUDO_CALL: u8 = 1;
const MOVE: u8 = 0xbf;
const ADD: u8 = 0x07;

/// A function by where it begins: its own stack, and the functions that it calls.
#[derive(Debug, Default)]
struct Function {
    stack: i64,
    calls: Vec<usize>,
}

/// How deep this instruction reaches, and where it calls to.
fn look(code: &[bpf_insn], at: usize) -> (i64, Option<usize>) {
    let now = &code[at];
    let target = || usize::try_from(i64::try_from(at).unwrap() + 1 + i64::from(now.imm)).unwrap();
    let copied = at > 0 && code[at - 1].code == MOVE && code[at - 1].src_reg() == FRAME;
    match now.code {
        CALL => (0, (now.src_reg() == PSEUDO_CALL).then(target)),
        ADD if copied && code[at - 1].dst_reg() == now.dst_reg() => (-i64::from(now.imm), None),
        _ if is_memory(*now) => (-i64::from(now.off), None),
        _ => (0, None),
    }
}

/// Whether it reads or writes the frame itself.
fn is_memory(insn: bpf_insn) -> bool {
    match insn.code & 7 {
        1 => insn.src_reg() == FRAME,
        2 | 3 => insn.dst_reg() == FRAME,
        _ => false,
    }
}

fn functions(code: &[bpf_insn]) -> BTreeMap<usize, Function> {
    let called = (0..code.len()).filter_map(|at| look(code, at).1);
    let mut found: BTreeMap<_, _> = called.chain([0]).map(|at| (at, Function::default())).collect();
    for at in 0..code.len() {
        let (stack, call) = look(code, at);
        let function = found.range_mut(..=at).next_back().unwrap().1;
        function.stack = function.stack.max(stack);
        function.calls.extend(call);
    }
    found
}

fn depth(functions: &BTreeMap<usize, Function>, at: usize) -> i64 {
    let function = &functions[&at];
    let below = function.calls.iter().map(|call| depth(functions, *call)).max().unwrap_or(0);
    (function.stack.max(1) + PART - 1) / PART * PART + below
}

#[test]
fn every_program_keeps_within_the_stack_of_older_kernels() {
    let bytes = include_bytes!(concat!(env!("OUT_DIR"), "/saker.bpf.o")).to_vec();
    let mut object = Object::parse(&bytes).unwrap();
    let texts: HashSet<_> = object.functions.keys().map(|(section, _)| *section).collect();
    object.relocate_calls(&texts).unwrap();
    assert!(object.programs.len() > 6, "{:?}", object.programs.keys());
    for (name, program) in &object.programs {
        let functions = functions(&object.functions[&program.function_key()].instructions);
        let depth = depth(&functions, 0);
        assert!(depth <= LIMIT, "{name} needs {depth} bytes: {functions:?}");
    }
}
