//! How the program ends where it cannot go on: a line instead of a backtrace.

use alexnet::files;
use std::io::Write;

/// From this size on an allocation is one of ours, made while no lock is held that removing half-written files needs.
const LARGE: usize = 1 << 20;

/// Ends the program with a line where memory is refused, and with a short one where it has a fault of its own.
pub(crate) fn prepare() {
    alexnet_kernels::allocator::on_refusal(out_of_memory);
}

/// Says that memory was refused and ends. Nothing here may allocate.
fn out_of_memory(bytes: usize) {
    let mut error = std::io::stderr();
    let advice = "try a smaller --batch or --image-size, or fewer --threads, or allow the program more memory (ulimit -v)";
    let _ = match bytes {
        LARGE.. => writeln!(error, "error: the system refused {} MB of memory; {advice}", bytes.div_ceil(1_000_000)),
        _ => writeln!(error, "error: the system has no memory left; {advice}"),
    };
    if bytes >= LARGE {
        files::abandon();
    }
    std::process::exit(1);
}
