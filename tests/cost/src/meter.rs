//! Has a module count the instructions that it carries out.
//!
//! Before each run of instructions that are carried out either all or not at all, code is put that
//! adds their number to a counter, an exported global. An interpreter's own metering would be less
//! work, but those that are small charge for code that a branch jumps over, too: with functions
//! that have many exits, as allocators and hash tables do, that is off by a factor of twenty.

use walrus::ir::{
    BinaryOp, Binop, Const, GlobalGet, GlobalSet, Instr, InstrLocId, InstrSeqId, Value,
};
use walrus::{ConstExpr, GlobalId, LocalFunction, Module, ValType};

use crate::Result;

/// The exported global that holds the count.
pub(crate) const COUNTER: &str = "cost_instructions";

type Instruction = (Instr, InstrLocId);

/// The same module with the counter.
pub(crate) fn metered(wasm: &[u8]) -> Result<Vec<u8>> {
    let mut module = Module::from_buffer(wasm)
        .map_err(|error| format!("the module cannot be read: {error:#}"))?;
    let zero = ConstExpr::Value(Value::I64(0));
    let counter = module.globals.add_local(ValType::I64, true, false, zero);
    module.exports.add(COUNTER, counter);
    for (_, function) in module.funcs.iter_local_mut() {
        meter(function, counter);
    }
    Ok(module.emit_wasm())
}

fn meter(function: &mut LocalFunction, counter: GlobalId) {
    let mut sequences = vec![function.entry_block()];
    while let Some(sequence) = sequences.pop() {
        let instructions = &mut function.block_mut(sequence).instrs;
        let mut metered = Vec::with_capacity(2 * instructions.len());
        let mut run = Vec::new();
        for instruction in instructions.drain(..) {
            let ends = ends_run(&instruction.0);
            sequences.extend(inner(&instruction.0));
            run.push(instruction);
            if ends {
                close(&mut run, counter, &mut metered);
            }
        }
        close(&mut run, counter, &mut metered);
        *instructions = metered;
    }
}

/// Moves a run behind the code that counts it.
fn close(run: &mut Vec<Instruction>, counter: GlobalId, metered: &mut Vec<Instruction>) {
    let count = run.iter().filter(|(instruction, _)| counts(instruction));
    let count = i64::try_from(count.count()).unwrap_or(i64::MAX);
    if count > 0 {
        let add = [
            Instr::GlobalGet(GlobalGet { global: counter }),
            Instr::Const(Const {
                value: Value::I64(count),
            }),
            Instr::Binop(Binop {
                op: BinaryOp::I64Add,
            }),
            Instr::GlobalSet(GlobalSet { global: counter }),
        ];
        metered.extend(add.map(|instruction| (instruction, InstrLocId::default())));
    }
    metered.append(run);
}

/// As wasmtime counts its fuel: not what makes no machine code.
fn counts(instruction: &Instr) -> bool {
    !matches!(
        instruction,
        Instr::Block(_)
            | Instr::Loop(_)
            | Instr::Drop(_)
            | Instr::Unreachable(_)
            | Instr::Return(_)
    )
}

/// Whether the next instruction is perhaps not carried out when this one is, or more often.
fn ends_run(instruction: &Instr) -> bool {
    matches!(
        instruction,
        Instr::Block(_)
            | Instr::Loop(_)
            | Instr::IfElse(_)
            | Instr::Br(_)
            | Instr::BrIf(_)
            | Instr::BrTable(_)
            | Instr::Return(_)
            | Instr::Unreachable(_)
    )
}

/// The sequences of instructions within an instruction.
fn inner(instruction: &Instr) -> Vec<InstrSeqId> {
    match instruction {
        Instr::Block(block) => vec![block.seq],
        Instr::Loop(block) => vec![block.seq],
        Instr::IfElse(branches) => vec![branches.consequent, branches.alternative],
        _ => Vec::new(),
    }
}
