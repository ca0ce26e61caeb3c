//! Writes the built-in set as PNG files in class folders: `cargo run --release --example built_in -- DIR [SEED]`.

use alexnet::data::{Split, synthetic};
use alexnet::draw::encode;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let to = std::path::PathBuf::from(arguments.next().ok_or("usage: built_in DIR [SEED]")?);
    let seed = arguments.next().map_or(Ok(0), |seed| seed.parse())?;
    for (name, split) in [("train", Split::Train), ("validation", Split::Validation), ("test", Split::Test)] {
        let set = synthetic(split, seed);
        for class in set.classes() {
            std::fs::create_dir_all(to.join(name).join(class))?;
        }
        for i in 0..set.len() {
            std::fs::write(to.join(name).join(set.name(i)), encode::png(&set.image(i)?))?;
        }
    }
    Ok(())
}
