//! Converts a model file to the format of another file's ending: `cargo run --release --example convert -- alexnet.pth alexnet.onnx`.

use alexnet::formats::{self, ExportOptions};

fn main() -> alexnet::Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(from), Some(to)) = (args.next(), args.next()) else { panic!("usage: convert FROM TO") };
    let model = formats::load(&from, None)?;
    for change in formats::export(&to, &model, ExportOptions::default())? {
        println!("{change}");
    }
    println!("{to}: {}, {} classes", model.net.name, model.classes.len());
    Ok(())
}
