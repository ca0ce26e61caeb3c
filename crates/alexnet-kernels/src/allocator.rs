//! Global allocator with a handler for failed allocations, for programs that report them in their own way.
//!
//! Rust's standard library then aborts with a backtrace, and its hook is unstable. Failures are rare on systems that overcommit
//! memory, but common under `ulimit -v`, in small containers, and for buffers that no machine can hold.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::OnceLock;

/// Handler called when the system refuses `bytes` bytes. It must not return memory, so it should end the program.
pub type OnRefusal = fn(bytes: usize);

static ON_REFUSAL: OnceLock<OnRefusal> = OnceLock::new();

/// Sets the handler of [`Reporting`]; the first call counts.
pub fn on_refusal(handler: OnRefusal) {
    // A second handler would belong to another part of the program.
    let _ = ON_REFUSAL.set(handler);
}

/// [`System`] allocator that calls the handler of [`on_refusal`], if set, when memory is refused.
pub struct Reporting;

impl Reporting {
    /// Returns the system's pointer after checking it.
    fn checked(pointer: *mut u8, bytes: usize) -> *mut u8 {
        if pointer.is_null()
            && let Some(handler) = ON_REFUSAL.get()
        {
            handler(bytes);
        }
        pointer
    }
}

// SAFETY: every call is `System`'s own, and its result is returned unchanged. The handler may end the program but does not
// unwind.
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
