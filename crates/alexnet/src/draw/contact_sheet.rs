//! Contact sheet: images in rows, with captions and bars below each.

use super::{Anchor, BLUE, Colour, GREY, INK, PALE, Scene, colormap, text};
use crate::image::Image;

/// Contact sheet of images.
#[derive(Debug, Clone, PartialEq)]
pub struct ContactSheet {
    /// Title at the top.
    pub title: String,
    /// Smaller note below the title; empty: none.
    pub note: String,
    /// Colour legends below the note.
    pub legends: Vec<Legend>,
    /// Number of cells per row.
    pub columns: usize,
    /// Maximum image size (rows and columns) in pixels. The aspect ratio is kept.
    pub side: usize,
    /// Gap between cells in pixels.
    pub gap: usize,
    /// Groups of cells, one below the other.
    pub groups: Vec<Group>,
}

/// Group of cells with a heading.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Group {
    /// Heading; empty: none.
    pub heading: String,
    /// Cells, arranged in rows.
    pub cells: Vec<Cell>,
}

/// An image with its caption.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// The image.
    pub image: Image,
    /// Whether pixels are drawn as squares (filters, maps) instead of being smoothed.
    pub squares: bool,
    /// A frame around the image.
    pub frame: Option<Colour>,
    /// Lines below the image, truncated to fit.
    pub lines: Vec<(String, Colour)>,
    /// Bars below the lines, as in the paper's Figure 4.
    pub bars: Vec<Bar>,
}

/// A labelled bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// Label.
    pub label: String,
    /// Length, 0 to 1.
    pub share: f64,
    /// Its colour.
    pub colour: Colour,
}

/// Colour legend: a gradient with labels at both ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Legend {
    /// Gradient, one row of pixels.
    pub colours: Image,
    /// Label of the left end.
    pub low: String,
    /// Label of the right end.
    pub high: String,
}

const MARGIN: usize = 16;
const TITLE: f32 = 20.0;
const NOTE: f32 = 14.0;
const HEADING: f32 = 16.0;
/// Font sizes and row heights below images.
const LINE: f32 = 13.0;
const LINE_STEP: usize = 17;
const BAR_STEP: usize = 18;
const FRAME: usize = 3;
/// Width and height of a legend's gradient, and distance between legends.
const LEGEND: [usize; 2] = [128, 12];
const LEGEND_STEP: usize = 21;

impl Cell {
    /// Cell with a photograph, without caption.
    pub fn photograph(image: Image) -> Cell {
        Cell { image, squares: false, frame: None, lines: Vec::new(), bars: Vec::new() }
    }

    /// Cell with numbers as an image whose pixels are drawn as squares.
    pub fn squares(image: Image) -> Cell {
        Cell { squares: true, ..Cell::photograph(image) }
    }

    /// Adds a line to the caption.
    #[must_use]
    pub fn line(mut self, text: impl Into<String>, colour: Colour) -> Cell {
        self.lines.push((text.into(), colour));
        self
    }

    /// Adds a frame around the image.
    #[must_use]
    pub fn framed(self, colour: Colour) -> Cell {
        Cell { frame: Some(colour), ..self }
    }
}

impl Legend {
    /// Legend for [`colormap::colour`] from 0 to 1.
    pub fn heat(low: impl Into<String>, high: impl Into<String>) -> Legend {
        Legend::of(colormap::colour, low, high)
    }

    /// Legend for [`colormap::signed_colour`] from -1 to 1.
    pub fn signed(low: impl Into<String>, high: impl Into<String>) -> Legend {
        Legend::of(|at| colormap::signed_colour(2.0 * at - 1.0), low, high)
    }

    /// Legend for heat from 0 to 1, overlaid by [`colormap::overlay`] on a grey image.
    pub fn overlay(strength: f32, low: impl Into<String>, high: impl Into<String>) -> Legend {
        let ground = |n: usize| Image { width: n, height: 1, rgb: vec![150; 3 * n] };
        Legend::of(|at| colormap::overlay(&ground(1), &[at], strength).rgb.try_into().unwrap_or_default(), low, high)
    }

    fn of(colour: impl Fn(f32) -> Colour, low: impl Into<String>, high: impl Into<String>) -> Legend {
        let [width, _] = LEGEND;
        let shares: Vec<f32> = (0..width).map(|i| i as f32 / (width - 1) as f32).collect();
        Legend { colours: colormap::image(&shares, 1, width, colour), low: low.into(), high: high.into() }
    }

    /// Width in pixels.
    fn width(&self) -> f32 {
        text::width(&self.low, LINE) + text::width(&self.high, LINE) + LEGEND[0] as f32 + 16.0
    }
}

impl Bar {
    /// A blue bar.
    pub fn new(label: impl Into<String>, share: f64) -> Bar {
        Bar { label: label.into(), share, colour: BLUE }
    }
}

impl ContactSheet {
    /// Sheet with one group without heading, `columns` cells per row, and images of at most `side` pixels.
    pub fn of(title: impl Into<String>, columns: usize, side: usize, cells: Vec<Cell>) -> ContactSheet {
        let groups = vec![Group { heading: String::new(), cells }];
        ContactSheet { title: title.into(), note: String::new(), legends: Vec::new(), columns, side, gap: 12, groups }
    }

    /// Lays out the sheet. It is as wide as its widest row, and at least as its title; the cells of a row have equal height.
    pub fn scene(&self) -> Scene {
        let columns = self.columns.max(1);
        let step = self.side + self.gap;
        let fullest = self.groups.iter().map(|g| g.cells.len()).max().unwrap_or(0).clamp(1, columns);
        let words = [(&self.title, TITLE), (&self.note, NOTE)];
        let words = self.groups.iter().map(|g| (&g.heading, HEADING)).chain(words);
        let wide = words.map(|(words, size)| text::width(words, size)).chain(self.legends.iter().map(Legend::width));
        let wide = wide.fold(0.0f32, f32::max).ceil() as usize;
        // Text alone does not widen a sheet beyond this.
        let width = (fullest * step - self.gap).max(wide.min(1200)) + 2 * MARGIN;
        let mut scene = Scene::new(width, 0);
        let room = (width - 2 * MARGIN) as f32;
        let mut y = MARGIN;
        let heading = |scene: &mut Scene, y: &mut usize, words: &str, size: f32, colour: Colour| {
            if !words.is_empty() {
                let base = *y as f32 + size;
                scene.text([MARGIN as f32, base], size, Anchor::Start, colour, text::fit(words, size, room));
                *y += (size * 1.5) as usize;
            }
        };
        heading(&mut scene, &mut y, &self.title, TITLE, INK);
        heading(&mut scene, &mut y, &self.note, NOTE, GREY);
        for legend in &self.legends {
            legend_at(&mut scene, y, legend);
            y += LEGEND_STEP;
        }
        for (i, group) in self.groups.iter().enumerate() {
            y += if i > 0 || y > MARGIN { self.gap.max(8) } else { 0 };
            heading(&mut scene, &mut y, &group.heading, HEADING, INK);
            for cells in group.cells.chunks(columns) {
                for (column, cell) in cells.iter().enumerate() {
                    self.place(&mut scene, MARGIN + column * step, y, cell);
                }
                let words = cells.iter().map(|c| c.lines.len() * LINE_STEP + c.bars.len() * BAR_STEP).max().unwrap_or(0);
                y += self.side + words + if words > 0 { 4 } else { 0 } + self.gap;
            }
            y -= if group.cells.is_empty() { 0 } else { self.gap };
        }
        scene.height = y + MARGIN;
        scene
    }

    fn place(&self, scene: &mut Scene, x: usize, y: usize, cell: &Cell) {
        let (w, h) = (cell.image.width.max(1), cell.image.height.max(1));
        let longest = w.max(h);
        let size = |n: usize| ((n * self.side) as f64 / longest as f64).round().max(1.0) as usize;
        let (width, height) = (size(w), size(h));
        let (left, top) = (x + (self.side - width) / 2, y + (self.side - height) / 2);
        if let Some(colour) = cell.frame {
            let out = FRAME as f32;
            let around = [left as f32 - out, top as f32 - out, width as f32 + 2.0 * out, height as f32 + 2.0 * out];
            scene.rectangle(around, colour);
        }
        scene.image([left, top, width, height], cell.image.clone(), cell.squares);
        let room = self.side as f32;
        let mut at = y + self.side + 4;
        for (words, colour) in &cell.lines {
            let (middle, base) = (x as f32 + room / 2.0, at as f32 + LINE);
            scene.text([middle, base], LINE, Anchor::SplitEngine, *colour, text::fit(words, LINE, room));
            at += LINE_STEP;
        }
        for bar in &cell.bars {
            let (left, top, high) = (x as f32, at as f32 + 2.0, (BAR_STEP - 3) as f32);
            scene.rectangle([left, top, room, high], PALE);
            scene.rectangle([left, top, (room * bar.share.clamp(0.0, 1.0) as f32).max(0.5), high], bar.colour);
            let share = percent(bar.share);
            let taken = text::width(&share, LINE) + 8.0;
            let label = text::fit(&bar.label, LINE, room - taken - 4.0);
            let base = top + LINE - 1.5;
            scene.text([left + 4.0, base], LINE, Anchor::Start, INK, label);
            scene.text([left + room - 4.0, base], LINE, Anchor::End, INK, share);
            at += BAR_STEP;
        }
    }
}

fn legend_at(scene: &mut Scene, y: usize, legend: &Legend) {
    let [width, height] = LEGEND;
    let (base, low) = (y as f32 + LINE, text::width(&legend.low, LINE));
    scene.text([MARGIN as f32, base], LINE, Anchor::Start, GREY, legend.low.clone());
    let left = MARGIN + low.ceil() as usize + if low > 0.0 { 8 } else { 0 };
    scene.image([left, y + 3, width, height], legend.colours.clone(), true);
    scene.text([(left + width + 8) as f32, base], LINE, Anchor::Start, GREY, legend.high.clone());
}

/// Thumbnail of at most 320 pixels, twice the cell size of a sheet (for high-resolution screens): hundreds of larger images would
/// fill the memory before the sheet is drawn.
pub fn thumbnail(image: Image) -> Image {
    const LONGEST: usize = 320;
    let longest = image.height.max(image.width);
    if longest <= LONGEST {
        return image;
    }
    let brought = |n: usize| (n * LONGEST / longest).max(1);
    image.resized(brought(image.height), brought(image.width))
}

/// Percentage with as many digits as a bar needs: `0.3 %`, `42 %`.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 10.0 || percent == 0.0 { format!("{percent:.0} %") } else { format!("{percent:.1} %") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::{GREEN, Item, RED};

    fn grey(width: usize, height: usize) -> Image {
        Image { width, height, rgb: vec![90; width * height * 3] }
    }

    #[test]
    fn images_keep_their_aspect_and_stay_in_their_cells() {
        let cells = vec![Cell::photograph(grey(200, 100)), Cell::photograph(grey(10, 40)).framed(RED), Cell::squares(grey(3, 3))];
        let scene = ContactSheet::of("three", 2, 80, cells).scene();
        let places: Vec<[usize; 4]> = scene
            .items
            .iter()
            .filter_map(|item| match item {
                Item::Image { x, y, width, height, .. } => Some([*x, *y, *width, *height]),
                _ => None,
            })
            .collect();
        assert_eq!(places.iter().map(|p| (p[2], p[3])).collect::<Vec<_>>(), [(80, 40), (20, 80), (80, 80)]);
        // Two in a row, the third below the first.
        assert!(places[0][0] + 80 < places[1][0] && places[2][0] == places[0][0] && places[2][1] > places[1][1] + 80);
        assert!(places.iter().all(|[x, y, w, h]| x + w <= scene.width && y + h <= scene.height));
        assert!(scene.pixels().is_ok());
    }

    #[test]
    fn bars_are_proportional_and_long_captions_are_truncated() {
        let mut cell = Cell::photograph(grey(10, 10)).line("a label far too long for so small a cell", GREEN);
        cell.bars = vec![Bar::new("hat", 0.25), Bar::new("shoes", 0.0)];
        let scene = ContactSheet::of("", 4, 100, vec![cell]).scene();
        let widths: Vec<f32> = scene
            .items
            .iter()
            .filter_map(|item| match item {
                Item::Rectangle { width, colour, .. } if *colour == BLUE => Some(*width),
                _ => None,
            })
            .collect();
        assert_eq!(widths, [25.0, 0.5]);
        for item in &scene.items {
            if let Item::Text { text: words, size, .. } = item {
                assert!(text::width(words, *size) <= 100.0, "{words}");
            }
        }
        assert!(scene.items.iter().any(|i| matches!(i, Item::Text { text, .. } if text == "25 %")));
    }

    #[test]
    fn row_heights_fit_their_captions_and_the_sheet_ends_below_the_last() {
        let mut cells = vec![Cell::photograph(grey(80, 80)).line("seen", INK), Cell::photograph(grey(80, 80))];
        cells[0].bars = vec![Bar::new("hat", 0.5); 5];
        cells.extend(vec![Cell::photograph(grey(80, 80)).line("shoes", INK); 2]);
        let scene = ContactSheet::of("", 2, 80, cells).scene();
        let lowest = scene.items.iter().map(|item| match item {
            Item::Text { y, .. } => *y,
            Item::Image { y, height, .. } => (y + height) as f32,
            Item::Rectangle { y, height, .. } => y + height,
        });
        let below = scene.height as f32 - lowest.fold(0.0, f32::max);
        // The bars of the first row leave no strip below the second.
        assert!(below < MARGIN as f32 + 8.0, "{below}");
    }

    #[test]
    fn legends_show_both_ends_and_fit_on_the_sheet() {
        let high = "the largest value of each map, whatever that is in numbers";
        let legends = vec![Legend::heat("0", high), Legend::signed("below", "above"), Legend::overlay(0.75, "none", "most")];
        let sheet = ContactSheet { legends, ..ContactSheet::of("t", 1, 20, vec![Cell::squares(grey(2, 2))]) };
        let scene = sheet.scene();
        let rows: Vec<_> = scene.items.iter().filter(|i| matches!(i, Item::Image { height: 12, .. })).collect();
        assert_eq!(rows.len(), 3);
        let ends = |item: &Item| match item {
            Item::Image { image, .. } => (image.rgb[..3].to_vec(), image.rgb[image.rgb.len() - 3..].to_vec()),
            _ => unreachable!(),
        };
        assert_eq!(ends(rows[0]), (colormap::colour(0.0).to_vec(), colormap::colour(1.0).to_vec()));
        assert_eq!(ends(rows[1]), (colormap::signed_colour(-1.0).to_vec(), colormap::signed_colour(1.0).to_vec()));
        assert_eq!(ends(rows[2]).0, [150; 3]);
        for item in &scene.items {
            if let Item::Text { text: words, x, size, .. } = item {
                assert!(x + text::width(words, *size) <= scene.width as f32, "{words} exceeds the sheet");
            }
        }
    }

    #[test]
    fn an_empty_sheet_is_valid() {
        assert!(ContactSheet::of("nothing found", 5, 100, Vec::new()).scene().pixels().is_ok());
        assert!(
            ContactSheet { columns: 0, ..ContactSheet::of("", 5, 100, vec![Cell::squares(grey(1, 1))]) }.scene().pixels().is_ok()
        );
    }
}
