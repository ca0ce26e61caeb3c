//! Things at places on paper, and the file they become.

use std::path::Path;

use super::{Colour, PAPER};
use crate::image::Image;
use crate::{Error, Result, files};

/// Which part of a text stands at its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Its beginning.
    Start,
    /// Its middle.
    SplitEngine,
    /// Its end.
    End,
}

/// A thing on paper. Places and sizes are in pixels, y grows downwards.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A filled rectangle.
    Rectangle {
        /// Left side.
        x: f32,
        /// Upper side.
        y: f32,
        /// Columns.
        width: f32,
        /// Rows.
        height: f32,
        /// What it is filled with.
        colour: Colour,
    },
    /// An image, brought to size.
    Image {
        /// Left side.
        x: usize,
        /// Upper side.
        y: usize,
        /// Columns on paper.
        width: usize,
        /// Rows on paper.
        height: usize,
        /// What is shown.
        picture: Image,
        /// Whether its pixels stay squares (filters, maps) instead of being smoothed (photographs).
        squares: bool,
    },
    /// A line of text.
    Text {
        /// Where its `anchor` stands.
        x: f32,
        /// Its base line.
        y: f32,
        /// Height of the font.
        size: f32,
        /// Which part of it stands at `x`.
        anchor: Anchor,
        /// Colour of the letters.
        colour: Colour,
        /// The words.
        text: String,
    },
}

/// Things on white paper, the first lowest.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// Columns of the paper.
    pub width: usize,
    /// Rows of the paper.
    pub height: usize,
    /// What is on it.
    pub items: Vec<Item>,
}

/// The kind of file that a drawing becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Pixels.
    Png,
    /// Text with images inside.
    Svg,
}

/// More pixels of paper than this are refused: 600 MB would be filled with a mistake.
const MAX_PIXELS: usize = 200_000_000;

impl Format {
    /// The format that a file's name asks for.
    ///
    /// # Errors
    /// Another ending than `.png` or `.svg`.
    pub fn of(path: &Path) -> Result<Format> {
        let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        match ending.as_deref() {
            Some("png") => Ok(Format::Png),
            Some("svg") => Ok(Format::Svg),
            _ => Err(Error::file(path, "drawings are .png or .svg; give the file one of these endings")),
        }
    }
}

impl Scene {
    /// White paper.
    pub fn new(width: usize, height: usize) -> Scene {
        Scene { width, height, items: Vec::new() }
    }

    /// Puts a rectangle on the paper.
    pub fn rectangle(&mut self, [x, y, width, height]: [f32; 4], colour: Colour) {
        self.items.push(Item::Rectangle { x, y, width, height, colour });
    }

    /// Puts an image on the paper; `squares`: its pixels stay squares.
    pub fn picture(&mut self, [x, y, width, height]: [usize; 4], picture: Image, squares: bool) {
        self.items.push(Item::Image { x, y, width, height, picture, squares });
    }

    /// Writes a line of text on the paper, `y` being its base line.
    pub fn text(&mut self, [x, y]: [f32; 2], size: f32, anchor: Anchor, colour: Colour, text: impl Into<String>) {
        self.items.push(Item::Text { x, y, size, anchor, colour, text: text.into() });
    }

    /// The scene in pixels.
    ///
    /// # Errors
    /// Paper of no pixels, or of more than anyone could look at.
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

    /// The scene as SVG, one file that needs no other.
    pub fn svg(&self) -> String {
        super::svg::write(self)
    }

    /// Writes the scene to a file, PNG or SVG by its name, whole or not at all.
    ///
    /// # Errors
    /// Another name, a scene too large, or what the system said.
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
        scene.picture([0, 0, 20, 10], checks, true);
        scene.rectangle([30.0, 0.0, 10.0, 10.0], RED);
        scene.text([5.0, 30.0], 14.0, Anchor::Start, INK, "a < b & \"c\"");
        scene
    }

    #[test]
    fn pixels_are_where_the_scene_says() {
        let pixels = scene().pixels().unwrap();
        let at = |x: usize, y: usize| &pixels.rgb[(y * 60 + x) * 3..][..3];
        assert_eq!((at(9, 5), at(10, 5), at(19, 9), at(20, 5)), (&[0; 3][..], &[255; 3][..], &[255; 3][..], &[255; 3][..]));
        assert_eq!((at(30, 0), at(39, 9), at(40, 5), at(35, 10)), (&RED[..], &RED[..], &PAPER[..], &PAPER[..]));
        // The letters left dark pixels between their top and their base line, and none above or far below.
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
        // A viewer's font may be wider than ours: the words keep their width.
        let width = text::width("a < b & \"c\"", 14.0);
        assert!(svg.contains(&format!("textLength=\"{width:.1}\"")), "{svg}");
        // Viewers that look for no letters by themselves find them in these families.
        assert!(svg.contains("Noto Sans CJK SC") && svg.contains("Malgun Gothic"), "{svg}");
        assert_eq!(svg, scene().svg());
    }

    #[test]
    fn other_endings_and_endless_paper_are_refused_in_words() {
        let jpg = scene().write(Path::new("a.jpg")).unwrap_err().to_string();
        assert!(jpg.contains("a.jpg") && jpg.contains(".png or .svg"), "{jpg}");
        let large = Scene::new(100_000, 100_000).pixels().unwrap_err().to_string();
        assert!(large.contains("fewer or smaller"), "{large}");
    }
}
