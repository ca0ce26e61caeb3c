//! bfloat16: the upper half of a float, with its range and 8 bits of precision.

/// A 16-bit float: sign, 8 exponent bits as in `f32`, 7 mantissa bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct Bf16(u16);

impl Bf16 {
    /// Rounds to nearest even. NaN is preserved.
    #[inline(always)]
    pub fn new(value: f32) -> Self {
        let bits = value.to_bits();
        let rounded = bits.wrapping_add(0x7FFF + ((bits >> 16) & 1));
        // Rounding could turn NaN into infinity or zero.
        let kept = if value.is_nan() { bits | 0x0040_0000 } else { rounded };
        Bf16((kept >> 16) as u16)
    }

    /// Converts to `f32` exactly.
    #[inline(always)]
    pub fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }

    /// Bit pattern.
    #[inline(always)]
    pub(crate) fn to_bits(self) -> u16 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_to_the_nearest_even_one() {
        for (value, expected) in [
            (1.0, 1.0),
            (1.0 + 1.0 / 256.0, 1.0),
            (1.0 + 1.1 / 256.0, 1.0 + 1.0 / 128.0),
            (1.0 + 3.0 / 256.0, 1.0 + 1.0 / 64.0),
            (-0.0, -0.0),
            (f32::MAX, f32::INFINITY),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
        ] {
            assert_eq!(Bf16::new(value).to_f32().to_bits(), f32::to_bits(expected), "{value}");
        }
        for bits in [0x7F80_0001, 0x7FFF_FFFF, 0xFFFF_FFFF, 0xFFC0_0000_u32] {
            assert!(Bf16::new(f32::from_bits(bits)).to_f32().is_nan(), "{bits:x}");
        }
    }
}
