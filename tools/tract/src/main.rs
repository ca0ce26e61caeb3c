//! Writes nets as ONNX and compares tract-onnx's logits with ours: `cargo run --release --manifest-path tools/tract/Cargo.toml
//! [NET...]`.

use alexnet::engine::cpu::Cpu;
use alexnet::formats::{self, ExportOptions, Model};
use alexnet::image::Preprocess;
use alexnet::net::presets;
use alexnet::selftest::formula::{images, set_parameters, uniform};
use alexnet::engine::{Inference, ParameterStore};
use alexnet::{image::Image, predict::crop_tensors};
use anyhow::{Context, ensure};
use tract_onnx::prelude::*;

/// Maximum difference relative to the largest logit; the programs sum in different orders.
const BOUND: f32 = 1e-5;
const BATCH: usize = 2;

fn main() -> anyhow::Result<()> {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    if names.is_empty() {
        // All presets: with both kinds of normalisation, groups, pools that round up, and batch norms.
        names = presets::ALL.iter().map(|preset| preset.name.into()).collect();
    }
    for name in names {
        compare(&name).with_context(|| name.clone())?;
    }
    Ok(())
}

fn compare(name: &str) -> anyhow::Result<()> {
    let net = presets::by_name(name)?;
    let mut engine = Cpu::new(&net, BATCH, 0)?;
    set_parameters(&mut engine, 1)?;
    let parameters = formats::parameters(&net)?;
    let read = |(parameter, _): &(String, Vec<usize>)| Ok((parameter.clone(), engine.parameter(parameter)?.into()));
    let model = Model {
        tensors: parameters.iter().map(read).collect::<alexnet::Result<_>>()?,
        preprocess: Preprocess::for_net(&net),
        classes: (0..net.classes()).map(|i| i.to_string()).collect(),
        recipe: Default::default(),
        ranges: Default::default(),
        temperature: None,
        net,
    };
    let folder = tempfile::tempdir()?;
    let size = model.net.image_size;

    let images = images(&model.net, 1, BATCH);
    let mut ours = Vec::new();
    engine.infer(&images, &mut ours)?;
    let path = folder.path().join("m.onnx");
    formats::export(&path, &model, ExportOptions::default())?;
    let input = Tensor::from_shape(&[BATCH, 3, size, size], &images)?;
    let theirs = run(&path, input)?;
    check(name, "", &ours, &theirs)?;

    // The same with preprocessing in the graph, from bytes.
    let rgb: Vec<u8> = uniform(9, 3 * size * size, 127.5).into_iter().map(|v| (v + 127.5) as u8).collect();
    let image = Image { width: size, height: size, rgb };
    let mut given = model.preprocess.clone();
    // The image already has the size of the crop, so there is nothing to resize.
    given.resize = alexnet::image::Resize::ShortSide(size);
    let mut seen = Vec::new();
    crop_tensors(&image, &given, alexnet::image::crop::Crops::Centre, &mut seen);
    engine.infer(&seen, &mut ours)?;
    formats::export(&path, &model, ExportOptions { preprocess_in_graph: true, ..ExportOptions::default() })?;
    let input = Tensor::from_shape(&[1, size, size, 3], &image.rgb)?;
    check(name, " from bytes", &ours, &run(&path, input)?)
}

/// The logits that tract computes from a file.
fn run(path: &std::path::Path, input: Tensor) -> anyhow::Result<Vec<f32>> {
    let fact = InferenceFact::dt_shape(input.datum_type(), input.shape());
    let model = tract_onnx::onnx().model_for_path(path)?.with_input_fact(0, fact)?.into_optimized()?.into_runnable()?;
    let output = model.run(tvec!(input.into()))?;
    Ok(output[0].to_plain_array_view::<f32>()?.iter().copied().collect())
}

fn check(name: &str, how: &str, ours: &[f32], theirs: &[f32]) -> anyhow::Result<()> {
    ensure!(ours.len() == theirs.len(), "{} logits, tract returned {}", ours.len(), theirs.len());
    let largest = ours.iter().fold(0.0f32, |most, v| most.max(v.abs()));
    let off = ours.iter().zip(theirs).fold(0.0f32, |most, (a, b)| most.max((a - b).abs())) / largest;
    println!("{name}{how}: tract's logits differ by {off:.1e} of the largest");
    ensure!(off <= BOUND, "more than {BOUND:.0e}");
    Ok(())
}
