//! Operations on single levels: invert, posterize, solarize, autocontrast, equalize.

use super::canvas::{Canvas, levels, pixel};

impl Canvas {
    /// Replaces each level by its difference from 255: `invert`.
    pub fn invert(&mut self) {
        self.map(
            #[inline(always)]
            |p| p ^ 0xFF_FF_FF,
        );
    }

    /// Keeps the `bits` highest bits of each level: `posterize`.
    pub fn posterize(&mut self, bits: u32) {
        let mask = (0xFF00 >> bits.min(8) & 0xFF) * 0x01_01_01;
        self.map(
            #[inline(always)]
            |p| p & mask,
        );
    }

    /// Inverts the levels of at least `threshold`: `solarize`.
    pub fn solarize(&mut self, threshold: f32) {
        self.map(
            #[inline(always)]
            |p| pixel(levels(p).map(|level| if level >= threshold { 255.0 - level } else { level })),
        );
    }

    /// Stretches each channel to levels 0 to 255: `autocontrast`.
    pub fn autocontrast(&mut self) {
        let pixels = &self.pixels;
        let (least, most) = self.isa.vectorize(
            #[inline(always)]
            || {
                let (mut least, mut most) = ([255; 3], [0; 3]);
                for pixel in pixels {
                    for c in 0..3 {
                        let level = pixel >> (8 * c) & 255;
                        least[c] = level.min(least[c]);
                        most[c] = level.max(most[c]);
                    }
                }
                (least, most)
            },
        );
        let scale: [(f32, f32); 3] = std::array::from_fn(|c| {
            if least[c] >= most[c] { (0.0, 1.0) } else { (least[c] as f32, (most[c] - least[c]) as f32 * (1.0 / 255.0)) }
        });
        let table = scale.map(|(least, step)| std::array::from_fn(|i| ((i as f32 - least) / step).clamp(0.0, 255.0) as u8));
        self.look_up(&table);
    }

    /// Spreads each channel's levels evenly: `equalize`, which is Pillow's.
    pub fn equalize(&mut self) {
        let mut counts = [[0u32; 256]; 3];
        for pixel in &self.pixels {
            let [red, green, blue, _] = pixel.to_le_bytes().map(usize::from);
            counts[0][red] += 1;
            counts[1][green] += 1;
            counts[2][blue] += 1;
        }
        let tables = counts.map(|counts| {
            let highest = counts.iter().rev().find(|count| **count > 0).copied().unwrap_or(0);
            let step = (self.pixels.len() as u32 - highest) / 255;
            let mut sum = step / 2;
            std::array::from_fn(|level| {
                let equal = sum.checked_div(step).map_or(level as u32, |equal| equal.min(255));
                sum += counts[level];
                equal as u8
            })
        });
        self.look_up(&tables);
    }
}
