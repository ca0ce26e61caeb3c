//! Decoding at a part of an image's size.

/// The size at which an image is decoded, in eighths: JPEG decoders can leave out what the smaller image does not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scale {
    /// In full.
    #[default]
    Full,
    /// Half of each side.
    Half,
    /// A quarter of each side.
    Quarter,
    /// An eighth of each side.
    Eighth,
}

impl Scale {
    /// Side of a decoded block of 8 x 8 pixels.
    pub(super) fn block(self) -> usize {
        match self {
            Scale::Full => 8,
            Scale::Half => 4,
            Scale::Quarter => 2,
            Scale::Eighth => 1,
        }
    }

    /// Pixels that become one, along a side.
    pub fn divisor(self) -> usize {
        8 / self.block()
    }

    /// What a side of this many pixels becomes.
    pub fn of(self, side: usize) -> usize {
        (side * self.block()).div_ceil(8)
    }
}
