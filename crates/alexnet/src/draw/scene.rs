//! Scenes of positioned items, and their output files.

use std::path::Path;

use super::{Colour, PAPER};
use crate::image::Image;
use crate::{Error, Result, files};

/// Anchor point of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Start of the text.
    Start,
    /// Middle of the text.
    SplitEngine,
    /// End of the text.
    End,
}

/// An item of a scene. Positions and sizes are in pixels, y points down.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A filled rectangle.
    Rectangle {
        /// Left side.
        x: f32,
        /// Upper side.
        y: f32,
        /// Width.
        width: f32,
        /// Height.
        height: f32,
        /// Fill colour.
        colour: Colour,
    },
    /// An image, scaled to the given size.
    Image {
        /// Left side.
        x: usize,
        /// Upper side.
        y: usize,
        /// Width.
        width: usize,
        /// Height.
        height: usize,
        /// The image.
        image: Image,
        /// Whether pixels are drawn as squares (filters, maps) instead of being smoothed (photographs).
        squares: bool,
    },
    /// A line of text.
    Text {
        /// Position of the `anchor`.
        x: f32,
        /// Baseline.
        y: f32,
        /// Font height.
        size: f32,
        /// Anchor point at `x`.
        anchor: Anchor,
        /// Text colour.
        colour: Colour,
        /// The text.
        text: String,
    },
}

/// A scene on a white background, drawn in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Items in drawing order.
    pub items: Vec<Item>,
}

/// Output format of a drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Raster image.
    Png,
    /// Vector graphics with embedded images.
    Svg,
}

/// Maximum number of pixels, beyond which a mistake would fill 600 MB.
const MAX_PIXELS: usize = 200_000_000;

impl Format {
    /// Determines the format from a file name.
    ///
    /// # Errors
    /// The extension is neither `.png` nor `.svg`.
    pub fn of(path: &Path) -> Result<Format> {
        let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        match ending.as_deref() {
            Some("png") => Ok(Format::Png),
            Some("svg") => Ok(Format::Svg),
            _ => Err(Error::file(path, "unsupported drawing format; use the extension .png or .svg")),
        }
    }
}

impl Scene {
    /// Creates an empty scene.
    pub fn new(width: usize, height: usize) -> Scene {
        Scene { width, height, items: Vec::new() }
    }

    /// Adds a rectangle.
    pub fn rectangle(&mut self, [x, y, width, height]: [f32; 4], colour: Colour) {
        self.items.push(Item::Rectangle { x, y, width, height, colour });
    }

    /// Adds an image; with `squares`, its pixels are drawn as squares.
    pub fn image(&mut self, [x, y, width, height]: [usize; 4], image: Image, squares: bool) {
        self.items.push(Item::Image { x, y, width, height, image, squares });
    }

    /// Adds a line of text with baseline `y`.
    pub fn text(&mut self, [x, y]: [f32; 2], size: f32, anchor: Anchor, colour: Colour, text: impl Into<String>) {
        self.items.push(Item::Text { x, y, size, anchor, colour, text: text.into() });
    }

    /// Rasterises the scene.
    ///
    /// # Errors
    /// The scene is empty or too large.
    pub fn pixels(&self) -> Result<Image> {
        if self.width == 0 || self.height == 0 || self.width.checked_mul(self.height).is_none_or(|n| n > MAX_PIXELS) {
            return Err(Error::Invalid(format!(
                "a drawing of {} x {} pixels: use fewer or smaller images, or more columns",
                self.width, self.height
            )));
        }
        let mut canvas = Image { width: self.width, height: self.height, rgb: PAPER.repeat(self.width * self.height) };
        super::rasterize::draw(&self.items, &mut canvas);
        Ok(canvas)
    }

    /// Formats the scene as a self-contained SVG.
    pub fn svg(&self) -> String {
        super::svg::write(self)
    }

    /// Writes the scene atomically to a file, PNG or SVG by its extension.
    ///
    /// # Errors
    /// Another extension, a scene too large, or a write error.
    pub fn write(&self, path: &Path) -> Result<()> {
        let bytes = match Format::of(path)? {
            Format::Png => super::encode::png(&self.pixels()?),
            Format::Svg => self.svg().into_bytes(),
        };
        files::write_atomic(path, |file| file.write_all(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::{INK, RED, text};
    use crate::image::decode;

    fn scene() -> Scene {
        let mut scene = Scene::new(60, 40);
        let checks = Image { width: 2, height: 1, rgb: vec![0, 0, 0, 255, 255, 255] };
        scene.image([0, 0, 20, 10], checks, true);
        scene.rectangle([30.0, 0.0, 10.0, 10.0], RED);
        scene.text([5.0, 30.0], 14.0, Anchor::Start, INK, "a < b & \"c\"");
        scene
    }

    #[test]
    fn items_are_drawn_at_their_positions() {
        let pixels = scene().pixels().unwrap();
        let at = |x: usize, y: usize| &pixels.rgb[(y * 60 + x) * 3..][..3];
        assert_eq!((at(9, 5), at(10, 5), at(19, 9), at(20, 5)), (&[0; 3][..], &[255; 3][..], &[255; 3][..], &[255; 3][..]));
        assert_eq!((at(30, 0), at(39, 9), at(40, 5), at(35, 10)), (&RED[..], &RED[..], &PAPER[..], &PAPER[..]));
        // The text left dark pixels between its top and its baseline, and none above or far below.
        let dark =
            |rows: std::ops::Range<usize>| rows.flat_map(|y| (0..60).map(move |x| (x, y))).filter(|&(x, y)| at(x, y)[0] < 128);
        assert!(dark(18..31).count() > 30 && dark(11..18).count() == 0 && dark(35..40).count() == 0);
    }

    #[test]
    fn a_png_decodes_to_the_same_pixels_and_an_svg_escapes_words() {
        let folder = tempfile::tempdir().unwrap();
        let png = folder.path().join("a.PNG");
        scene().write(&png).unwrap();
        assert_eq!(decode::decode(&std::fs::read(&png).unwrap()).unwrap(), scene().pixels().unwrap());
        let svg = scene().svg();
        assert!(svg.starts_with("<svg xmlns") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert!(svg.contains("a &lt; b &amp; &quot;c&quot;") && svg.contains("data:image/png;base64,"), "{svg}");
        // A viewer's font may be wider than the built-in one: the text keeps its width.
        let width = text::width("a < b & \"c\"", 14.0);
        assert!(svg.contains(&format!("textLength=\"{width:.1}\"")), "{svg}");
        // Viewers without font fallback find the characters in these families.
        assert!(svg.contains("Noto Sans CJK SC") && svg.contains("Malgun Gothic"), "{svg}");
        assert_eq!(svg, scene().svg());
    }

    #[test]
    fn other_extensions_and_huge_scenes_are_rejected() {
        let jpg = scene().write(Path::new("a.jpg")).unwrap_err().to_string();
        assert!(jpg.contains("a.jpg") && jpg.contains(".png or .svg"), "{jpg}");
        let large = Scene::new(100_000, 100_000).pixels().unwrap_err().to_string();
        assert!(large.contains("fewer or smaller"), "{large}");
    }
}
