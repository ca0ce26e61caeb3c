//! Trains a classifier on a folder with one folder per class: `cargo run --release --example train -- clothing/train`.

use alexnet::TrainSettings;
use alexnet::train::{Event, Observer};

/// Prints a line for each epoch.
struct Epochs;

impl Observer for Epochs {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Epoch { row, .. } = event {
            let val = row.val.map_or(f64::NAN, |val| val.top1);
            println!(
                "epoch {}: training loss {:.3}, validation accuracy {val:.3}",
                row.epoch,
                row.train_loss.unwrap_or(f64::NAN)
            );
        }
    }
}

fn main() -> alexnet::Result<()> {
    let data = std::env::args().nth(1).expect("usage: train FOLDER");
    let run = TrainSettings::new(data).image_size(96).epochs(10).run_with(&mut Epochs)?;
    println!("best model: {}", run.best.display());
    Ok(())
}
