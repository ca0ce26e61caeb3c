//! Buffers aligned to cache lines, and a thread's own scratch buffers.

use std::cell::RefCell;

/// One cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// Floats that begin on a cache line, so that aligned panels never straddle two lines.
///
/// Asking Linux for pages of 2 MiB (madvise) changed nothing: 138 pictures a second with and without.
#[derive(Clone, Default)]
pub struct Buffer {
    lines: Box<[Line]>,
    len: usize,
}

impl Buffer {
    /// A buffer of `len` zeros. They come from the system as they are: nothing is written, and pages that nobody touches take
    /// no memory (`vec![Line(..); n]` would write them all, 60 ms for AlexNet's weights).
    pub fn zeros(len: usize) -> Self {
        // SAFETY: a line is floats, for which all bits zero means 0.0.
        Buffer { lines: unsafe { Box::new_zeroed_slice(len.div_ceil(16)).assume_init() }, len }
    }
}

impl std::ops::Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `Line` is 16 floats without padding, and `lines` holds at least `len` floats, all initialised.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl std::ops::DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
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
