//! Buffers aligned to cache lines, and a thread's own scratch buffers.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::ptr::NonNull;

/// One cache line.
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// Floats of a cache line.
pub(crate) const LINE: usize = 16;

/// Floats that begin on a cache line, so that aligned panels never straddle two lines.
pub struct Buffer {
    /// What the allocator gave: room for the lines, and for one more to begin on one.
    room: NonNull<u8>,
    len: usize,
}

// SAFETY: it owns plain numbers.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// A buffer of `len` zeros. They come from the system as they are: nothing is written, and pages that nobody touches take
    /// no memory.
    pub fn zeros(len: usize) -> Self {
        let layout = Self::layout(len);
        // SAFETY: there is room for a line at least.
        let room = unsafe { alloc_zeroed(layout) };
        let room = NonNull::new(room).unwrap_or_else(|| handle_alloc_error(layout));
        large_pages(room.as_ptr(), layout.size());
        Buffer { room, len }
    }

    /// The alignment is less than a line's: what is aligned to more than 16 bytes the allocator zeroes by hand.
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

/// Asks for pages of 2 MiB for what will be read again and again: in a virtual machine each miss of the pages' table reads two
/// tables. On two cores of Cascade Lake conv4's forward pass went from 240 to 320 GFLOP/s, conv3's from 300 to 320; on Zen 5 training
/// of the whole net was not told apart.
fn large_pages(room: *mut u8, bytes: usize) {
    const SMALL: usize = 4096;
    const LARGE: usize = 2 << 20;
    #[cfg(target_os = "linux")]
    if bytes >= 2 * LARGE {
        let skipped = room.align_offset(SMALL);
        // SAFETY: whole pages within what was allocated; advice changes nothing that a program can see, and may fail.
        unsafe { libc::madvise(room.wrapping_add(skipped).cast(), (bytes - skipped) / SMALL * SMALL, libc::MADV_HUGEPAGE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (room, bytes, SMALL, LARGE);
}

/// Types of which every pattern of bits is a value.
///
/// # Safety
/// They must be such, without padding, and aligned to 64 bytes at most.
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

/// The same bytes as values of another type.
///
/// # Panics
/// When they do not fill whole values, or are not aligned for them.
pub(crate) fn cast<T: Plain, U: Plain>(values: &[T]) -> &[U] {
    let bytes = size_of_val(values);
    assert!(bytes.is_multiple_of(size_of::<U>()) && values.as_ptr().cast::<U>().is_aligned());
    // SAFETY: as many bytes, aligned by the assertion; every pattern of bits is a value by `Plain`.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), bytes / size_of::<U>()) }
}

/// [`cast`], to write.
///
/// # Panics
/// As `cast`.
pub(crate) fn cast_mut<T: Plain, U: Plain>(values: &mut [T]) -> &mut [U] {
    let bytes = size_of_val(values);
    assert!(bytes.is_multiple_of(size_of::<U>()) && values.as_ptr().cast::<U>().is_aligned());
    // SAFETY: as in `cast`, and borrowed mutably.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), bytes / size_of::<U>()) }
}

/// The bytes of some floats, for maps of bytes in a buffer of floats.
pub fn bytes(values: &[f32]) -> &[u8] {
    cast(values)
}

/// [`bytes`], to write.
pub fn bytes_mut(values: &mut [f32]) -> &mut [u8] {
    cast_mut(values)
}

thread_local! {
    static SPARE: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
}

/// Lends `work` a scratch buffer of `len` values with arbitrary contents, aligned to a cache line.
///
/// Buffers belong to the thread and are kept for the next call, so a loop of equal steps allocates in its first step only.
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
