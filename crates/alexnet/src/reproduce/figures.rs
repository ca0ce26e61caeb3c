//! Figures 3 and 4: the filters of the first layer, and predictions with the images that are nearest in the last hidden layer.

use super::votes::{images, models, name, one_arm};
use super::{Finding, Picture, Scale, Study, Trained};
use crate::data::Dataset;
use crate::data::loader::{Loader, Options};
use crate::draw::contact_sheet::{Cell, ContactSheet, Group, thumbnail};
use crate::draw::{GREY, INK};
use crate::engine::Inference;
use crate::engine::cpu::Cpu;
use crate::engine::load_model;
use crate::explain::filters::{Scale as Colours, filters};
use crate::explain::mistakes::bars;
use crate::features::{Pool, Taken, extract};
use crate::formats::{self, Model};
use crate::image::crop::Crops;
use crate::net::Op;
use crate::predict::{crop_tensors, top_k};
use crate::{Error, Result};
use std::collections::HashMap;
use std::sync::Arc;

pub(super) static FIGURE_3: Study = Study {
    name: "figure-3",
    title: "Filters of the first layer",
    claim: "The kernels of one GPU are largely colour-agnostic, those of the other one largely colour-specific.",
    place: "section 6.1, figure 3",
    paper: "96 kernels of 11 x 11 x 3, 48 on each GPU",
    full: Scale { epochs: 60, seeds: 1 },
    quick: Scale { epochs: 10, seeds: 1 },
    takes_models: true,
    arms: one_arm,
    conclude: figure_3,
};

pub(super) static FIGURE_4: Study = Study {
    name: "figure-4",
    title: "Predictions and nearest images",
    claim: "Images whose activations in the last hidden layer are close are similar to people, even if their pixels are not.",
    place: "section 6.1, figure 4",
    paper: "eight test images with five labels each, and five with their six nearest training images",
    full: Scale { epochs: 30, seeds: 1 },
    quick: Scale { epochs: 6, seeds: 1 },
    takes_models: true,
    arms: one_arm,
    conclude: figure_4,
};

/// Number of test images with predictions, of labels each, of queries, and of neighbours each.
const PREDICTED: usize = 8;
const LABELS: usize = 5;
const QUERIES: usize = 5;
const NEIGHBOURS: usize = 6;
/// Maximum number of training images among which neighbours are searched.
const SEARCHED: usize = 20_000;

fn first_model(trained: &Trained<'_>) -> Result<(String, Model, Cpu)> {
    let Some(path) = models(trained).into_iter().next() else { return Err(Error::Invalid("no model".into())) };
    let model = formats::load(&path, None).map_err(|error| error.context(path.display()))?;
    let mut engine = Cpu::new(&model.net, 32, trained.setup.threads)?;
    load_model(&model, &mut engine)?;
    Ok((name(&path), model, engine))
}

/// How colourful filters are: the share of their energy outside the mean of the three channels.
fn colour(weights: &[f32], size: usize) -> f64 {
    let len = size * size;
    let (mut all, mut colour) = (0.0, 0.0);
    for filter in weights.chunks_exact(3 * len) {
        for i in 0..len {
            let channels = [0, 1, 2].map(|c| f64::from(filter[c * len + i]));
            let mean = channels.iter().sum::<f64>() / 3.0;
            all += channels.iter().map(|w| w * w).sum::<f64>();
            colour += channels.iter().map(|w| (w - mean) * (w - mean)).sum::<f64>();
        }
    }
    if all > 0.0 { colour / all } else { 0.0 }
}

fn figure_3(trained: &Trained<'_>) -> Result<Finding> {
    let (name, model, engine) = first_model(trained)?;
    let found = filters(&engine, model.preprocess.channels)?;
    let share = found.weights.len() / found.columns.max(1);
    let shares: Vec<f64> = found.weights.chunks(share).map(|weights| colour(weights, found.size)).collect();
    let text: Vec<String> =
        shares.iter().enumerate().map(|(i, share)| format!("{:.0} % colour in column {}", 100.0 * share, i + 1)).collect();
    let picture = Picture {
        caption: format!("{}: {} kernels of {} x {} x 3 of {name}", found.layer, found.count, found.size, found.size),
        image: found.sheet(Colours::Each).scene().pixels()?,
    };
    Ok(Finding {
        ours: format!("{} kernels of {} x {} x 3; {}", found.count, found.size, found.size, text.join(", ")),
        pictures: vec![picture],
        notes: vec![
            "Colour is the share of the kernels' energy that differs between the three channels: 0 % if all kernels are grey. Whether the \
             columns specialise is a matter of chance and of long training; the paper saw it in every run of 90 epochs on ImageNet."
                .into(),
        ],
        ..Finding::default()
    })
}

fn figure_4(trained: &Trained<'_>) -> Result<Finding> {
    let (name, model, mut engine) = first_model(trained)?;
    let (train, val) = images(trained)?;
    let classes = &model.classes;
    // Evenly spread over the validation images, which are often sorted by class.
    let chosen = |count: usize| (0..count.min(val.len())).map(|i| i * val.len() / count.min(val.len())).collect::<Vec<_>>();
    let mut cells = Vec::new();
    for i in chosen(PREDICTED) {
        let image = picture(&*val, i)?;
        let (mut tensor, mut logits) = (Vec::new(), Vec::new());
        crop_tensors(&image, &model.preprocess, Crops::Centre, &mut tensor);
        engine.infer(&tensor, &mut logits)?;
        let label = val.label(i) as usize;
        let mut cell = Cell::photograph(thumbnail(image)).line(&classes[label], INK);
        cell.bars = bars(&top_k(&logits, classes.len(), LABELS), label, classes);
        cells.push(cell);
    }
    let note = format!("{name}: the {LABELS} most probable labels of validation images; green is right");
    let predictions = ContactSheet { note, ..ContactSheet::of("Predictions", 4, 160, cells) };

    let layer = last_hidden(&model)?;
    let taken = Taken::new(&model.net, &layer, false, Pool::None)?;
    let options = || Options { batch: 32, threads: trained.setup.threads, memory: Some(0), ..Options::default() };
    let mut of = |images: &Arc<dyn Dataset>, wanted: &dyn Fn(usize) -> bool| -> Result<HashMap<usize, Vec<f32>>> {
        let loader = Loader::sequential(images.clone(), model.preprocess.clone(), Crops::Centre, options())?;
        let mut rows = HashMap::new();
        extract(&mut engine, &loader, &taken, &mut |i, features| {
            if wanted(i) {
                rows.insert(i, features.to_vec());
            }
            Ok(())
        })?;
        Ok(rows)
    };
    let queries = chosen(QUERIES);
    let asked = of(&val, &|i| queries.contains(&i))?;
    let step = train.len().div_ceil(SEARCHED).max(1);
    let known = of(&train, &|i| i % step == 0)?;
    let (mut groups, mut same, mut shown) = (Vec::new(), 0, 0);
    for query in queries.iter().filter(|query| asked.contains_key(query)) {
        let features = &asked[query];
        // The same image, if validation images are training images, is no neighbour.
        let others = known.iter().filter(|(i, _)| !(Arc::ptr_eq(&train, &val) && *i == query));
        let mut near: Vec<(f64, usize)> = others.map(|(i, other)| (distance(features, other), *i)).collect();
        near.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let label = val.label(*query);
        let mut cells = vec![
            Cell::photograph(thumbnail(picture(&*val, *query)?)).framed(crate::draw::BLUE).line(&classes[label as usize], INK),
        ];
        for (distance, i) in near.into_iter().take(NEIGHBOURS) {
            let other = train.label(i);
            same += usize::from(other == label);
            shown += 1;
            let cell = Cell::photograph(thumbnail(picture(&*train, i)?)).line(&classes[other as usize], INK);
            cells.push(cell.line(format!("distance {distance:.1}"), GREY));
        }
        groups.push(Group { heading: String::new(), cells });
    }
    let note = format!("by Euclidean distance in {layer} of {name}; the framed validation images are the queries");
    let nearest = ContactSheet { note, groups, ..ContactSheet::of("Nearest training images", 1 + NEIGHBOURS, 128, Vec::new()) };
    let mut pictures = Vec::new();
    for (caption, sheet) in
        [("Predictions, as in figure 4 (left)", predictions), ("Nearest images, as in figure 4 (right)", nearest)]
    {
        pictures.push(Picture { caption: caption.into(), image: sheet.scene().pixels()? });
    }
    Ok(Finding {
        ours: format!("{same} of the {shown} nearest images have the query's class"),
        pictures,
        notes: vec![format!("Neighbours are searched among {} training images.", known.len())],
        ..Finding::default()
    })
}

/// Name of the layer whose output the last layer reads, before dropout: `fc7` in most nets.
fn last_hidden(model: &Model) -> Result<String> {
    let parametric = |op: &Op| matches!(op, Op::Conv { .. } | Op::Linear { .. });
    let layers: Vec<&str> =
        model.net.layers.iter().filter(|layer| parametric(&layer.op)).map(|layer| layer.name.as_str()).collect();
    let hidden = layers.len().checked_sub(2).map(|i| layers[i].to_string());
    hidden.ok_or_else(|| Error::Invalid("the net has no hidden layer".into()))
}

fn picture(images: &dyn Dataset, i: usize) -> Result<crate::Image> {
    images.image(i).map_err(|error| error.context(images.name(i)))
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b) * f64::from(a - b)).sum::<f64>().sqrt()
}
