//! Stateless random numbers: the i-th number of a key is a function of both.
//!
//! Any image's augmentation, any unit's dropout and any weight's initial value can therefore be computed in any order, on any
//! thread, and again after an interruption, with the same bits.

/// Key of a random number stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(pub u64);

impl Key {
    /// Derives a separate stream for each number: `Key(seed).with(epoch).with(image)`.
    pub fn with(self, number: u64) -> Key {
        Key(mix(self.0 ^ mix(number.wrapping_add(0xA076_1D64_78BD_642F))))
    }

    /// The i-th number of the stream, all 64 bits random.
    pub fn bits(self, i: u64) -> u64 {
        mix(self.0.wrapping_add(i.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15)))
    }

    /// The i-th number as one of 2^24 equally spaced values in [0, 1).
    pub fn uniform(self, i: u64) -> f32 {
        (self.bits(i) >> 40) as f32 / (1u32 << 24) as f32
    }

    /// The i-th number as an integer in `0..n`; the bias is below n / 2^64.
    pub fn below(self, i: u64, n: u64) -> u64 {
        ((u128::from(self.bits(i)) * u128::from(n)) >> 64) as u64
    }

    /// The i-th normally distributed number, mean 0 and standard deviation 1 (Box and Muller 1958; uses numbers 2i and 2i+1).
    pub fn normal(self, i: u64) -> f32 {
        let u = ((self.bits(2 * i) >> 11) as f64 + 1.0) / (1u64 << 53) as f64;
        let v = (self.bits(2 * i + 1) >> 11) as f64 / (1u64 << 53) as f64;
        ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
    }

    /// A random permutation of `0..n` (Fisher and Yates).
    pub fn permutation(self, n: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n as u32).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i as u64, i as u64 + 1) as usize);
        }
        order
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_follow_the_published_splitmix64() {
        // First outputs of SplitMix64 seeded with 1234567, as printed in Rosetta Code's task of that name.
        assert_eq!(Key(1234567).bits(0), 6457827717110365317);
        assert_eq!(Key(1234567).bits(1), 3203168211198807973);
    }

    #[test]
    fn normal_has_mean_0_and_deviation_1() {
        let n = 100_000;
        let values: Vec<f64> = (0..n).map(|i| f64::from(Key(7).normal(i))).collect();
        let mean = values.iter().sum::<f64>() / n as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
        assert!(mean.abs() < 0.01 && (variance - 1.0).abs() < 0.02, "mean {mean}, variance {variance}");
    }

    #[test]
    fn permutation_holds_each_number_once() {
        let mut order = Key(3).with(5).permutation(1000);
        assert_ne!(order[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        order.sort_unstable();
        assert!(order.iter().enumerate().all(|(i, &v)| i == v as usize));
    }
}
