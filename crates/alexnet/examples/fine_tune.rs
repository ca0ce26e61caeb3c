//! Trains from a model file of any format, such as torchvision's AlexNet: `cargo run --release --example fine_tune -- alexnet.pth clothing/train`.

use alexnet::{Classifier, TrainSettings};

fn main() -> alexnet::Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(model), Some(data)) = (args.next(), args.next()) else { panic!("usage: fine_tune MODEL FOLDER") };
    // The head is new where the model does not know the classes; the other layers start from the model's.
    let run = TrainSettings::new(data).from(model).epochs(6).run()?;
    let classifier = Classifier::open(&run.best)?;
    println!("{}: {} classes, accuracy {:.3}", run.best.display(), classifier.classes().len(), run.top1.unwrap_or(f64::NAN));
    Ok(())
}
