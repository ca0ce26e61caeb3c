//! Averages of the weights of several models: of snapshots of one run (SWA: Izmailov et al. 2018), or of runs that started from one
//! model (Wortsman et al. 2022).

mod statistics;

pub use statistics::estimate_statistics;

use crate::formats::Model;
use crate::net::{BiasInit, DropoutStyle, Net, Op, WeightInit};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Number of characters in the name of a run's snapshot, `epoch-0010.safetensors`, before and after the epoch.
const SNAPSHOT: (&str, &str) = ("epoch-", ".safetensors");

/// The models that a path stands for: a file for itself, a run folder for its snapshots in their order or, without any, for its best
/// model.
///
/// # Errors
/// A folder that cannot be read or has no models.
pub fn models_of(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut snapshots = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|error| Error::io(path, error))? {
        let name = entry.map_err(|error| Error::io(path, error))?.file_name();
        let epoch = name.to_str().and_then(|name| name.strip_prefix(SNAPSHOT.0)?.strip_suffix(SNAPSHOT.1)?.parse::<u64>().ok());
        snapshots.extend(epoch.map(|epoch| (epoch, path.join(&name))));
    }
    if snapshots.is_empty() {
        let best = crate::report::newest_model(path);
        let missing = || Error::file(path, "no models here; give model files, or run folders of `alexnet train`");
        return Ok(vec![best.ok_or_else(missing)?]);
    }
    snapshots.sort();
    Ok(snapshots.into_iter().map(|(_, path)| path).collect())
}

/// The average of models with equal weights. Calibrated ranges of int8 are left out.
///
/// # Errors
/// Fewer than two models, or ones that differ in net, classes, preprocessing or temperature; the message names both.
pub fn average(models: &[(PathBuf, Model)]) -> Result<Model> {
    let [(first, model), others @ ..] = models else {
        return Err(Error::Invalid("nothing to average: no models".into()));
    };
    if others.is_empty() {
        return Err(Error::Invalid(format!("{}: one model alone has no average; give at least two", first.display())));
    }
    for (path, other) in others {
        if let Some(what) = difference(model, other) {
            let first = first.display();
            return Err(Error::file(
                path,
                format!("{what} than {first}; only models that differ in their weights alone have an average"),
            ));
        }
    }
    let mut average = Model { ranges: Default::default(), ..model.clone() };
    for (name, values) in &mut average.tensors {
        let mut mean = values.to_vec();
        for (i, (path, other)) in others.iter().enumerate() {
            let other = other.tensors.get(name).filter(|other| other.len() == mean.len());
            let other = other.ok_or_else(|| Error::file(path, format!("{name} is missing or has another shape")))?;
            // As torch.optim.swa_utils.AveragedModel.
            let count = (i + 2) as f32;
            mean.iter_mut().zip(other.iter()).for_each(|(mean, value)| *mean += (value - *mean) / count);
        }
        *values = mean.into();
    }
    Ok(average)
}

/// What two models have different, apart from weights.
fn difference(a: &Model, b: &Model) -> Option<String> {
    if layers(&a.net) != layers(&b.net) {
        let name = |net: &Net| format!("{} at {} pixels", net.name, net.image_size);
        let (a, b) = (name(&a.net), name(&b.net));
        return Some(if a == b { "other layers".into() } else { format!("another net ({b}, not {a})") });
    }
    if a.classes != b.classes {
        let unknown = b.classes.iter().find(|class| !a.classes.contains(class));
        return Some(unknown.map_or("the classes in another order".into(), |class| format!("other classes (such as {class})")));
    }
    if a.preprocess != b.preprocess {
        return Some("other preprocessing".into());
    }
    (a.temperature != b.temperature).then(|| "another temperature (of `alexnet calibrate`)".into())
}

/// A net without what does not matter once it is trained: its name, its initialisation, and the rates of dropout that only scales in
/// training.
fn layers(net: &Net) -> Net {
    let mut net = Net { name: String::new(), ..net.clone() };
    for layer in &mut net.layers {
        if let Op::Conv { weight_init, bias_init, .. }
        | Op::LocalConv { weight_init, bias_init, .. }
        | Op::Linear { weight_init, bias_init, .. } = &mut layer.op
        {
            (*weight_init, *bias_init) = (WeightInit::Normal(0.0), BiasInit::Constant(0.0));
        }
        if let Op::Dropout { rate, style: DropoutStyle::ScaleInTraining } = &mut layer.op {
            *rate = 0.0;
        }
    }
    net
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats;
    use crate::image::Preprocess;
    use alexnet_testkit::nets::{drop, fc, net};

    fn model(values: &[f32]) -> Model {
        let net = net("small", &[("fc1", fc(2))]);
        let tensors = formats::parameters(&net).unwrap().into_iter().map(|(name, shape)| {
            let len = shape.iter().product::<usize>();
            (name, values.iter().copied().cycle().take(len).collect::<Vec<f32>>().into())
        });
        Model {
            tensors: tensors.collect(),
            preprocess: Preprocess::for_net(&net),
            classes: vec!["cat".into(), "dog".into()],
            recipe: serde_json::Value::Null,
            ranges: Default::default(),
            temperature: None,
            net,
        }
    }

    fn of(models: Vec<Model>) -> Result<Model> {
        let names = ["a", "b", "c"].map(PathBuf::from);
        average(&names.into_iter().zip(models).collect::<Vec<_>>())
    }

    #[test]
    fn averages_are_those_of_pytorch() {
        // torch.optim.swa_utils.AveragedModel over a Linear whose weights are these, in this order.
        let found = of(vec![model(&[0.1, 1e-3]), model(&[0.7, 0.25]), model(&[-1.3, 3.0])]).unwrap();
        for values in found.tensors.values() {
            for pair in values.chunks(2) {
                assert!((pair[0] - (-1.0 / 6.0)).abs() < 1e-7 && (pair[1] - 1.083_666_7).abs() < 1e-6, "{pair:?}");
            }
        }
        // Copies average to themselves, to the bit.
        assert_eq!(of(vec![model(&[0.1, 0.3]); 3]).unwrap(), model(&[0.1, 0.3]));
    }

    #[test]
    fn models_that_differ_in_more_than_weights_are_refused() {
        let one = || model(&[1.0]);
        let wider = {
            let net = net("small", &[("fc1", fc(3))]);
            Model { net, classes: ["a", "b", "c"].map(String::from).to_vec(), ..one() }
        };
        let renamed = Model { net: Net { name: "other".into(), ..one().net }, ..one() };
        let resized = Model { net: one().net.with_image_size(32), ..one() };
        assert!(of(vec![one(), renamed]).is_ok());
        for (models, part) in [
            (vec![], "no models"),
            (vec![one()], "at least two"),
            (vec![one(), wider], "b: other layers than a"),
            (vec![one(), one(), resized], "c: another net (small at 32 pixels"),
            (vec![one(), Model { classes: vec!["dog".into(), "cat".into()], ..one() }], "another order"),
            (vec![one(), Model { classes: vec!["cat".into(), "cow".into()], ..one() }], "such as cow"),
            (vec![one(), Model { preprocess: Preprocess { crop: 7, ..one().preprocess }, ..one() }], "other preprocessing"),
            (vec![one(), Model { temperature: Some(2.0), ..one() }], "calibrate"),
        ] {
            let message = of(models).unwrap_err().to_string();
            assert!(message.contains(part) && !message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn dropout_matters_only_if_it_scales_at_inference() {
        let at_rate = |rate, style| {
            let model = model(&[1.0]);
            let mut net = net("small", &[("drop0", drop(style)), ("fc1", fc(2))]);
            net.layers.iter_mut().for_each(|layer| {
                if let Op::Dropout { rate: own, .. } = &mut layer.op {
                    *own = rate;
                }
            });
            Model { net, ..model }
        };
        let pair = |style| of(vec![at_rate(0.5, style), at_rate(0.2, style)]);
        assert_eq!(pair(DropoutStyle::ScaleInTraining).unwrap(), at_rate(0.5, DropoutStyle::ScaleInTraining));
        assert!(pair(DropoutStyle::ScaleAtInference).unwrap_err().to_string().contains("other layers"));
    }

    #[test]
    fn a_run_stands_for_its_snapshots_or_its_best_model() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(models_of(folder.path()).unwrap_err().to_string().contains("no models"));
        std::fs::write(at("last.safetensors"), "").unwrap();
        std::fs::write(at("best.safetensors"), "").unwrap();
        assert_eq!(models_of(folder.path()).unwrap(), [at("best.safetensors")]);
        assert_eq!(models_of(&at("any.pth")).unwrap(), [at("any.pth")]);
        for name in ["epoch-0010.safetensors", "epoch-0002.safetensors", "epoch-x.safetensors", "epoch-3.txt"] {
            std::fs::write(at(name), "").unwrap();
        }
        assert_eq!(models_of(folder.path()).unwrap(), [at("epoch-0002.safetensors"), at("epoch-0010.safetensors")]);
    }
}
