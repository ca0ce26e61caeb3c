//! Mixing of a batch's images: mixup and CutMix.
//!
//! Image i of a batch of n is mixed with image n - 1 - i, as in timm: batches are shuffled, so the partner is random. All images of a
//! batch share one draw, keyed by (seed, epoch, batch). Both partners change at once, in place.

use std::ops::Range;

use alexnet_kernels::random::Key;
use rayon::prelude::*;

/// Sub-streams of a batch's random key.
const SHARE: u64 = 1;
const PLACE: u64 = 2;

/// Settings of mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019). With both, a batch gets either with probability 1/2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mix {
    /// Parameter alpha of mixup's distribution of shares, Beta(alpha, alpha); 0: no mixup.
    pub mixup: f64,
    /// Parameter alpha of CutMix; 0: no CutMix.
    pub cutmix: f64,
    /// Probability that a batch is mixed.
    pub probability: f64,
    /// Number of epochs, from the first, whose batches are mixed.
    pub epochs: u64,
}

impl Default for Mix {
    fn default() -> Mix {
        Mix { mixup: 0.0, cutmix: 0.0, probability: 1.0, epochs: u64::MAX }
    }
}

/// What happens to the images of one batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Blend {
    how: How,
    /// Share of the partner in an image, and in its label.
    pub(super) share: f32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    /// Weighted mean of both images.
    Mean,
    /// A rectangle is the partner's: its rows and columns, as ranges of `first` and `end`.
    Paste { rows: (usize, usize), columns: (usize, usize) },
}

impl Mix {
    /// Whether any batch is mixed.
    pub fn is_on(&self) -> bool {
        (self.mixup > 0.0 || self.cutmix > 0.0) && self.probability > 0.0 && self.epochs > 0
    }

    /// The draw of one batch of square images; `None` leaves it unmixed.
    pub(super) fn draw(&self, key: Key, epoch: u64, size: usize) -> Option<Blend> {
        if !self.is_on() || epoch >= self.epochs || f64::from(key.uniform(0)) >= self.probability {
            return None;
        }
        let cuts = self.cutmix > 0.0 && (self.mixup == 0.0 || key.below(1, 2) == 1);
        let share = beta(key.with(SHARE), if cuts { self.cutmix } else { self.mixup });
        if !cuts {
            return Some(Blend { how: How::Mean, share: share as f32 });
        }
        // As torchvision: a rectangle of the same shape as the image around a random point, cut off at the border.
        let half = (0.5 * share.sqrt() * size as f64) as usize;
        let span = |i| {
            let centre = key.with(PLACE).below(i, size as u64) as usize;
            (centre.saturating_sub(half), (centre + half).min(size))
        };
        let (rows, columns) = (span(0), span(1));
        let pixels = (rows.1 - rows.0) * (columns.1 - columns.0);
        Some(Blend { how: How::Paste { rows, columns }, share: (pixels as f64 / (size * size) as f64) as f32 })
    }
}

impl Blend {
    /// Mixes two images `[channels, size, size]` with each other.
    pub(super) fn pair(&self, a: &mut [f32], b: &mut [f32], size: usize) {
        match self.how {
            How::Mean => {
                let (rest, share) = (1.0 - self.share, self.share);
                for (a, b) in a.iter_mut().zip(b) {
                    (*a, *b) = (*a * rest + *b * share, *b * rest + *a * share);
                }
            }
            How::Paste { rows, columns } => {
                for (a, b) in a.chunks_exact_mut(size * size).zip(b.chunks_exact_mut(size * size)) {
                    for row in rows.0..rows.1 {
                        let part = row * size + columns.0..row * size + columns.1;
                        a[part.clone()].swap_with_slice(&mut b[part]);
                    }
                }
            }
        }
    }
}

/// Position of an image's partner in a batch of `n`.
pub(super) fn partner(position: usize, n: usize) -> usize {
    n - 1 - position
}

/// Positions of the partners, in a batch of `n`, of the images at `own`, that are not among them.
pub(super) fn foreign_partners(own: &Range<usize>, n: usize) -> Vec<usize> {
    (n - own.end..n - own.start).filter(|position| !own.contains(position)).collect()
}

/// Mixes the images at `own` of a batch of `n` with their partners. `images` holds those at `own` and then those at `foreign`, each
/// of `len` values; `is_whole` says which could be read. Returns for each image at `own` whether it was mixed.
pub(super) fn blend(
    blend: &Blend,
    images: &mut [f32],
    (len, size): (usize, usize),
    (own, foreign, n): (&Range<usize>, &[usize], usize),
    is_whole: &[bool],
) -> Vec<bool> {
    let slot = |position: usize| {
        if own.contains(&position) {
            Some(position - own.start)
        } else {
            foreign.binary_search(&position).ok().map(|i| own.len() + i)
        }
    };
    let mut chunks: Vec<Option<&mut [f32]>> = images.chunks_exact_mut(len).map(Some).collect();
    let mut mixed = vec![false; own.len()];
    let mut pairs = Vec::with_capacity(own.len());
    for position in own.clone() {
        let (first, second) = (position - own.start, slot(partner(position, n)));
        let Some(second) = second.filter(|&second| second != first && is_whole[first] && is_whole[second]) else { continue };
        mixed[first] = true;
        // Of two own images, the first one mixes both.
        if let (Some(a), Some(b)) = (chunks[first].take(), chunks[second].take()) {
            pairs.push((a, b));
        }
    }
    pairs.into_par_iter().with_max_len(1).for_each(|(a, b)| blend.pair(a, b, size));
    mixed
}

/// A number with distribution Beta(alpha, alpha), as the share of a gamma variable in the sum of two.
fn beta(key: Key, alpha: f64) -> f64 {
    let (a, b) = (log_gamma_variable(key.with(0), alpha), log_gamma_variable(key.with(1), alpha));
    // Logarithms, since variables of a small alpha are often too small for floats.
    1.0 / (1.0 + (b - a).exp())
}

/// Logarithm of a number with distribution Gamma(alpha, 1) (Marsaglia and Tsang 2000).
fn log_gamma_variable(key: Key, alpha: f64) -> f64 {
    let uniform = |i| f64::from(1.0 - key.uniform(i));
    // A smaller alpha by way of alpha + 1.
    let (shape, log_boost) = if alpha < 1.0 { (alpha + 1.0, uniform(0).ln() / alpha) } else { (alpha, 0.0) };
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    // Each attempt succeeds with probability above 0.95.
    for attempt in 0..100 {
        let x = f64::from(key.with(1).normal(attempt));
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && uniform(1 + attempt).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return (d * v).ln() + log_boost;
        }
    }
    d.ln() + log_boost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_the_moments_of_the_beta_distribution() {
        for alpha in [0.05, 0.2, 0.8, 1.0, 2.5, 20.0] {
            let n = 20_000;
            let draws: Vec<f64> = (0..n).map(|i| beta(Key(i), alpha)).collect();
            let mean = draws.iter().sum::<f64>() / n as f64;
            let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!((mean - 0.5).abs() < 0.012, "alpha {alpha}: mean {mean}");
            assert!((variance / expected - 1.0).abs() < 0.04, "alpha {alpha}: variance {variance}, not {expected}");
            assert!(draws.iter().all(|x| (0.0..=1.0).contains(x)));
        }
    }

    #[test]
    fn both_kinds_get_half_of_the_batches() {
        let both = Mix { mixup: 0.8, cutmix: 1.0, probability: 0.5, epochs: 3 };
        let draws: Vec<Option<Blend>> = (0..4000).map(|i| both.draw(Key(i), 2, 32)).collect();
        let count = |wanted: fn(&Blend) -> bool| draws.iter().flatten().filter(|blend| wanted(blend)).count();
        let (means, pastes) = (count(|b| b.how == How::Mean), count(|b| b.how != How::Mean));
        assert!((900..1100).contains(&means) && (900..1100).contains(&pastes), "{means} and {pastes}");
        assert_eq!(both.draw(Key(1), 3, 32), None);
        assert_eq!(Mix { probability: 1.0, ..Mix::default() }.draw(Key(1), 0, 32), None);
        for blend in draws.into_iter().flatten() {
            if let How::Paste { rows, columns } = blend.how {
                let pixels = (rows.1 - rows.0) * (columns.1 - columns.0);
                assert!(rows.1 <= 32 && columns.1 <= 32 && blend.share == pixels as f32 / 1024.0);
            }
        }
    }

    /// torchvision's `MixUp` and `CutMix` on a batch of two, whose roll by one is the reversal.
    #[test]
    fn pairs_are_torchvisions() {
        let size = 4;
        let (a, b): (Vec<f32>, Vec<f32>) = ((0..48).map(|i| i as f32).collect(), (0..48).map(|i| 100.0 - i as f32).collect());
        let (mut x, mut y) = (a.clone(), b.clone());
        Blend { how: How::Mean, share: 0.25 }.pair(&mut x, &mut y, size);
        assert!((0..48).all(|i| x[i] == 0.75 * a[i] + 0.25 * b[i] && y[i] == 0.75 * b[i] + 0.25 * a[i]));
        let (mut x, mut y) = (a.clone(), b.clone());
        Blend { how: How::Paste { rows: (1, 3), columns: (0, 2) }, share: 0.25 }.pair(&mut x, &mut y, size);
        for i in 0..48 {
            let (row, column) = (i % 16 / 4, i % 4);
            let inside = (1..3).contains(&row) && column < 2;
            assert_eq!((x[i], y[i]), if inside { (b[i], a[i]) } else { (a[i], b[i]) }, "value {i}");
        }
    }

    #[test]
    fn every_part_of_a_batch_is_mixed_as_the_whole() {
        let (n, len) = (7, 3);
        let whole: Vec<f32> = (0..n * len).map(|i| (i * i) as f32).collect();
        let draw = Blend { how: How::Mean, share: 0.3 };
        // Image 1 is broken: it and its partner 5 stay, as does 3 in the middle.
        let is_whole = |position: usize| position != 1;
        let part = |own: Range<usize>| {
            let foreign = foreign_partners(&own, n);
            let positions: Vec<usize> = own.clone().chain(foreign.iter().copied()).collect();
            let mut images: Vec<f32> = positions.iter().flat_map(|p| &whole[p * len..(p + 1) * len]).copied().collect();
            let read: Vec<bool> = positions.iter().map(|p| is_whole(*p)).collect();
            let mixed = blend(&draw, &mut images, (len, 1), (&own, &foreign, n), &read);
            images.truncate(own.len() * len);
            (images, mixed)
        };
        let (images, mixed) = part(0..n);
        assert_eq!(mixed, [true, false, true, false, true, false, true]);
        assert_eq!(images[len..2 * len], whole[len..2 * len]);
        assert_eq!(images[0], 0.7 * whole[0] + 0.3 * whole[6 * len]);
        for split in 0..=n {
            let ((mut a, mut is_a), (b, is_b)) = (part(0..split), part(split..n));
            a.extend(b);
            is_a.extend(is_b);
            assert_eq!((a, is_a), (images.clone(), mixed.clone()), "split at {split}");
        }
    }
}
