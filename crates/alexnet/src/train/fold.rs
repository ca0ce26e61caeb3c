//! Batch normalisation that a recipe added, folded into the weights of the saved model.
//!
//! A net trained with `batch_norm = true` has a normalisation after each convolution and linear layer but the last. At inference
//! both are linear, so that one layer with other weights and biases computes the same, up to rounding:
//! see [`Net::without_batch_norm`](crate::net::Net::without_batch_norm).

use super::recipe::Recipe;
use super::state;
use crate::engine::ParameterStore;
use crate::net::{Folded, Layer, LayerShape, Net, Op};
use crate::{Error, Result};

/// The normalisation folded into the layer of parameter `name`.
pub(super) fn of_parameter<'a>(folded: &'a [Folded], name: &str) -> Option<&'a Folded> {
    let (layer, _) = name.rsplit_once('.')?;
    folded.iter().find(|folded| folded.layer == layer)
}

/// Values of a weight or bias of `engine` with the normalisation after it folded in.
///
/// # Errors
/// A parameter that is not finite.
pub(super) fn parameter(engine: &dyn ParameterStore, name: &str, folded: &Folded) -> Result<Vec<f32>> {
    let mut values = engine.parameter(name)?;
    let of_norm = |part: &str| engine.parameter(&format!("{}.{part}", folded.norm));
    let (gamma, variance) = (of_norm("weight")?, of_norm("running_var")?);
    let scale = |k: usize| f64::from(gamma[k]) / (f64::from(variance[k]) + f64::from(folded.eps)).sqrt();
    if name.ends_with(".bias") {
        let (mean, beta) = (of_norm("running_mean")?, of_norm("bias")?);
        for (k, value) in values.iter_mut().enumerate() {
            *value = ((f64::from(*value) - f64::from(mean[k])) * scale(k) + f64::from(beta[k])) as f32;
        }
    } else {
        let row = values.len() / gamma.len().max(1);
        for (k, row) in values.chunks_exact_mut(row.max(1)).enumerate() {
            let scale = scale(k);
            row.iter_mut().for_each(|value| *value = (f64::from(*value) * scale) as f32);
        }
    }
    state::finite(name, values)
}

/// Checks that every batch of a run, or each of its `blocks`, has two images for every normalisation that sees one value of an
/// image: a single one is its own mean, and nothing is left of it. PyTorch refuses such a batch, too.
///
/// # Errors
/// A batch, or a block of one, that may have a single image.
pub(super) fn check_batches(net: &Net, recipe: &Recipe, images: usize, blocks: usize) -> Result<()> {
    let sees_one = |(layer, shape): (&Layer, &LayerShape)| matches!(layer.op, Op::BatchNorm { .. }) && shape.input.size == 1;
    let Some(at) = net.layers.iter().zip(&net.shapes()?).position(sees_one) else { return Ok(()) };
    let batch = recipe.batch.min(images);
    let last = if recipe.drop_last || images.is_multiple_of(batch) { batch } else { images % batch };
    if last / blocks >= 2 {
        return Ok(());
    }
    let parts = if blocks > 1 { format!(" in {blocks} parts") } else { String::new() };
    Err(Error::Invalid(format!(
        "{}: batch normalisation needs at least 2 images, and a batch of {last}{parts} has fewer; use a larger --batch, or drop_last = true",
        net.layers[at].name
    )))
}

#[cfg(test)]
mod tests {
    use crate::engine::cpu::Cpu;
    use crate::engine::{Inference, ParameterStore, init};
    use crate::formats::{self, Model, parameters};
    use crate::image::Preprocess;
    use crate::net::{Net, Op, presets};
    use crate::train::recipe;
    use crate::train::state::write_model;
    use alexnet_kernels::random::Key;

    /// A small torchvision net, normalised.
    fn net() -> (Net, Net) {
        let mut plain = presets::by_name("torchvision").unwrap().with_image_size(63).with_classes(3);
        for layer in &mut plain.layers {
            if let Op::Linear { out, .. } = &mut layer.op
                && layer.name != "fc8"
            {
                *out = 24;
            }
        }
        let recipe = recipe::Recipe { batch_norm: true, ..recipe::by_name("quick").unwrap() };
        (plain.clone(), recipe.prepare(plain))
    }

    #[test]
    fn a_saved_model_is_the_plain_net_and_computes_the_same() {
        let (plain, normalised) = net();
        let mut engine = Cpu::new(&normalised, 4, 2).unwrap();
        init::initialise(&mut engine, 3).unwrap();
        for (i, (name, shape)) in parameters(&normalised).unwrap().into_iter().enumerate() {
            let key = Key(5).with(i as u64);
            let draw =
                |low: f32, high: f32| (0..shape.iter().product()).map(move |k: usize| low + (high - low) * key.uniform(k as u64));
            let values: Vec<f32> = match name.rsplit_once('.').unwrap() {
                (layer, "running_var" | "weight") if layer.ends_with("_bn") => draw(0.3, 3.0).collect(),
                (_, "running_mean" | "bias") => draw(-0.5, 0.5).collect(),
                _ => continue,
            };
            engine.set_parameter(&name, &values).unwrap();
        }
        let model = Model {
            preprocess: Preprocess::for_net(&normalised),
            classes: ["a", "b", "c"].map(String::from).to_vec(),
            recipe: serde_json::json!({ "batch_norm": true }),
            ranges: Default::default(),
            temperature: None,
            tensors: Default::default(),
            net: normalised,
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        write_model(&path, &model, &engine, alexnet_files::Sync::Later).unwrap();

        let saved = formats::read(&path).unwrap();
        assert_eq!(
            saved.net.layers.iter().map(|l| &l.name).collect::<Vec<_>>(),
            plain.layers.iter().map(|l| &l.name).collect::<Vec<_>>()
        );
        let mut folded = Cpu::new(&saved.net, 4, 2).unwrap();
        for (name, values) in &saved.tensors {
            folded.set_parameter(name, values).unwrap();
        }
        let images: Vec<f32> = (0..4 * 3 * 63 * 63).map(|i| Key(9).normal(i)).collect();
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        engine.infer(&images, &mut expected).unwrap();
        folded.infer(&images, &mut found).unwrap();
        let largest = expected.iter().fold(0f32, |m, x| m.max(x.abs()));
        assert!(largest > 0.1, "{expected:?}");
        assert!(expected.iter().zip(&found).all(|(a, b)| (a - b).abs() < 1e-4 * largest), "{expected:?} {found:?}");
    }

    #[test]
    fn a_single_image_is_not_normalised() {
        let (plain, normalised) = net();
        let recipe = |batch, drop_last| recipe::Recipe { batch, drop_last, ..recipe::by_name("quick").unwrap() };
        let check =
            |net: &Net, batch, drop_last, images, blocks| super::check_batches(net, &recipe(batch, drop_last), images, blocks);
        check(&normalised, 2, true, 9, 1).unwrap();
        check(&normalised, 29, true, 30, 1).unwrap();
        check(&normalised, 10, false, 30, 5).unwrap();
        check(&plain, 1, true, 9, 1).unwrap();
        // Convolutions have many pixels of one image.
        check(&presets::by_name("alexnet-bn").unwrap(), 1, true, 9, 1).unwrap();
        for (batch, drop_last, images, blocks) in [(1, true, 9, 1), (29, false, 30, 1), (8, true, 30, 8), (32, true, 1, 1)] {
            let message = check(&normalised, batch, drop_last, images, blocks).unwrap_err().to_string();
            assert!(message.contains("fc6_bn") && message.contains("--batch"), "{message}");
        }
    }

    #[test]
    fn normalisation_of_the_net_itself_is_kept() {
        let net = presets::by_name("alexnet-bn").unwrap();
        let recipe = recipe::Recipe { batch_norm: true, ..recipe::by_name("simple").unwrap() };
        let (kept, folded) = recipe.prepare(net.clone()).without_batch_norm();
        assert_eq!((kept, folded), (net, vec![]));
    }
}
