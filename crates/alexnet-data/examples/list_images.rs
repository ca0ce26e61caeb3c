//! Lists the images of a data set, for comparison with other programs:
//!
//! ```text
//! list_images PATH [train|val|test|all] [--classes FILE]
//! ```
//!
//! The first line has the class names, in JSON's quotes. Each other line has the label, the CRC-32 of the file (`-` without one) and of
//! the pixels (`-` if they cannot be decoded), width, height and name.

use alexnet_data::{Demand, Source, Split};

fn crc(bytes: &[u8]) -> String {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    format!("{:08x}", crc.sum())
}

fn main() -> std::process::ExitCode {
    match list() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn list() -> alexnet_data::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut source = Source::new(arguments.next().unwrap_or_default());
    let mut split = Some(Split::Train);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "train" => split = Some(Split::Train),
            "val" => split = Some(Split::Validation),
            "test" => split = Some(Split::Test),
            "all" => split = None,
            "--classes" => source.classes = arguments.next().map(Into::into),
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    let opened = match split {
        Some(split) => source.open(split, Demand::WithImages)?,
        None => source.open_any()?,
    };
    opened.lines().iter().for_each(|line| eprintln!("{line}"));
    let images = opened.source;
    println!("{:?}", images.classes());
    for i in 0..images.len() {
        let file = images.file(i)?.map_or("-".into(), |bytes| crc(&bytes));
        let (pixels, width, height) = match images.image(i) {
            Ok(image) => (crc(&image.rgb), image.width, image.height),
            Err(_) => ("-".into(), 0, 0),
        };
        println!("{} {file} {pixels} {width} {height} {}", images.label(i), images.name(i));
    }
    Ok(())
}
