//! Font files: glyph coverage, metrics and rasterisation.

use ab_glyph_rasterizer::{Point, Rasterizer, point};
use skrifa::instance::{LocationRef, Size};
use skrifa::outline::{DrawSettings, OutlinePen};
use skrifa::{FontRef, GlyphId, MetadataProvider};
use std::borrow::Cow;

/// Maximum width and height of a drawn glyph, in ems scaled to the font size. A broken font may request millions of pixels.
const LARGEST: f32 = 16.0;

/// An outline font, TrueType or CFF.
pub(super) struct Font {
    bytes: Cow<'static, [u8]>,
    /// Scale from file units to ems.
    unit: f32,
    /// Height from the lowest descender to the highest ascender, in ems.
    height: f32,
}

/// A glyph of a font.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Glyph {
    id: GlyphId,
    /// Advance width in ems.
    pub(super) advance: f32,
}

impl Font {
    /// Parses a font file, or the first font of a collection; `None` if invalid.
    pub(super) fn new(bytes: impl Into<Cow<'static, [u8]>>) -> Option<Font> {
        let bytes = bytes.into();
        let font = FontRef::from_index(&bytes, 0).ok()?;
        let metrics = font.metrics(Size::unscaled(), LocationRef::default());
        if metrics.units_per_em == 0 || !font.charmap().has_map() {
            return None;
        }
        let unit = 1.0 / f32::from(metrics.units_per_em);
        let height = (metrics.ascent - metrics.descent) * unit;
        let height = if height.is_finite() && height > 0.0 { height } else { 1.0 };
        Some(Font { bytes, unit, height })
    }

    /// Height from the lowest descender to the highest ascender, in ems.
    pub(super) fn height(&self) -> f32 {
        self.height
    }

    /// Glyph of a character. `None` if the font has none, or an empty one for a non-blank character, as in colour emoji and
    /// deliberately blank fonts.
    pub(super) fn glyph(&self, letter: char) -> Option<Glyph> {
        let font = self.read()?;
        let id = font.charmap().map(letter).filter(|id| *id != GlyphId::NOTDEF)?;
        let advance = font.glyph_metrics(Size::unscaled(), LocationRef::default()).advance_width(id)? * self.unit;
        let blank = letter.is_whitespace();
        (advance.is_finite() && (blank || !self.outline(id)?.curves.is_empty())).then_some(Glyph { id, advance })
    }

    /// Draws a glyph with its origin at `x` on baseline `y`, `em` pixels per em; `put` receives each pixel (column, row) and its
    /// coverage, 0 to 1.
    pub(super) fn draw(&self, glyph: Glyph, em: f32, [x, y]: [f32; 2], mut put: impl FnMut(i64, i64, f32)) {
        let Some(outline) = self.outline(glyph.id) else { return };
        let scale = em * self.unit;
        let place = |p: Point| point(p.x * scale + x, -p.y * scale + y);
        let (mut low, mut high) = (point(f32::INFINITY, f32::INFINITY), point(f32::NEG_INFINITY, f32::NEG_INFINITY));
        for p in outline.curves.iter().flat_map(Curve::points).map(place) {
            (low, high) = (point(low.x.min(p.x), low.y.min(p.y)), point(high.x.max(p.x), high.y.max(p.y)));
        }
        let (low, high) = (point(low.x.floor(), low.y.floor()), point(high.x.ceil(), high.y.ceil()));
        let (width, height) = (high.x - low.x, high.y - low.y);
        if !(width >= 1.0 && height >= 1.0 && width.max(height) <= LARGEST * em.max(1.0)) {
            return;
        }
        let inside = |p: Point| place(p) - low;
        let mut raster = Rasterizer::new(width as usize, height as usize);
        for curve in &outline.curves {
            match *curve {
                Curve::Line(a, b) => raster.draw_line(inside(a), inside(b)),
                Curve::Quadratic(a, b, c) => raster.draw_quad(inside(a), inside(b), inside(c)),
                Curve::Cubic(a, b, c, d) => raster.draw_cubic(inside(a), inside(b), inside(c), inside(d)),
            }
        }
        raster.for_each_pixel_2d(|column, row, share| {
            put(low.x as i64 + i64::from(column), low.y as i64 + i64::from(row), share);
        });
    }

    fn read(&self) -> Option<FontRef<'_>> {
        FontRef::from_index(&self.bytes, 0).ok()
    }

    /// Bounds in file units, y pointing up.
    fn outline(&self, id: GlyphId) -> Option<Outline> {
        let glyph = self.read()?.outline_glyphs().get(id)?;
        let mut outline = Outline::default();
        let settings = DrawSettings::unhinted(Size::unscaled(), LocationRef::default());
        glyph.draw(settings, &mut outline).ok()?;
        Some(outline)
    }
}

#[derive(Clone, Copy)]
enum Curve {
    Line(Point, Point),
    Quadratic(Point, Point, Point),
    Cubic(Point, Point, Point, Point),
}

impl Curve {
    /// All control points: the outline lies within their hull.
    fn points(&self) -> impl Iterator<Item = Point> + use<> {
        let (points, n) = match *self {
            Curve::Line(a, b) => ([a, b, b, b], 2),
            Curve::Quadratic(a, b, c) => ([a, b, c, c], 3),
            Curve::Cubic(a, b, c, d) => ([a, b, c, d], 4),
        };
        points.into_iter().take(n)
    }
}

/// Collector of a glyph's curves.
#[derive(Default)]
struct Outline {
    curves: Vec<Curve>,
    start: Point,
    at: Point,
}

impl OutlinePen for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        self.close();
        self.start = point(x, y);
        self.at = self.start;
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.curves.push(Curve::Line(self.at, point(x, y)));
        self.at = point(x, y);
    }

    fn quad_to(&mut self, cx: f32, cy: f32, x: f32, y: f32) {
        self.curves.push(Curve::Quadratic(self.at, point(cx, cy), point(x, y)));
        self.at = point(x, y);
    }

    fn curve_to(&mut self, cx0: f32, cy0: f32, cx1: f32, cy1: f32, x: f32, y: f32) {
        self.curves.push(Curve::Cubic(self.at, point(cx0, cy0), point(cx1, cy1), point(x, y)));
        self.at = point(x, y);
    }

    fn close(&mut self) {
        if self.at != self.start {
            self.curves.push(Curve::Line(self.at, self.start));
            self.at = self.start;
        }
    }
}
