//! A contact sheet of the built-in set, PNG or SVG by the name: `cargo run --example sheet -- sheet.png`

use alexnet::data::{Split, synthetic};
use alexnet::draw::contact_sheet::{Bar, Cell, ContactSheet};
use alexnet::draw::{GREEN, GREY, RED};
use std::path::PathBuf;

fn main() -> alexnet::Result<()> {
    let path = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "sheet.png".into()));
    let set = synthetic(Split::Test, 0);
    let cell = |i: usize| {
        let label = set.label(i * 50) as usize;
        let image = set.image(i * 50)?;
        let mut cell = Cell::photograph(image).line(&set.classes()[label], GREEN).line(set.name(i * 50), GREY);
        cell.bars = set.classes().iter().zip([0.61, 0.22, 0.09, 0.002]).map(|(name, share)| Bar::new(name, share)).collect();
        Ok(if i.is_multiple_of(3) { cell.framed(RED) } else { cell })
    };
    let cells = (0..10).map(cell).collect::<alexnet::Result<Vec<_>>>()?;
    ContactSheet::of("The built-in set, one of each class", 5, 128, cells).scene().write(&path)
}
