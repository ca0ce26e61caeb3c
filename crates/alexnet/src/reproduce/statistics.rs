//! Differences between arms over seeds.

use serde::Serialize;

/// Mean difference of pairs of numbers, with a 95 % confidence interval by Student's t; a single pair has no interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// Mean.
    pub mean: f64,
    /// Sample standard deviation; `None` for a single pair.
    pub deviation: Option<f64>,
    /// Half the width of the confidence interval; `None` for a single pair.
    pub half_width: Option<f64>,
    /// Number of pairs.
    pub pairs: usize,
}

/// Two-sided 95 % quantiles of Student's t for 1 to 30 degrees of freedom.
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110,
    2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/// Differences `a[i] - b[i]`; the pairs have the same seed, and so the same order of images.
pub fn difference(a: &[f64], b: &[f64]) -> Difference {
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let n = differences.len();
    let mean = differences.iter().sum::<f64>() / n as f64;
    if n < 2 {
        return Difference { mean, deviation: None, half_width: None, pairs: n };
    }
    let variance = differences.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>() / (n - 1) as f64;
    let deviation = variance.sqrt();
    // Beyond the table, t is within 0.5 % of its value for 60 degrees, 2.000, up to 120; 1.96 in the limit.
    let t = T.get(n - 2).copied().unwrap_or(2.0);
    Difference { mean, deviation: Some(deviation), half_width: Some(t * deviation / (n as f64).sqrt()), pairs: n }
}

impl Difference {
    /// Whether the confidence interval lies above 0; `None` for a single pair.
    pub fn is_above_zero(&self) -> Option<bool> {
        self.half_width.map(|half| self.mean - half > 0.0)
    }

    /// Whether the confidence interval lies below 0; `None` for a single pair.
    pub fn is_below_zero(&self) -> Option<bool> {
        self.half_width.map(|half| self.mean + half < 0.0)
    }

    /// The difference of two shares in percentage points, as in `+1.40 ± 0.52 points`.
    pub fn points(&self) -> String {
        let mean = format!("{:+.2}", 100.0 * self.mean);
        self.half_width.map_or_else(|| format!("{mean} points"), |half| format!("{mean} ± {:.2} points", 100.0 * half))
    }
}

/// Mean and sample standard deviation, as in `76.14 ± 0.53 %`.
pub(super) fn percent_over_seeds(shares: &[f64]) -> String {
    let Difference { mean, deviation, .. } = difference(shares, &vec![0.0; shares.len()]);
    let mean = 100.0 * mean;
    deviation.map_or_else(|| format!("{mean:.2} %"), |deviation| format!("{mean:.2} ± {:.2} %", 100.0 * deviation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_students() {
        // scipy.stats.t.interval(0.95, 2, loc=0.02, scale=scipy.stats.sem([0.01, 0.02, 0.03])): (-0.004841, 0.044841)
        let found = difference(&[0.51, 0.52, 0.53], &[0.5; 3]);
        assert!((found.mean - 0.02).abs() < 1e-9 && (found.half_width.unwrap() - 0.024841).abs() < 1e-5, "{found:?}");
        assert_eq!((found.is_above_zero(), found.is_below_zero()), (Some(false), Some(false)));
        assert_eq!(found.points(), "+2.00 ± 2.48 points");
        let one = difference(&[0.4], &[0.5]);
        assert_eq!((one.half_width, one.is_above_zero(), one.points().as_str()), (None, None, "-10.00 points"));
        let clear = difference(&[0.4, 0.41, 0.4, 0.39], &[0.5; 4]);
        assert_eq!(clear.is_below_zero(), Some(true));
        assert_eq!(percent_over_seeds(&[0.5, 0.52]), "51.00 ± 1.41 %");
    }
}
