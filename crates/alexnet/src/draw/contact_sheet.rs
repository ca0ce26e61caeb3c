//! The contact sheet: images in rows, each with words and bars below it.

use super::{Anchor, BLUE, Colour, GREY, INK, PALE, Scene, colormap, text};
use crate::image::Image;

/// Images in rows.
#[derive(Debug, Clone, PartialEq)]
pub struct ContactSheet {
    /// What stands above all.
    pub title: String,
    /// Smaller words below the title; empty: none.
    pub note: String,
    /// What the colours mean, below the note.
    pub legends: Vec<Legend>,
    /// Cells in a row.
    pub columns: usize,
    /// Rows and columns, in pixels, that an image takes at most. It keeps its aspect.
    pub side: usize,
    /// Pixels between cells.
    pub gap: usize,
    /// Groups of cells, one below the other.
    pub groups: Vec<Group>,
}

/// Cells that belong together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Group {
    /// What stands above them; empty: nothing.
    pub heading: String,
    /// The cells in rows.
    pub cells: Vec<Cell>,
}

/// One image with what is said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// The image.
    pub picture: Image,
    /// Whether its pixels stay squares (filters, maps) instead of being smoothed.
    pub squares: bool,
    /// A frame around the image.
    pub frame: Option<Colour>,
    /// Lines below the image; what does not fit is cut.
    pub lines: Vec<(String, Colour)>,
    /// Bars below the lines, as in the paper's Figure 4.
    pub bars: Vec<Bar>,
}

/// A label with a share.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// What it stands for.
    pub label: String,
    /// How much, 0 to 1.
    pub share: f64,
    /// Its colour.
    pub colour: Colour,
}

/// Colours from one end to the other, with what each end means.
#[derive(Debug, Clone, PartialEq)]
pub struct Legend {
    /// One row of pixels.
    pub colours: Image,
    /// What the left end means.
    pub low: String,
    /// What the right end means.
    pub high: String,
}

const MARGIN: usize = 16;
const TITLE: f32 = 20.0;
const NOTE: f32 = 14.0;
const HEADING: f32 = 16.0;
/// Height of letters and rows below images.
const LINE: f32 = 13.0;
const LINE_STEP: usize = 17;
const BAR_STEP: usize = 18;
const FRAME: usize = 3;
/// Columns and rows of a legend's colours, and rows from one legend to the next.
const LEGEND: [usize; 2] = [128, 12];
const LEGEND_STEP: usize = 21;

impl Cell {
    /// A photograph without words.
    pub fn photograph(picture: Image) -> Cell {
        Cell { picture, squares: false, frame: None, lines: Vec::new(), bars: Vec::new() }
    }

    /// Numbers as an image whose pixels stay squares.
    pub fn squares(picture: Image) -> Cell {
        Cell { squares: true, ..Cell::photograph(picture) }
    }

    /// The same cell with one more line.
    #[must_use]
    pub fn line(mut self, text: impl Into<String>, colour: Colour) -> Cell {
        self.lines.push((text.into(), colour));
        self
    }

    /// The same cell with a frame around its image.
    #[must_use]
    pub fn framed(self, colour: Colour) -> Cell {
        Cell { frame: Some(colour), ..self }
    }
}

impl Legend {
    /// Colours of [`colormap::colour`] from 0 to 1.
    pub fn heat(low: impl Into<String>, high: impl Into<String>) -> Legend {
        Legend::of(colormap::colour, low, high)
    }

    /// Colours of [`colormap::signed_colour`] from -1 to 1.
    pub fn signed(low: impl Into<String>, high: impl Into<String>) -> Legend {
        Legend::of(|at| colormap::signed_colour(2.0 * at - 1.0), low, high)
    }

    /// Heat from 0 to 1 as [`colormap::overlay`] lays it over a grey image.
    pub fn overlay(strength: f32, low: impl Into<String>, high: impl Into<String>) -> Legend {
        let ground = |n: usize| Image { width: n, height: 1, rgb: vec![150; 3 * n] };
        Legend::of(|at| colormap::overlay(&ground(1), &[at], strength).rgb.try_into().unwrap_or_default(), low, high)
    }

    fn of(colour: impl Fn(f32) -> Colour, low: impl Into<String>, high: impl Into<String>) -> Legend {
        let [width, _] = LEGEND;
        let shares: Vec<f32> = (0..width).map(|i| i as f32 / (width - 1) as f32).collect();
        Legend { colours: colormap::picture(&shares, 1, width, colour), low: low.into(), high: high.into() }
    }

    /// Columns that it takes.
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
    /// One group of cells without a heading, `columns` in a row, each image `side` pixels at most.
    pub fn of(title: impl Into<String>, columns: usize, side: usize, cells: Vec<Cell>) -> ContactSheet {
        let groups = vec![Group { heading: String::new(), cells }];
        ContactSheet { title: title.into(), note: String::new(), legends: Vec::new(), columns, side, gap: 12, groups }
    }

    /// The sheet laid out. It is as wide as its fullest row, at least as its title; the cells of a row are equally high.
    pub fn scene(&self) -> Scene {
        let columns = self.columns.max(1);
        let step = self.side + self.gap;
        let fullest = self.groups.iter().map(|g| g.cells.len()).max().unwrap_or(0).clamp(1, columns);
        let words = [(&self.title, TITLE), (&self.note, NOTE)];
        let words = self.groups.iter().map(|g| (&g.heading, HEADING)).chain(words);
        let wide = words.map(|(words, size)| text::width(words, size)).chain(self.legends.iter().map(Legend::width));
        let wide = wide.fold(0.0f32, f32::max).ceil() as usize;
        // Words alone do not make a sheet wider than this.
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
        let (w, h) = (cell.picture.width.max(1), cell.picture.height.max(1));
        let longest = w.max(h);
        let size = |n: usize| ((n * self.side) as f64 / longest as f64).round().max(1.0) as usize;
        let (width, height) = (size(w), size(h));
        let (left, top) = (x + (self.side - width) / 2, y + (self.side - height) / 2);
        if let Some(colour) = cell.frame {
            let out = FRAME as f32;
            let around = [left as f32 - out, top as f32 - out, width as f32 + 2.0 * out, height as f32 + 2.0 * out];
            scene.rectangle(around, colour);
        }
        scene.picture([left, top, width, height], cell.picture.clone(), cell.squares);
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
    scene.picture([left, y + 3, width, height], legend.colours.clone(), true);
    scene.text([(left + width + 8) as f32, base], LINE, Anchor::Start, GREY, legend.high.clone());
}

/// A photograph of at most 320 pixels, twice the size of a sheet's cells (which fine screens show): hundreds of larger ones would
/// fill the memory before the sheet is drawn.
pub fn thumbnail(picture: Image) -> Image {
    const LONGEST: usize = 320;
    let longest = picture.height.max(picture.width);
    if longest <= LONGEST {
        return picture;
    }
    let brought = |n: usize| (n * LONGEST / longest).max(1);
    picture.resized(brought(picture.height), brought(picture.width))
}

/// `0.3 %`, `42 %`: as many digits as a bar needs.
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
    fn pictures_keep_their_aspect_and_stay_in_their_cells() {
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
    fn bars_are_as_long_as_their_shares_and_long_words_are_cut() {
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
    fn a_row_is_as_high_as_its_own_words_and_the_paper_ends_below_the_last() {
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
    fn legends_show_both_ends_with_their_colours_and_fit_on_the_paper() {
        let high = "the largest value of each map, whatever that is in numbers";
        let legends = vec![Legend::heat("0", high), Legend::signed("below", "above"), Legend::overlay(0.75, "none", "most")];
        let sheet = ContactSheet { legends, ..ContactSheet::of("t", 1, 20, vec![Cell::squares(grey(2, 2))]) };
        let scene = sheet.scene();
        let rows: Vec<_> = scene.items.iter().filter(|i| matches!(i, Item::Image { height: 12, .. })).collect();
        assert_eq!(rows.len(), 3);
        let ends = |item: &Item| match item {
            Item::Image { picture, .. } => (picture.rgb[..3].to_vec(), picture.rgb[picture.rgb.len() - 3..].to_vec()),
            _ => unreachable!(),
        };
        assert_eq!(ends(rows[0]), (colormap::colour(0.0).to_vec(), colormap::colour(1.0).to_vec()));
        assert_eq!(ends(rows[1]), (colormap::signed_colour(-1.0).to_vec(), colormap::signed_colour(1.0).to_vec()));
        assert_eq!(ends(rows[2]).0, [150; 3]);
        for item in &scene.items {
            if let Item::Text { text: words, x, size, .. } = item {
                assert!(x + text::width(words, *size) <= scene.width as f32, "{words} leaves the paper");
            }
        }
    }

    #[test]
    fn a_sheet_of_nothing_is_still_a_sheet() {
        assert!(ContactSheet::of("nothing found", 5, 100, Vec::new()).scene().pixels().is_ok());
        assert!(
            ContactSheet { columns: 0, ..ContactSheet::of("", 5, 100, vec![Cell::squares(grey(1, 1))]) }.scene().pixels().is_ok()
        );
    }
}
