//! Extent of pooling windows along one axis.

use std::ops::Range;

/// Extent of one window along one axis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// First pixel of the map.
    pub(crate) start: usize,
    /// One past the last pixel of the map.
    pub(crate) end: usize,
    /// Pixels of the window before the map.
    pub(super) skipped: usize,
    /// Pixels that count in a mean: those on the map or its padding.
    pub(super) size: usize,
}

impl Span {
    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }
}

/// `count` windows of `kernel` pixels, one every `stride`, on a map of `extent` pixels with padding before and after it.
///
/// # Panics
/// If a window starts beyond the padding.
pub(super) fn fixed(count: usize, kernel: usize, stride: usize, pad: (usize, usize), extent: usize) -> Vec<Span> {
    let (before, after) = pad;
    assert!(kernel > 0 && stride > 0 && count > 0, "{count} windows of {kernel} pixels every {stride}");
    assert!(
        (count - 1) * stride < extent + before + after,
        "{count} windows every {stride} pixels on {extent}, padding {before} and {after}"
    );
    let on_map = |padded: usize| padded.saturating_sub(before).min(extent);
    let window = |i: usize| {
        let first = i * stride;
        Span {
            start: on_map(first),
            end: on_map(first + kernel),
            skipped: before.saturating_sub(first),
            size: (first + kernel).min(before + extent + after) - first,
        }
    };
    (0..count).map(window).collect()
}

/// `count` windows that tile `extent` pixels as evenly as whole pixels allow; neighbours may share one.
///
/// # Panics
/// When there are no windows or no pixels.
pub(super) fn adaptive(count: usize, extent: usize) -> Vec<Span> {
    assert!(count > 0 && extent > 0, "{count} windows on {extent} pixels");
    let window = |i: usize| {
        let (start, end) = (i * extent / count, ((i + 1) * extent).div_ceil(count));
        Span { start, end, skipped: 0, size: end - start }
    };
    (0..count).map(window).collect()
}

/// Windows that cover each of `extent` pixels. Windows start and end in order, so these are consecutive.
pub(super) fn covering(spans: &[Span], extent: usize) -> Vec<Range<usize>> {
    let of = |pixel| {
        let first = spans.partition_point(|span| span.end <= pixel);
        first..spans.partition_point(|span| span.start <= pixel).max(first)
    };
    (0..extent).map(of).collect()
}
