//! Distribution of a map's rows over tasks.

use crate::executor::{DisjointSlices, Executor};
use crate::feature_map::FeatureMap;

/// Minimum number of floats written by a task, if an image has that many: 128 KiB take some ten microseconds, well above the cost
/// of dispatching a task, and even a single image's first maps are shared among threads.
const BAND: usize = 1 << 15;

/// Calls `task(n, y, line)` for each row of an output map; `line` is the row's W C floats. The border is zeroed here.
pub(crate) fn for_each_row(
    threads: &dyn Executor,
    map: FeatureMap,
    buffer: &mut [f32],
    task: impl Fn(usize, usize, &mut [f32]) + Sync,
) {
    for_each_band(threads, map, buffer, |n, rows| rows.for_each(|(y, line)| task(n, y, line)));
}

/// Calls `task(n, rows)` for bands of an output map; `rows` yields the band's rows with their W C floats. The border is zeroed
/// here.
pub(crate) fn for_each_band(
    threads: &dyn Executor,
    map: FeatureMap,
    buffer: &mut [f32],
    task: impl Fn(usize, &mut dyn Iterator<Item = (usize, &mut [f32])>) + Sync,
) {
    assert!(buffer.len() >= map.len(), "{} floats for {map:?}", buffer.len());
    if map.h * map.w * map.c == 0 {
        return;
    }
    let (row, border) = (map.row_stride(), map.border);
    let rows = (BAND / row).clamp(1, map.h);
    let bands = map.h.div_ceil(rows);
    let parts = DisjointSlices::new(buffer);
    threads.run(map.n * bands, &|i| {
        let (n, first) = (i / bands, i % bands * rows);
        let last = map.h.min(first + rows);
        // The first band also writes the top border, the last one the bottom border.
        let (above, below) = (if first == 0 { border.top } else { 0 }, if last == map.h { border.bottom } else { 0 });
        let start = n * map.image_stride() + (border.top + first - above) * row;
        // SAFETY: bands of different i do not overlap, and each i is run once.
        let band = unsafe { parts.slice(start, (above + last - first + below) * row) };
        band[..above * row].fill(0.0);
        band[(above + last - first) * row..].fill(0.0);
        let lines = (first..last).zip(band[above * row..].chunks_exact_mut(row));
        task(
            n,
            &mut lines.map(|(y, line)| {
                line[..border.left * map.c].fill(0.0);
                line[row - border.right * map.c..].fill(0.0);
                (y, &mut line[border.left * map.c..row - border.right * map.c])
            }),
        );
    });
}

/// The W C floats of one row within the border.
#[inline(always)]
pub(crate) fn row(map: FeatureMap, buffer: &[f32], n: usize, y: usize) -> &[f32] {
    let start = map.at(n, y, 0);
    &buffer[start..start + map.w * map.c]
}

/// Zeroes a row of a gradient where the output of a ReLU is not positive.
#[inline(always)]
pub(crate) fn mask_row(mask: Option<(FeatureMap, &[f32])>, n: usize, y: usize, line: &mut [f32]) {
    if let Some((map, values)) = mask {
        for (gradient, &value) in line.iter_mut().zip(row(map, values, n, y)) {
            *gradient = if value > 0.0 { *gradient } else { 0.0 };
        }
    }
}

/// Panics unless two maps have equal numbers of images, rows, columns and channels, and their buffers are large enough.
pub(crate) fn check_same(what: &str, a: FeatureMap, a_len: usize, b: FeatureMap, b_len: usize) {
    assert_eq!((a.n, a.h, a.w, a.c), (b.n, b.h, b.w, b.c), "{what}: the maps differ");
    assert!(a_len >= a.len(), "{what}: {a_len} floats for {a:?}");
    assert!(b_len >= b.len(), "{what}: {b_len} floats for {b:?}");
}

/// Panics unless a mask has the shape of the gradient that it masks.
pub(crate) fn check_mask(what: &str, mask: Option<(FeatureMap, &[f32])>, dx: FeatureMap) {
    if let Some((map, values)) = mask {
        check_same(what, map, values.len(), dx, dx.len());
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Shared helpers of the operators' tests.

    use crate::context::Context;
    use crate::executor::Executor;
    use crate::feature_map::{FeatureMap, Sides};
    use crate::isa::Isa;
    use crate::random::Key;

    /// Executor with three threads that take the tasks in turn, the last first.
    pub(crate) struct Three;

    impl Executor for Three {
        fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
            std::thread::scope(|scope| {
                for thread in 0..3 {
                    scope.spawn(move || (0..tasks).rev().filter(|i| i % 3 == thread).for_each(task));
                }
            });
        }
    }

    /// Contexts with every instruction set on one thread, and the best one on three.
    pub(crate) fn contexts() -> Vec<Context<'static>> {
        let mut all: Vec<_> = Isa::all_supported().map(Context::serial).collect();
        all.push(Context { threads: &Three, ..Context::serial(Isa::detect()) });
        all
    }

    /// A border of different widths.
    pub(crate) fn border(i: usize) -> Sides {
        Sides { top: i % 3, left: (i + 1) % 2, bottom: (i + 2) % 3, right: i % 2 + i / 3 % 3 }
    }

    /// Buffer of a map with values uniform in plus or minus `scale` and a NaN border, which reveals reads of it.
    pub(crate) fn random(map: FeatureMap, key: u64, scale: f32) -> Vec<f32> {
        let mut buffer = vec![f32::NAN; map.len()];
        fill(map, &mut buffer, |i| (2.0 * Key(key).uniform(i as u64) - 1.0) * scale);
        buffer
    }

    /// Writes `value(i)` to the i-th position within the border.
    pub(crate) fn fill(map: FeatureMap, buffer: &mut [f32], value: impl Fn(usize) -> f32) {
        for n in 0..map.n {
            for y in 0..map.h {
                let (at, first) = (map.at(n, y, 0), (n * map.h + y) * map.w * map.c);
                for (i, place) in buffer[at..at + map.w * map.c].iter_mut().enumerate() {
                    *place = value(first + i);
                }
            }
        }
    }

    /// Values within a border of arbitrary content, in f64.
    pub(crate) fn inside_of(map: FeatureMap, buffer: &[f32]) -> Vec<f64> {
        (0..map.n)
            .flat_map(|n| (0..map.h).flat_map(move |y| super::row(map, buffer, n, y).iter().map(|&v| f64::from(v))))
            .collect()
    }

    /// Values within the border, in f64; panics unless the border is zero.
    pub(crate) fn inside(map: FeatureMap, buffer: &[f32]) -> Vec<f64> {
        let mut rest = buffer.to_vec();
        for n in 0..map.n {
            for y in 0..map.h {
                let at = map.at(n, y, 0);
                rest[at..at + map.w * map.c].fill(0.0);
            }
        }
        assert!(rest.iter().all(|v| v.to_bits() == 0), "the border of {map:?} is not all zeros");
        inside_of(map, buffer)
    }

    /// Panics unless all values are within `tolerance` times the largest expected one.
    pub(crate) fn assert_near(what: &str, values: &[f64], expected: &[f64], tolerance: f64) {
        assert_eq!(values.len(), expected.len(), "{what}");
        let scale = expected.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
        for (i, (a, b)) in values.iter().zip(expected).enumerate() {
            assert!((a - b).abs() <= tolerance * scale, "{what}: {a} instead of {b} at {i} of {}", values.len());
        }
    }

    /// Compares `gradient` with central differences of the sum of `forward(x) * dy`, all in f64.
    pub(crate) fn check_differences(what: &str, x: &[f64], dy: &[f64], gradient: &[f64], forward: impl Fn(&[f64]) -> Vec<f64>) {
        let eps = 1e-5;
        let differences: Vec<f64> = (0..x.len())
            .map(|i| {
                let at = |step: f64| {
                    let mut x = x.to_vec();
                    x[i] += step;
                    forward(&x).iter().zip(dy).map(|(y, dy)| y * dy).sum::<f64>()
                };
                (at(eps) - at(-eps)) / (2.0 * eps)
            })
            .collect();
        assert!(differences.iter().any(|d| d.abs() > 1e-3), "{what}: all differences vanish");
        assert_near(what, gradient, &differences, 1e-6);
    }
}
