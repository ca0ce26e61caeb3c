//! Cache-line-aligned buffers, and per-thread scratch buffers.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::ptr::NonNull;

/// One cache line.
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// Floats per cache line.
pub(crate) const LINE: usize = 16;

/// Float buffer aligned to a cache line, so that aligned panels never straddle two lines.
pub struct Buffer {
    /// The allocation: space for the lines, and for one more to align the start.
    room: NonNull<u8>,
    len: usize,
}

// SAFETY: it owns plain numbers.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// Creates a buffer of `len` zeros. They come directly from the system: nothing is written, and untouched pages take no
    /// memory.
    pub fn zeros(len: usize) -> Self {
        let layout = Self::layout(len);
        // SAFETY: there is room for a line at least.
        let room = unsafe { alloc_zeroed(layout) };
        let room = NonNull::new(room).unwrap_or_else(|| handle_alloc_error(layout));
        large_pages(room.as_ptr(), layout.size());
        Buffer { room, len }
    }

    /// Layout with an alignment below a line's: for alignments above 16 bytes the allocator would zero memory by hand.
    fn layout(len: usize) -> Layout {
        let lines = len.div_ceil(LINE) + 1;
        Layout::from_size_align(lines.saturating_mul(size_of::<Line>()), align_of::<f32>())
            .unwrap_or_else(|_| panic!("a buffer of {len} floats"))
    }

    fn start(&self) -> *mut f32 {
        let room = self.room.as_ptr();
        room.wrapping_add(room.align_offset(align_of::<Line>())).cast()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.room.as_ptr(), Self::layout(self.len)) }
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Buffer::zeros(0)
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        let mut copy = Buffer::zeros(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl std::ops::Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `len` floats and a line lie in the room, all initialised; the start is less than a line behind its beginning.
        unsafe { std::slice::from_raw_parts(self.start(), self.len) }
    }
}

impl std::ops::DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start(), self.len) }
    }
}

/// Requests 2 MiB pages for data that is read repeatedly: in a virtual machine each TLB miss walks two page tables. On two cores
/// of Cascade Lake this raised conv4's forward pass from 240 to 320 GFLOP/s, conv3's from 300 to 320; on Zen 5 training of the
/// whole net showed no difference.
fn large_pages(room: *mut u8, bytes: usize) {
    const SMALL: usize = 4096;
    const LARGE: usize = 2 << 20;
    #[cfg(target_os = "linux")]
    if bytes >= 2 * LARGE {
        let skipped = room.align_offset(SMALL);
        // SAFETY: whole pages within the allocation; the advice has no visible effect, and may fail.
        unsafe { libc::madvise(room.wrapping_add(skipped).cast(), (bytes - skipped) / SMALL * SMALL, libc::MADV_HUGEPAGE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (room, bytes, SMALL, LARGE);
}

/// Types for which every bit pattern is valid.
///
/// # Safety
/// Implementors must be such types, without padding, and aligned to at most 64 bytes.
pub(crate) unsafe trait Plain: Copy {}
// SAFETY: numbers.
unsafe impl Plain for f32 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for i32 {}
// SAFETY: as above.
unsafe impl Plain for u8 {}
// SAFETY: a `u16` and nothing else.
unsafe impl Plain for crate::bf16::Bf16 {}

/// Reinterprets a slice as another type.
///
/// # Panics
/// When they do not fill whole values, or are not aligned for them.
pub(crate) fn cast<T: Plain, U: Plain>(values: &[T]) -> &[U] {
    let bytes = size_of_val(values);
    assert!(bytes.is_multiple_of(size_of::<U>()) && values.as_ptr().cast::<U>().is_aligned());
    // SAFETY: as many bytes, aligned by the assertion; every pattern of bits is a value by `Plain`.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), bytes / size_of::<U>()) }
}

/// Mutable version of [`cast`].
///
/// # Panics
/// As `cast`.
pub(crate) fn cast_mut<T: Plain, U: Plain>(values: &mut [T]) -> &mut [U] {
    let bytes = size_of_val(values);
    assert!(bytes.is_multiple_of(size_of::<U>()) && values.as_ptr().cast::<U>().is_aligned());
    // SAFETY: as in `cast`, and borrowed mutably.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), bytes / size_of::<U>()) }
}

/// Bytes of a float slice, for byte maps in a float buffer.
pub fn bytes(values: &[f32]) -> &[u8] {
    cast(values)
}

/// Mutable version of [`bytes`].
pub fn bytes_mut(values: &mut [f32]) -> &mut [u8] {
    cast_mut(values)
}

thread_local! {
    static SPARE: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
}

/// Calls `work` with a scratch buffer of `len` values with arbitrary contents, aligned to a cache line.
///
/// Buffers belong to the thread and are reused by later calls, so a loop of equal steps allocates only in its first step.
/// Calls may nest.
pub(crate) fn with_scratch<T: Plain, R>(len: usize, work: impl FnOnce(&mut [T]) -> R) -> R {
    let floats = (len * size_of::<T>()).div_ceil(size_of::<f32>());
    let mut buffer = SPARE.with(|spare| spare.borrow_mut().pop()).unwrap_or_default();
    if buffer.len < floats {
        buffer = Buffer::zeros(floats);
    }
    let result = work(&mut cast_mut(&mut buffer[..floats])[..len]);
    SPARE.with(|spare| spare.borrow_mut().push(buffer));
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_nests_and_is_kept() {
        let first = with_scratch(100, |a: &mut [f32]| {
            a.fill(1.0);
            with_scratch(50, |b: &mut [f32]| b.fill(2.0));
            assert!(a.iter().all(|&v| v == 1.0));
            assert_eq!(a.as_ptr() as usize % 64, 0);
            a.as_ptr() as usize
        });
        assert_eq!(with_scratch(180, |a: &mut [crate::bf16::Bf16]| a.as_ptr() as usize), first);
    }
}
