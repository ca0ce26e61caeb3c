//! The images whose features are nearest, as figure 4 of the paper (right) shows them for fc7.

use super::Table;
use crate::{Error, Result};
use rayon::prelude::*;

/// An image of a table and how far it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// Its row.
    pub row: usize,
    /// Euclidean distance of the features.
    pub distance: f64,
}

/// The `count` rows nearest to `features`, nearest first; of equals the first.
///
/// # Errors
/// Another number of features than the table's.
pub fn nearest(table: &Table, features: &[f32], count: usize) -> Result<Vec<Near>> {
    let width = table.about.width();
    if features.len() != width {
        return Err(Error::Invalid(format!("{} features where the index has {width}", features.len())));
    }
    let far = |(row, other): (usize, &[f32])| Near { row, distance: squared(features, other).sqrt() };
    let mut all: Vec<Near> = table.rows.par_chunks_exact(width).enumerate().map(far).collect();
    let order = |a: &Near, b: &Near| a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row));
    if count < all.len() {
        all.select_nth_unstable_by(count, order);
        all.truncate(count);
    }
    all.sort_by(order);
    Ok(all)
}

/// The squared distance; 16 sums side by side, which the compiler keeps in registers, over blocks short enough for single
/// precision.
fn squared(a: &[f32], b: &[f32]) -> f64 {
    const BLOCK: usize = 1024;
    let block = |(a, b): (&[f32], &[f32])| {
        let mut sums = [0.0f32; 16];
        let (a, rest_a) = a.as_chunks::<16>();
        let (b, rest_b) = b.as_chunks::<16>();
        for (a, b) in a.iter().zip(b) {
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum += (a - b) * (a - b);
            }
        }
        let rest: f32 = rest_a.iter().zip(rest_b).map(|(a, b)| (a - b) * (a - b)).sum();
        f64::from(sums.iter().sum::<f32>() + rest)
    };
    a.chunks(BLOCK).zip(b.chunks(BLOCK)).map(block).sum()
}
