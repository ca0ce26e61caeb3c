//! Drawing: contact sheets, heatmaps, text and bars, as PNG or SVG files.
//!
//! A [`Scene`] is a list of positioned items. It is rasterised (PNG, with a built-in font and system fonts for characters that it
//! lacks) or written as SVG (text stays text). Equal scenes give equal bytes on machines with equal fonts.
//! [`contact_sheet::ContactSheet`] arranges images in rows with captions and bars; [`colormap`] maps numbers to colours.

pub mod colormap;
pub mod contact_sheet;
pub mod encode;
mod font;
mod font_search;
mod rasterize;
mod scene;
mod svg;
#[cfg(test)]
pub(crate) mod test_font;
pub mod text;

pub use scene::{Anchor, Format, Item, Scene};

/// RGB colour.
pub type Colour = [u8; 3];

/// Background.
pub const PAPER: Colour = [255, 255, 255];
/// Primary text.
pub const INK: Colour = [27, 37, 48];
/// Secondary text.
pub const GREY: Colour = [122, 135, 148];
/// Background of bars.
pub const PALE: Colour = [228, 234, 241];
/// Bars.
pub const BLUE: Colour = [110, 152, 205];
/// Correct results.
pub const GREEN: Colour = [46, 139, 87];
/// Wrong results.
pub const RED: Colour = [192, 57, 43];
