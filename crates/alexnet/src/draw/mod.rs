//! Drawings of images, words and bars: contact sheets, heat maps, and the PNG or SVG files they become.
//!
//! A [`Scene`] is a list of things at places on paper. It is drawn into pixels (PNG, with letters of a font that is built
//! in, and of the system's fonts where that one lacks a letter) or written as SVG (letters stay letters). Equal scenes give
//! equal bytes on machines with equal fonts. [`contact_sheet::ContactSheet`] lays images out in rows
//! with captions and bars; [`heat`] turns numbers into colours.

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

/// Red, green, blue.
pub type Colour = [u8; 3];

/// Paper.
pub const PAPER: Colour = [255, 255, 255];
/// What is written.
pub const INK: Colour = [27, 37, 48];
/// What matters less.
pub const GREY: Colour = [122, 135, 148];
/// A ground for bars.
pub const PALE: Colour = [228, 234, 241];
/// Bars.
pub const BLUE: Colour = [110, 152, 205];
/// What is right.
pub const GREEN: Colour = [46, 139, 87];
/// What is wrong.
pub const RED: Colour = [192, 57, 43];
