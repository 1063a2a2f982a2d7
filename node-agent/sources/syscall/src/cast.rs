//! The one function of the kernel that the probe calls by number: `bpf_rdonly_cast` (`probe/cast.h` is the other side).
//! aya resolves no such calls yet, so its number is written into the object before that is loaded.

use aya::Btf;
use aya_obj::btf::BtfKind;

const FUNCTION: &str = "bpf_rdonly_cast";
/// The call as the probe has it: the number of the function is the upper half.
const CALL: u64 = 0x5341_4b52_0000_2085;
const LOWER_HALF: u64 = 0xffff_ffff;

/// The object with the kernel's number of the function, and whether the kernel has it. Where it has not, the number is
/// 0: the verifier lets such calls be if they are never reached.
pub(crate) fn resolve(object: &[u8], btf: &Btf) -> (Vec<u8>, bool) {
    let number = btf.id_by_type_name_kind(FUNCTION, BtfKind::Func).ok();
    let call = (CALL & LOWER_HALF) | u64::from(number.unwrap_or(0)) << 32;
    let mut object = object.to_vec();
    for instruction in object.as_chunks_mut::<8>().0 {
        if *instruction == CALL.to_le_bytes() {
            *instruction = call.to_le_bytes();
        }
    }
    (object, number.is_some())
}
