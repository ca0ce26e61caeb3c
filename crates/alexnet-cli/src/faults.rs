//! Handling of failed memory allocations: a one-line error instead of a backtrace.

use alexnet::files;
use std::io::Write;

/// Minimum size of an allocation that is certainly our own. No lock needed for removing half-written files is held during one.
const LARGE: usize = 1 << 20;

/// Installs the out-of-memory handler.
pub(crate) fn prepare() {
    alexnet_kernels::allocator::on_refusal(out_of_memory);
}

/// Reports the failed allocation and exits. Nothing here may allocate.
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
