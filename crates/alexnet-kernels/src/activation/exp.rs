//! exp and related functions without branches or calls, so that they vectorise, with the same bits on every machine (the system's
//! versions differ). Polynomials and constants: Cephes (Moshier 1984-2000), `expf.c` and `tanhf.c`.

/// exp(x) to 2 units in the last place, for x clamped to plus or minus 87 (where f32 ends).
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Comparisons that preserve NaN; `clamp` does too, but is slower here.
    let x = if x > 87.0 { 87.0 } else { x };
    let x = if x < -87.0 { -87.0 } else { x };
    // Adding 1.5 * 2^23 rounds to an integer, which is then in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let whole = rounded - ROUND;
    // ln 2 in two parts, the first with few bits: `whole` times it is exact.
    let r = (x - whole * 0.693_359_4) - whole * -2.121_944_4e-4;
    let mut p = 1.987_569_2e-4;
    for coefficient in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p * r + coefficient;
    }
    let power = f32::from_bits(rounded.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23);
    (p * (r * r) + r + 1.0) * power
}

/// 1 / (1 + exp(-x)).
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The hyperbolic tangent.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    // Near zero the formula with exp would cancel.
    let z = x * x;
    let mut p = -5.704_988_7e-3;
    for coefficient in [2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1] {
        p = p * z + coefficient;
    }
    let near = p * z * x + x;
    let far = (1.0 - 2.0 / (exp(2.0 * x.abs()) + 1.0)).copysign(x);
    if x.abs() < 0.625 { near } else { far }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_to_f64() {
        let mut worst = [0.0f64; 3];
        for i in -400_000..=400_000 {
            let x = i as f32 * 2.17e-4;
            let exact = f64::from(x);
            let pairs = [(exp(x), exact.exp()), (sigmoid(x), 1.0 / (1.0 + (-exact).exp())), (tanh(x), exact.tanh())];
            for (worst, (value, expected)) in worst.iter_mut().zip(pairs) {
                if expected != 0.0 {
                    *worst = worst.max((f64::from(value) / expected - 1.0).abs());
                }
            }
        }
        assert!(worst.iter().all(|&w| w < 2.5e-7), "relative errors {worst:?}");
    }
}
