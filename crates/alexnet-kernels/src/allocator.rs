//! The system's allocator, for programs that end with a line of their own where memory is refused.
//!
//! Rust's standard library aborts then, with a backtrace; a hook for it is unstable. Refusals are rare where a system promises more
//! memory than it has, but common under `ulimit -v`, in small containers, and for buffers that no machine can hold.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::OnceLock;

/// What to do when the system refuses `bytes` bytes. It must not return memory, so it should end the program.
pub type OnRefusal = fn(bytes: usize);

static ON_REFUSAL: OnceLock<OnRefusal> = OnceLock::new();

/// Sets what [`Reporting`] calls where memory is refused; the first call counts.
pub fn on_refusal(handler: OnRefusal) {
    // A second handler would be another program's.
    let _ = ON_REFUSAL.set(handler);
}

/// [`System`], but that the handler of [`on_refusal`] is called where it has no memory, if there is one.
pub struct Reporting;

impl Reporting {
    /// Passes on what the system gave.
    fn checked(pointer: *mut u8, bytes: usize) -> *mut u8 {
        if pointer.is_null()
            && let Some(handler) = ON_REFUSAL.get()
        {
            handler(bytes);
        }
        pointer
    }
}

// SAFETY: every call is `System`'s own, and its answer is returned as it is. The handler may end the program but does not unwind.
unsafe impl GlobalAlloc for Reporting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        Reporting::checked(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        Reporting::checked(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        Reporting::checked(unsafe { System.realloc(pointer, layout, size) }, size)
    }
}
