//! Fine-tuning: initialisation from a model's parameters, with a head for new classes and optionally another image size.

use crate::class_match::{LabelOrder, are_unnamed, match_model};
use crate::engine::{ParameterStore, init};
use crate::formats::{Model, parameters};
use crate::image::{Mean, Preprocess, Resize};
use crate::{Error, Result};

/// Mapping of the head's rows to a model's classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadMapping {
    /// For each class of the images, the model's class of the same name, if any.
    pub rows: Vec<Option<usize>>,
}

impl HeadMapping {
    /// Matches the images' classes with a model's by name, so that every row keeps its class, whatever the order and number: see
    /// [`match_model`].
    ///
    /// A model file without names uses output numbers as names; unless `order` is given, these match only if the number of
    /// classes is equal.
    ///
    /// # Errors
    /// Classes are ambiguous, or the order is impossible.
    pub fn of(model: &Model, classes: &[String], order: LabelOrder) -> Result<HeadMapping> {
        if order == LabelOrder::Unknown && are_unnamed(&model.classes) && model.classes.len() != classes.len() {
            return Ok(HeadMapping { rows: vec![None; classes.len()] });
        }
        Ok(HeadMapping { rows: match_model(classes, &model.classes, order)?.rows })
    }

    /// Number of classes known to the model.
    pub fn known(&self) -> usize {
        self.rows.iter().flatten().count()
    }

    /// Whether the model knows every class.
    pub fn is_known(&self) -> bool {
        self.known() == self.rows.len()
    }
}

/// Adapts a model to images of another size, resized and cropped in the same proportion. This works if no parameter depends on
/// the size: an adaptive pool before the first linear layer accepts maps of any size.
///
/// # Errors
/// A parameter would need another shape, or the model has a mean image, which has a fixed size.
pub fn at_size(mut model: Model, image_size: usize) -> Result<Model> {
    let before = model.net.image_size;
    if image_size == before {
        return Ok(model);
    }
    let net = model.net.clone().with_image_size(image_size);
    net.check_image_size()?;
    let (have, need) = (parameters(&model.net)?, parameters(&net)?);
    if let Some(((name, have), (_, need))) = have.iter().zip(&need).find(|(have, need)| have != need) {
        return Err(Error::Invalid(format!(
            "the model takes images of {before} pixels: {name} has {} numbers as {have:?}, and at {image_size} pixels {name} would \
             need the shape {need:?}",
            have.iter().product::<usize>()
        )));
    }
    if let Mean::Image { size, .. } = &model.preprocess.mean {
        return Err(Error::Invalid(format!(
            "the model subtracts a mean image of {size} x {size}, which fits images of {before} pixels only, not of {image_size}"
        )));
    }
    // Use the net's own sizes if unchanged, so that rounding twice cannot change them.
    model.preprocess.resize = match (model.preprocess.resize, Preprocess::for_net(&net).resize) {
        (resize, new) if resize == Preprocess::for_net(&model.net).resize => new,
        (Resize::ShortSide(side), _) => Resize::ShortSide(in_proportion(side, before, image_size)),
        (Resize::Square(side), _) => Resize::Square(in_proportion(side, before, image_size)),
        (Resize::Warp(side), _) => Resize::Warp(in_proportion(side, before, image_size)),
    };
    model.preprocess.crop = in_proportion(model.preprocess.crop, before, image_size);
    model.net = net;
    Ok(model)
}

/// Scales `side` by `to / from`, rounded.
fn in_proportion(side: usize, from: usize, to: usize) -> usize {
    (side * to + from / 2) / from
}

/// Copies a model's parameters to an engine whose net has the classes of `head`. Rows of classes unknown to the model get the
/// net's initialisation.
///
/// # Errors
/// The engine has another net.
pub fn init_from(engine: &mut dyn ParameterStore, model: &Model, head: &HeadMapping, seed: u64) -> Result<()> {
    let names = parameters(engine.net())?;
    let last = names.len().saturating_sub(2);
    for (name, shape) in &names[..last] {
        let values = model.tensors.get(name).filter(|values| values.len() == shape.iter().product::<usize>());
        engine.set_parameter(
            name,
            values.ok_or_else(|| Error::Net(format!("the model's {name} does not have the shape {shape:?}")))?,
        )?;
    }
    let layer = engine.net().layers.len() - 1;
    let fresh = if head.is_known() { None } else { Some(init::initial_values(engine.net(), layer, seed)?) };
    for (i, (name, shape)) in names[last..].iter().enumerate() {
        let row = shape[1..].iter().product::<usize>();
        let old = model.tensors.get(name).filter(|values| values.len() == row * model.classes.len());
        let old =
            old.ok_or_else(|| Error::Net(format!("the model's {name} does not have {} rows of {row}", model.classes.len())))?;
        let mut values = match &fresh {
            Some((weights, biases)) => if i == 0 { weights } else { biases }.clone(),
            None => vec![0.0; row * head.rows.len()],
        };
        for (to, from) in values.chunks_exact_mut(row).zip(&head.rows) {
            if let Some(from) = from {
                to.copy_from_slice(&old[from * row..(from + 1) * row]);
            }
        }
        engine.set_parameter(name, &values)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::cpu::Cpu;
    use crate::image::Preprocess;
    use crate::net::imagenet;
    use crate::net::presets::by_name;

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    /// A small net in which every value of a head's row identifies the row.
    fn model(classes: &[&str]) -> Model {
        let mut net = by_name("torchvision").unwrap().with_image_size(63).with_classes(classes.len());
        for layer in &mut net.layers {
            if let crate::net::Op::Linear { out, .. } = &mut layer.op
                && layer.name != "fc8"
            {
                *out = 8;
            }
        }
        let tensors = parameters(&net).unwrap().into_iter().map(|(name, shape)| {
            let len = shape.iter().product::<usize>();
            let row = len / shape[0];
            let values: Vec<f32> = (0..len).map(|i| if name.starts_with("fc8") { (i / row) as f32 + 1.0 } else { 0.5 }).collect();
            (name, values.into())
        });
        let (tensors, preprocess) = (tensors.collect(), Preprocess::for_net(&net));
        Model {
            net,
            preprocess,
            classes: strings(classes),
            recipe: Default::default(),
            ranges: Default::default(),
            temperature: None,
            tensors,
        }
    }

    #[test]
    fn a_model_without_a_last_layer_gets_a_new_head() {
        let mut trunk = model(&["a", "b"]);
        trunk.classes.clear();
        assert_eq!(head(&trunk, &["a", "b"]).rows, [None, None]);
    }

    fn head(model: &Model, classes: &[&str]) -> HeadMapping {
        HeadMapping::of(model, &strings(classes), LabelOrder::Unknown).unwrap()
    }

    #[test]
    fn classes_are_matched_by_name_in_any_order_and_number() {
        let model = model(&["ship", "cat", "dog"]);
        let rows = |classes: &[&str]| head(&model, classes).rows;
        assert_eq!(rows(&["cat", "dog", "ship"]), [Some(1), Some(2), Some(0)]);
        assert_eq!(rows(&["cat", "zebra"]), [Some(1), None]);
        assert_eq!(rows(&["a", "b", "c"]), [None, None, None]);
        assert_eq!(head(&model, &["cat", "zebra"]).known(), 1);
    }

    #[test]
    fn placeholder_names_match_nothing() {
        let twice = model(&["crane", "crane", "maillot"]);
        assert_eq!(head(&twice, &["crane", "maillot"]).rows, [None, Some(2)]);
        let unnamed = model(&["0", "1", "2"]);
        assert_eq!(head(&unnamed, &["0", "1"]).rows, [None, None]);
        assert_eq!(head(&unnamed, &["2", "0", "1"]).rows, [Some(2), Some(0), Some(1)]);
        let mut imagenet = unnamed;
        imagenet.classes = imagenet::Order::Devkit.names();
        assert_eq!(head(&imagenet, &["n02119789", "tench"]).rows, [Some(0), Some(448)]);
        imagenet.classes = imagenet::names();
        assert_eq!(head(&imagenet, &["n02123045", "tench", "no such"]).rows, [Some(281), Some(0), None]);
    }

    #[test]
    fn ambiguous_numbers_are_rejected_until_an_order_is_given() {
        let folders: Vec<&str> = vec!["0", "1", "10", "11", "2", "3", "4", "5", "6", "7", "8", "9"];
        let outputs: Vec<String> = (0..12).map(|i| i.to_string()).collect();
        let unnamed = model(&outputs.iter().map(String::as_str).collect::<Vec<_>>());
        let of = |order| HeadMapping::of(&unnamed, &strings(&folders), order);
        assert!(of(LabelOrder::Unknown).unwrap_err().to_string().contains("--label-order text"));
        assert_eq!(of(LabelOrder::Text).unwrap().rows, (0..12).map(Some).collect::<Vec<_>>());
        assert_eq!(of(LabelOrder::Number).unwrap().rows[2], Some(10));
        // Another number of classes: no match, unless the user gives an order.
        let some = HeadMapping::of(&unnamed, &strings(&["10", "2"]), LabelOrder::Text).unwrap();
        assert_eq!((head(&unnamed, &["10", "2"]).rows, some.rows), (vec![None, None], vec![Some(2), Some(4)]));
    }

    #[test]
    fn a_model_takes_another_size_where_no_parameter_depends_on_it() {
        let small = model(&["ship", "cat"]);
        let large = at_size(small.clone(), 96).unwrap();
        assert_eq!(large.net, small.net.clone().with_image_size(96));
        assert_eq!(large.preprocess, Preprocess::for_net(&large.net));
        assert_eq!(at_size(large, 63).unwrap().preprocess, small.preprocess);
        let mut own = small.clone();
        own.preprocess.resize = Resize::Warp(63);
        assert_eq!(at_size(own, 126).unwrap().preprocess.resize, Resize::Warp(126));
        let mut mean = small.clone();
        mean.preprocess.mean = Mean::Image { size: 72, values: vec![0.0; 3 * 72 * 72].into(), centre: true };
        let message = at_size(mean, 96).err().unwrap().to_string();
        assert!(message.contains("mean image of 72 x 72"), "{message}");
        let fixed = Model { net: by_name("caffenet").unwrap().with_classes(2), ..small };
        let message = at_size(fixed, 96).err().unwrap().to_string();
        assert!(message.contains("227 pixels") && message.contains("fc6.weight would need the shape [4096, 1024]"), "{message}");
    }

    #[test]
    fn head_rows_follow_their_classes_and_the_rest_is_copied_or_initialised() {
        let model = model(&["ship", "cat", "dog"]);
        let classes = strings(&["cat", "ship", "zebra"]);
        let mut engine = Cpu::new(&model.net.clone().with_classes(3), 1, 1).unwrap();
        init_from(&mut engine, &model, &HeadMapping::of(&model, &classes, LabelOrder::Unknown).unwrap(), 4).unwrap();
        let (weights, biases) = (engine.parameter("fc8.weight").unwrap(), engine.parameter("fc8.bias").unwrap());
        assert_eq!((&weights[..8], &weights[8..16]), ([2.0; 8].as_slice(), [1.0; 8].as_slice()));
        assert_eq!(biases[..2], [2.0, 1.0]);
        assert!(weights[16..].iter().all(|w| w.abs() < 0.5 && *w != 0.0), "{:?}", &weights[16..]);
        assert_eq!(engine.parameter("conv3.weight").unwrap()[..3], [0.5; 3]);
        // As in a newly initialised net.
        let mut plain = Cpu::new(engine.net(), 1, 1).unwrap();
        init::initialise(&mut plain, 4).unwrap();
        assert_eq!(plain.parameter("fc8.weight").unwrap()[16..], weights[16..]);

        let other = by_name("torchvision").unwrap().with_image_size(63).with_classes(3);
        let mut other = Cpu::new(&other, 1, 1).unwrap();
        let message = init_from(&mut other, &model, &HeadMapping::of(&model, &classes, LabelOrder::Unknown).unwrap(), 4)
            .unwrap_err()
            .to_string();
        assert!(message.contains("fc6.weight"), "{message}");
    }
}
