//! Preprocessing options, for model files that do not specify it.

use crate::numbers;
use alexnet::formats::{self, Model};
use alexnet::image::{Channels, Mean, Preprocess};
use alexnet::train::finetune::at_size;
use anyhow::{Context, bail};
use std::path::Path;

/// Preprocessing of images.
#[derive(clap::Args)]
#[command(next_help_heading = "Preprocessing, if IN does not specify it")]
pub(crate) struct PreprocessArgs {
    /// Channel order
    #[arg(long, value_name = "rgb|bgr", value_parser = ["rgb", "bgr"], hide_possible_values = true)]
    channels: Option<String>,
    /// Maximum pixel value before the mean is subtracted: 1 (PyTorch) or 255 (Caffe)
    #[arg(long, value_name = "LARGEST")]
    scale: Option<f32>,
    /// Mean to subtract: three numbers (or one) in channel order, such as 104,117,123, or a mean image, a mean.binaryproto or
    /// .npy file
    #[arg(long, value_name = "NUMBERS|FILE")]
    mean: Option<String>,
    /// Standard deviation to divide by: three numbers (or one) in channel order
    #[arg(long, value_name = "NUMBERS")]
    std: Option<String>,
    /// Image size in pixels (rows and columns)
    #[arg(long, value_name = "PIXELS", value_parser = numbers::pixels)]
    image_size: Option<usize>,
}

impl PreprocessArgs {
    /// Applies the options to a model's preprocessing.
    pub(crate) fn apply(&self, model: &mut Model) -> anyhow::Result<()> {
        if let Some(size) = self.image_size {
            if self.mean.is_some() {
                // The existing mean is replaced below, so its size does not matter.
                model.preprocess.mean = Mean::Channel([0.0; 3]);
            }
            *model = at_size(model.clone(), size).with_context(|| format!("--image-size {size}"))?;
        }
        let preprocess = &mut model.preprocess;
        if let Some(channels) = &self.channels {
            let channels = if channels == "bgr" { Channels::Bgr } else { Channels::Rgb };
            if channels != preprocess.channels {
                swap_channels(preprocess);
            }
        }
        if let Some(largest) = self.scale {
            let scale = largest / 255.0;
            if !(scale.is_finite() && scale > 0.0) {
                bail!("--scale {largest}: expected a positive maximum pixel value, such as 1 or 255");
            }
            let same = (scale / preprocess.scale - 1.0).abs() < 1e-6;
            if !same && self.mean.is_none() {
                bail!("--scale {largest}: also give --mean on that scale (0 for none), and --std if the result is divided");
            }
            if !same {
                preprocess.scale = scale;
                preprocess.std = [1.0; 3];
            }
        }
        if let Some(mean) = &self.mean {
            preprocess.mean = match numbers(mean) {
                Some(mean) => Mean::Channel(mean),
                None => mean_image(preprocess, mean)?,
            };
        }
        if let Some(std) = &self.std {
            preprocess.std =
                numbers(std).with_context(|| format!("--std {std}: expected three numbers such as 0.229,0.224,0.225, or one"))?;
        }
        Ok(preprocess.check()?)
    }
}

/// Parses three numbers, or one for all channels.
fn numbers(text: &str) -> Option<[f32; 3]> {
    let numbers: Vec<f32> = text.split(',').map(|number| number.trim().parse().ok()).collect::<Option<_>>()?;
    match numbers.as_slice() {
        [one] => Some([*one; 3]),
        [first, second, third] => Some([*first, *second, *third]),
        _ => None,
    }
}

/// Reads a Caffe mean image, for a model that takes Caffe's input range.
fn mean_image(preprocess: &Preprocess, file: &str) -> anyhow::Result<Mean> {
    if preprocess.channels != Channels::Bgr || preprocess.scale != 1.0 {
        bail!(
            "--mean {file}: a mean image is in Caffe's BGR of 0 to 255, which is not IN's input; add --channels bgr --scale 255 if it is"
        );
    }
    if file.contains(',') && !Path::new(file).exists() {
        bail!("--mean {file}: expected three numbers such as 104,117,123, or one, or a file");
    }
    Ok(formats::read_mean(file)?)
}

/// Reverses the channel order without changing the result.
fn swap_channels(preprocess: &mut Preprocess) {
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
