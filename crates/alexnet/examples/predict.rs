//! Classifies images: `cargo run --release -p alexnet --example predict -- MODEL IMAGE...`

use alexnet::Classifier;

fn main() -> alexnet::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().expect("usage: predict MODEL IMAGE...");
    let mut classifier = Classifier::open(model)?;
    for image in arguments {
        for p in classifier.predict(&image)?.top(3) {
            println!("{image}: {} {:.1} %", p.label, 100.0 * p.probability);
        }
    }
    Ok(())
}
