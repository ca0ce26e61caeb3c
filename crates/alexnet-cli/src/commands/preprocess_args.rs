//! Options that say how images become a model's input, for files that do not tell.

use crate::numbers;
use alexnet::formats::{self, Model};
use alexnet::image::{Channels, Mean, Preprocess};
use alexnet::train::finetune::at_size;
use anyhow::{Context, bail};
use std::path::Path;

/// How images become the model's input.
#[derive(clap::Args)]
#[command(next_help_heading = "How images become the input, where IN does not tell")]
pub(crate) struct PreprocessArgs {
    /// Order of the channels
    #[arg(long, value_name = "rgb|bgr", value_parser = ["rgb", "bgr"], hide_possible_values = true)]
    channels: Option<String>,
    /// What the brightest pixel is before the mean is taken away: 1 (PyTorch's world) or 255 (Caffe's)
    #[arg(long, value_name = "LARGEST")]
    scale: Option<f32>,
    /// What is subtracted: three numbers (or one) in the order of the channels, such as 104,117,123, or the mean image that IN was
    /// trained with, a mean.binaryproto or an .npy
    #[arg(long, value_name = "NUMBERS|FILE")]
    mean: Option<String>,
    /// By what the rest is divided: three numbers (or one) in the order of the channels
    #[arg(long, value_name = "NUMBERS")]
    std: Option<String>,
    /// Rows and columns of the images that the net takes
    #[arg(long, value_name = "PIXELS", value_parser = numbers::pixels)]
    image_size: Option<usize>,
}

impl PreprocessArgs {
    /// Changes a model's preprocessing to what is said here.
    pub(crate) fn apply(&self, model: &mut Model) -> anyhow::Result<()> {
        if let Some(size) = self.image_size {
            if self.mean.is_some() {
                // Whatever mean there was gives way below, and has no size that would have to fit.
                model.preprocess.mean = Mean::Channel([0.0; 3]);
            }
            *model = at_size(model.clone(), size).with_context(|| format!("--image-size {size}"))?;
        }
        let preprocess = &mut model.preprocess;
        if let Some(channels) = &self.channels {
            let channels = if channels == "bgr" { Channels::Bgr } else { Channels::Rgb };
            if channels != preprocess.channels {
                exchange(preprocess);
            }
        }
        if let Some(largest) = self.scale {
            let scale = largest / 255.0;
            if !(scale.is_finite() && scale > 0.0) {
                bail!("--scale {largest}: what the brightest pixel becomes, such as 1 or 255");
            }
            let same = (scale / preprocess.scale - 1.0).abs() < 1e-6;
            if !same && self.mean.is_none() {
                bail!(
                    "--scale {largest}: say with --mean what is subtracted on that scale (0 for nothing), and with --std by what the rest is divided"
                );
            }
            if !same {
                preprocess.scale = scale;
                preprocess.std = [1.0; 3];
            }
        }
        if let Some(mean) = &self.mean {
            preprocess.mean = match numbers(mean) {
                Some(mean) => Mean::Channel(mean),
                None => picture(preprocess, mean)?,
            };
        }
        if let Some(std) = &self.std {
            preprocess.std =
                numbers(std).with_context(|| format!("--std {std}: three numbers such as 0.229,0.224,0.225, or one"))?;
        }
        Ok(preprocess.check()?)
    }
}

/// One number for all channels, or three.
fn numbers(text: &str) -> Option<[f32; 3]> {
    let numbers: Vec<f32> = text.split(',').map(|number| number.trim().parse().ok()).collect::<Option<_>>()?;
    match numbers.as_slice() {
        [one] => Some([*one; 3]),
        [first, second, third] => Some([*first, *second, *third]),
        _ => None,
    }
}

/// A mean image of Caffe's, for a model that takes what Caffe feeds.
fn picture(preprocess: &Preprocess, file: &str) -> anyhow::Result<Mean> {
    if preprocess.channels != Channels::Bgr || preprocess.scale != 1.0 {
        bail!(
            "--mean {file}: a mean image is of Caffe's BGR of 0 to 255, which IN does not take; say --channels bgr --scale 255 if it does"
        );
    }
    if file.contains(',') && !Path::new(file).exists() {
        bail!("--mean {file}: three numbers such as 104,117,123, or one, or a file");
    }
    Ok(formats::read_mean(file)?)
}

/// The same colours in the other order.
fn exchange(preprocess: &mut Preprocess) {
    preprocess.channels = if preprocess.channels == Channels::Bgr { Channels::Rgb } else { Channels::Bgr };
    preprocess.std.reverse();
    match &mut preprocess.mean {
        Mean::Channel(mean) => mean.reverse(),
        Mean::Image { size, values, .. } => {
            let plane = *size * *size;
            *values = values.chunks_exact(plane.max(1)).rev().flatten().copied().collect::<Vec<f32>>().into();
        }
    }
}
