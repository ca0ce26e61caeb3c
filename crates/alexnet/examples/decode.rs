//! Decodes image files, to compare with other libraries and to measure:
//!
//!     cargo run --release --example decode -- [--out DIR] [--short-side N | --warp N] FILE...
//!
//! Writes `DIR/FILE.ppm`, and says how many images a second one thread decodes and resizes.

use std::path::{Path, PathBuf};
use std::time::Instant;

use alexnet::image::{Resize, decode};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut out, mut resize, mut files) = (None::<PathBuf>, None, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or("an option without its value");
        match argument.as_str() {
            "--out" => out = Some(value()?.into()),
            "--short-side" => resize = Some(Resize::ShortSide(value()?.parse()?)),
            "--warp" => resize = Some(Resize::Warp(value()?.parse()?)),
            _ => files.push(argument),
        }
    }
    let mut seconds = 0.0;
    for file in &files {
        let bytes = decode::read(Path::new(file))?;
        let start = Instant::now();
        let image = match decode::decode(&bytes) {
            Ok(image) => resize.map_or_else(|| image.clone(), |resize| image.resized_as(resize)),
            Err(text) => {
                println!("{file}: {text}");
                continue;
            }
        };
        seconds += start.elapsed().as_secs_f64();
        if let Some(out) = &out {
            let name = Path::new(file).file_name().ok_or("a folder")?.to_string_lossy();
            let mut ppm = format!("P6 {} {} 255\n", image.width, image.height).into_bytes();
            ppm.extend_from_slice(&image.rgb);
            std::fs::write(out.join(format!("{name}.ppm")), ppm)?;
        }
    }
    println!("{} files, {seconds:.2} s, {:.0} a second", files.len(), files.len() as f64 / seconds);
    Ok(())
}
