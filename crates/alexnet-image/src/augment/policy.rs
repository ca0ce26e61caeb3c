//! Automatic augmentation: random operations of random magnitudes.

use super::augmix;
use super::canvas::Canvas;
use super::operation::{Operation, Space};
use super::warp::Interpolation;
use alexnet_kernels::random::Key;

/// Policy of automatic augmentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// TrivialAugmentWide (Müller and Hutter 2021): one operation of random magnitude.
    Trivial,
    /// RandAugment (Cubuk et al. 2020): several operations of one magnitude.
    Rand {
        /// Number of operations.
        operations: usize,
        /// Number of the magnitude, 0 to 30.
        magnitude: usize,
    },
    /// AugMix (Hendrycks et al. 2020) with torchvision's defaults: the mean of three chains of weak operations.
    AugMix,
}

impl Policy {
    /// Applies operations drawn from `key`.
    pub fn apply(self, canvas: &mut Canvas, key: Key, interpolation: Option<Interpolation>) {
        let or = |own| interpolation.unwrap_or(own);
        match self {
            Policy::Trivial => {
                random_operation(Space::Wide, key, |bins| key.below(1, bins) as usize).apply(canvas, or(Interpolation::Nearest));
            }
            Policy::Rand { operations, magnitude } => {
                for i in 0..operations {
                    let key = key.with(i as u64);
                    random_operation(Space::Rand, key, |_| magnitude).apply(canvas, or(Interpolation::Nearest));
                }
            }
            Policy::AugMix => augmix::apply(canvas, key, or(Interpolation::Bilinear)),
        }
    }
}

/// An operation with the number of its magnitude and its sign.
pub(super) struct Drawn {
    space: Space,
    operation: Operation,
    bin: usize,
    is_negative: bool,
}

/// An operation drawn from `key`: random number 0 is the operation, 2 the sign; `bin` chooses a magnitude.
pub(super) fn random_operation(space: Space, key: Key, bin: impl FnOnce(u64) -> usize) -> Drawn {
    let all = space.operations();
    let operation = all[key.below(0, all.len() as u64) as usize];
    Drawn { space, operation, bin: bin(space.bins() as u64), is_negative: operation.is_signed() && key.below(2, 2) == 1 }
}

impl Drawn {
    pub(super) fn apply(&self, canvas: &mut Canvas, interpolation: Interpolation) {
        let magnitude = self.space.magnitude(self.operation, self.bin, canvas.width(), canvas.height());
        self.operation.apply(canvas, if self.is_negative { -magnitude } else { magnitude }, interpolation);
    }
}
