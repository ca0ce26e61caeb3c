//! Bias gradient: the sum of the output's gradient over images and pixels.

use crate::context::Context;
use crate::executor::for_each_chunk;
use crate::feature_map::FeatureMap;

/// Channels per task: two cache lines.
const CHANNELS: usize = 32;

/// `db[k] = sum over n, p, q of dy[n, p, q, k]`. For a linear layer, `map` is `FeatureMap::plain(n, 1, 1, outputs)`.
///
/// Rows are summed in f32 and their sums in f64: a plain f32 sum over conv1's 400,000 pixels would lose four digits.
///
/// # Panics
/// When `dy` is shorter than the map, or `db` is not C long.
pub fn gradient(context: &Context<'_>, map: FeatureMap, dy: &[f32], db: &mut [f32]) {
    assert_eq!(db.len(), map.c, "bias gradients of {map:?}");
    assert!(dy.len() >= map.len(), "gradient of {map:?}");
    for_each_chunk(context.threads, db, CHANNELS, |i, db| {
        let mut total = [0.0f64; CHANNELS];
        context.isa.vectorize(|| {
            for n in 0..map.n {
                for y in 0..map.h {
                    let mut row = [0.0f32; CHANNELS];
                    for x in 0..map.w {
                        let at = map.at(n, y, x) + i * CHANNELS;
                        for (sum, &value) in row.iter_mut().zip(&dy[at..at + db.len()]) {
                            *sum += value;
                        }
                    }
                    for (total, sum) in total.iter_mut().zip(row) {
                        *total += f64::from(sum);
                    }
                }
            }
        });
        for (db, total) in db.iter_mut().zip(total) {
            *db = total as f32;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature_map::Sides;
    use crate::isa::Isa;

    #[test]
    fn sums_exclude_the_border() {
        let map = FeatureMap { n: 2, h: 3, w: 2, c: 35, border: Sides { top: 1, left: 0, bottom: 2, right: 1 } };
        let mut dy = vec![100.0; map.len()];
        for n in 0..2 {
            for y in 0..3 {
                for x in 0..2 {
                    for c in 0..35 {
                        dy[map.at(n, y, x) + c] = c as f32 + n as f32;
                    }
                }
            }
        }
        for isa in Isa::all_supported() {
            let mut db = vec![0.0; 35];
            gradient(&Context::serial(isa), map, &dy, &mut db);
            assert!(db.iter().enumerate().all(|(c, &v)| v == 12.0 * c as f32 + 6.0));
        }
    }
}
