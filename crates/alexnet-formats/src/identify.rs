//! Tells which net the tensors of a file belong to, and why: by our own words in the file, by the graph that it holds, by its
//! names, by its shapes, or by its checksum. What none of them settles is left open and said so.

use super::checksums::{self, PublishedFile};
use super::equivalence::same_answers;
use super::format::Graph;
use super::model::parameters;
use super::param_names::{Recognised, recognise, strays};
use super::parsed::ParsedFile;
use super::tensor::Tensor;
use crate::{Error, Result};
use alexnet_net::Net;
use alexnet_net::presets::{ALL, by_name};
use alexnet_net::{Channels, Mean, Preprocess};

/// A parameter of the net found in a file.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Our name.
    pub(crate) name: String,
    /// Number of its tensor.
    pub(crate) tensor: usize,
    /// Whether it is stored [in, out].
    pub(crate) transposed: bool,
    /// Its shape in our order.
    pub(crate) shape: Vec<usize>,
}

/// What is known of a file.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) parameters: Vec<Found>,
    /// The nets that fit, the chosen one first.
    pub(crate) fits: Vec<Net>,
    /// Whether the first of them is surely the file's.
    pub(crate) decided: bool,
    /// Why, a sentence each.
    pub(crate) why: Vec<String>,
    /// What forbids to use it as any of them.
    pub(crate) against: Option<String>,
    /// What of the file was left aside, and what had to be guessed, a sentence each.
    pub(crate) notes: Vec<String>,
    /// Preprocessing that the file itself tells.
    pub(crate) preprocess: Option<Preprocess>,
    /// The published file that this is.
    pub(crate) known: Option<&'static PublishedFile>,
}

impl Identity {
    /// Surely this net's.
    fn of(parameters: Vec<Found>, net: Net) -> Self {
        let (why, notes) = (Vec::new(), Vec::new());
        Identity { parameters, fits: vec![net], decided: true, why, against: None, notes, preprocess: None, known: None }
    }

    /// The net, if it is settled.
    ///
    /// # Errors
    /// What it might be and how to say which.
    pub(crate) fn net(&self, parsed: &ParsedFile) -> Result<&Net> {
        match self.fits.first() {
            Some(net) if self.decided && self.against.is_none() => Ok(net),
            _ => Err(Error::file(parsed.reader.path(), self.question())),
        }
    }

    /// What remains ambiguous and how to say it, or what is wrong.
    pub(crate) fn question(&self) -> String {
        if let Some(against) = &self.against {
            return against.clone();
        }
        let names: Vec<_> = self.fits.iter().map(|net| net.name.as_str()).collect();
        match names.as_slice() {
            [] => "its shapes fit no net of `alexnet nets`".into(),
            [first, ..] => {
                format!("its shapes fit {}, and nothing in it tells which; say --net {first} if it is that one", names.join(", "))
            }
        }
    }
}

/// Identifies a file's net; `hint` is what the user says it is.
///
/// # Errors
/// No parameters of an AlexNet, or a hint that does not fit.
pub(crate) fn identify(parsed: &ParsedFile, hint: Option<&str>) -> Result<Identity> {
    let fail = |message: String| Error::file(parsed.reader.path(), message);
    let hinted = hint.map(by_name).transpose()?;
    // A file of ours with a graph to be read was changed by another program: the graph is what others run, whatever the metadata say.
    let changed = parsed.graph.is_some();
    if let Some(text) = parsed.metadata.get("net").filter(|_| !changed) {
        let net: Net =
            serde_json::from_str(text).map_err(|e| fail(format!("the net in its metadata cannot be understood: {e}")))?;
        net.shapes().map_err(|e| fail(e.to_string()))?;
        if hinted.as_ref().is_some_and(|hinted| hinted.name != net.name) {
            return Err(fail(format!("says of itself that it is {}; leave out --net", net.name)));
        }
        let parameters = match of_net(parsed, &net) {
            Some(parameters) => parameters,
            None => of_names(parsed).map_err(fail)?.1,
        };
        let why = vec![format!("it was written by this program as {}", net.name)];
        return Ok(Identity { why, ..Identity::of(parameters, net) });
    }
    match &parsed.graph {
        Some(Ok(graph)) => by_graph(parsed, graph, hinted).map_err(fail),
        Some(Err(why)) => Err(fail(why.clone())),
        None => by_shape(parsed, hinted),
    }
}

/// The net is in the file; a preset that gives the same answers lends its name, its dropout and its beginnings.
fn by_graph(parsed: &ParsedFile, graph: &Graph, hinted: Option<Net>) -> std::result::Result<Identity, String> {
    let mut parameters = of_graph(graph, &parsed.tensors)?;
    let (size, classes) = (graph.net.image_size, graph.net.classes());
    let presets = ALL.iter().map(|preset| (preset.build)().with_image_size(size).with_classes(classes));
    let preset = presets.into_iter().find(|net| same_answers(net, &graph.net));
    let known = checksums::find(parsed, classes).map_err(|e| e.to_string())?;
    let mut why = Vec::new();
    let net = match (preset, hinted) {
        (Some(net), Some(hinted)) if net.name != hinted.name => {
            return Err(format!("its layers are those of {}, not of {}; leave out --net", net.name, hinted.name));
        }
        (Some(net), _) => {
            why.push(format!("its layers, one by one, are those of {} at {size} pixels", net.name));
            net
        }
        (None, Some(hinted)) => {
            return Err(format!("its layers are not those of {}; leave out --net to use them as they are", hinted.name));
        }
        (None, None) => {
            why.push(format!("its layers are no preset's; they are used as they stand, at {size} pixels"));
            graph.net.clone()
        }
    };
    why.extend(known.map(|known| format!("it is the published {}", known.file)));
    // A preset may name its layers otherwise; their order is the same.
    for (found, (name, _)) in parameters.iter_mut().zip(super::model::parameters(&net).map_err(|e| e.to_string())?) {
        found.name = name;
    }
    let told = graph.preprocess.is_some() || parsed.metadata.contains_key("preprocess") || known.is_some();
    let notes = if told { Vec::new() } else { vec![guess(&Preprocess::for_net(&net))] };
    let mut preprocess = graph.preprocess.clone();
    if let (Some(preprocess), false) = (&mut preprocess, graph.resizes) {
        preprocess.resize = Preprocess::for_net(&net).resize;
    }
    Ok(Identity { why, notes, preprocess, known, ..Identity::of(parameters, net) })
}

/// Says that a file leaves open how images become its input, and what is taken.
fn guess(taken: &Preprocess) -> String {
    let order = if taken.channels == Channels::Bgr { "BGR" } else { "RGB" };
    let range = if taken.scale == 1.0 { "0 to 255" } else { "0 to 1" };
    let mean = match &taken.mean {
        Mean::Channel(mean) => format!("{mean:?}"),
        Mean::Image { .. } => "a mean image".into(),
    };
    format!(
        "does not tell how images become its input; {order} of {range} less {mean}, divided by {:?}, is taken: where it is \
         otherwise, say so with `convert --channels --scale --mean --std`",
        taken.std
    )
}

fn by_shape(parsed: &ParsedFile, hinted: Option<Net>) -> Result<Identity> {
    let fail = |message: String| Error::file(parsed.reader.path(), message);
    let (recognised, parameters) = of_names(parsed).map_err(fail)?;
    let naming = recognised.naming;
    let classes = parameters.iter().find(|p| p.name == "fc8.weight").and_then(|p| p.shape.first().copied()).unwrap_or(0);
    let nets = || ALL.iter().map(|preset| (preset.build)().with_classes(classes));
    let mut fits: Vec<Net> = nets().filter(|net| difference(net, &parameters).is_none()).collect();
    let known = checksums::find(parsed, classes)?;

    let mut why = vec![format!("it has {}", naming.about)];
    let by_names = naming.preset();
    let mut choose = |name: &str| {
        let at = fits.iter().position(|net| net.name == name);
        at.map(|at| fits[..=at].rotate_right(1)).is_some()
    };
    let decided = if let Some(hinted) = hinted {
        let net = hinted.with_classes(classes);
        if let Some(difference) = difference(&net, &parameters) {
            return Err(fail(format!("is no {}: {difference}", net.name)));
        }
        why.push(format!("you say that it is {}, and its shapes fit", net.name));
        choose(&net.name)
    } else if let Some(known) = known.filter(|known| choose(known.net)) {
        why.push(format!("it is the published {}", known.file));
        true
    } else if let Some(name) = by_names.filter(|name| choose(name)) {
        why.push(format!("its shapes are those of {name}"));
        true
    } else if fits.len() == 1 {
        why.push(format!("its shapes fit {} alone", fits[0].name));
        true
    } else {
        false
    };
    if !decided {
        fits.sort_by_key(|net| !parsed.format.usual_presets().contains(&net.name.as_str()));
    }
    let strays = strays(&parsed.tensors, &recognised);
    let mut notes: Vec<String> =
        recognised.copies.iter().map(|copy| format!("left aside: a running average of the net, under `{copy}`")).collect();
    if !strays.beside.is_empty() {
        notes.push(format!("left aside, being no parameters of the net: {}", a_few(&strays.beside)));
    }
    let against = if fits.is_empty() {
        // What it means to be says more than the last of all presets.
        let named = nets().find(|net| by_names == Some(net.name.as_str()));
        let closest = named.or_else(|| nets().rev().max_by_key(|net| agreement(net, &parameters)));
        let mut why = closest.and_then(|net| difference(&net, &parameters)).unwrap_or_default();
        if !strays.within.is_empty() {
            why += &format!("; and of no parameter are {}", a_few(&strays.within));
        }
        Some(format!("its shapes fit no net of `alexnet nets`: {why}"))
    } else if !strays.within.is_empty() {
        let which = a_few(&strays.within);
        Some(format!(
            "it has more layers than an AlexNet ({which}), so its answers are others; if nothing uses them, save it without them"
        ))
    } else {
        None
    };
    Ok(Identity { parameters, fits, decided, why, against, notes, preprocess: None, known })
}

/// The first of some names.
fn a_few(names: &[&str]) -> String {
    let more = names.len().saturating_sub(6);
    let shown = names[..names.len() - more].join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

/// How many parameters of a net a file has in the net's shape.
fn agreement(net: &Net, found: &[Found]) -> usize {
    let wanted = parameters(net).unwrap_or_default();
    wanted.iter().filter(|(name, shape)| found.iter().any(|f| f.name == *name && f.shape == *shape)).count()
}

/// The first parameter in which a net and a file differ, in words.
pub(crate) fn difference(net: &Net, found: &[Found]) -> Option<String> {
    let wanted = match parameters(net) {
        Ok(wanted) => wanted,
        Err(error) => return Some(error.to_string()),
    };
    for (name, shape) in &wanted {
        match found.iter().find(|f| f.name == *name) {
            None => return Some(format!("it lacks {name}, which {} has", net.name)),
            Some(f) if f.shape != *shape => {
                // As many maps as it should have, of another size.
                let inputs = shape.len() == 2 && f.shape.len() == 2 && f.shape[0] == shape[0];
                let guess = if inputs { "; it is for images of another size, or an AlexNet for CIFAR" } else { "" };
                return Some(format!(
                    "{name} is {:?}, {} at {} pixels needs {shape:?}{guess}",
                    f.shape, net.name, net.image_size
                ));
            }
            Some(_) => {}
        }
    }
    let more = found.iter().find(|f| !wanted.iter().any(|(name, _)| *name == f.name));
    more.map(|f| format!("it has {}, which {} lacks", f.name, net.name))
}

/// Parameters that a graph points out.
fn of_graph(graph: &Graph, tensors: &[Tensor]) -> std::result::Result<Vec<Found>, String> {
    let found = |(name, tensor, transposed): &(String, usize, bool)| {
        let shape = canonical(&tensors[*tensor].shape, *transposed, name.ends_with(".bias"), name.starts_with("fc"));
        Found { name: name.clone(), tensor: *tensor, transposed: *transposed, shape }
    };
    Ok(graph.parameters.iter().map(found).collect())
}

/// A net's parameters, if the file has each of them under its own name and in its own shape. Layers may have any names then: a
/// net of ours whose last layer is fc3 is not the tutorial's.
pub(crate) fn of_net(parsed: &ParsedFile, net: &Net) -> Option<Vec<Found>> {
    let found = |(name, shape): (String, Vec<usize>)| {
        let transposed = parsed.format.linear_in_out() && shape.len() == 2;
        let theirs = if transposed { vec![shape[1], shape[0]] } else { shape.clone() };
        let tensor = parsed.tensors.iter().position(|tensor| tensor.name == name && tensor.shape == theirs)?;
        Some(Found { name, tensor, transposed, shape })
    };
    parameters(net).ok()?.into_iter().map(found).collect()
}

/// Parameters by their names; of which order linear weights are is told by their biases.
fn of_names(parsed: &ParsedFile) -> std::result::Result<(Recognised, Vec<Found>), String> {
    let tensors = &parsed.tensors;
    let recognised = recognise(&tensors.iter().map(|tensor| tensor.name.as_str()).collect::<Vec<_>>())?;
    let shape_of = |name: &str| {
        let found = recognised.parameters.iter().find(|(own, _)| own == name);
        found.map(|(_, tensor)| tensors[*tensor].shape.as_slice())
    };
    // Square weights do not tell; then the others of the file do, or its naming.
    let orders = recognised.parameters.iter().filter_map(|(own, _)| {
        let layer = own.strip_suffix(".weight")?;
        let (&[rows, columns], &[bias]) = (shape_of(own)?, shape_of(&format!("{layer}.bias"))?) else { return None };
        (rows != columns).then_some(bias == columns)
    });
    let orders: Vec<bool> = orders.collect();
    let transposed = match orders.as_slice() {
        [] => parsed.format.linear_in_out() || recognised.naming.linear_in_out,
        [first, rest @ ..] if rest.iter().all(|order| order == first) => *first,
        _ => return Err("some of its linear weights are [in, out] and some [out, in]".into()),
    };
    let found = recognised.parameters.iter().map(|(own, tensor)| {
        let shape = &tensors[*tensor].shape;
        let transposed = transposed && shape.len() == 2;
        Found {
            name: own.clone(),
            tensor: *tensor,
            transposed,
            shape: canonical(shape, transposed, own.ends_with(".bias"), own.starts_with("fc")),
        }
    });
    let found = found.collect();
    Ok((recognised, found))
}

/// A shape in our order. A linear layer may be stored as the convolution over its whole input that it is, [out, c, h, w], and in
/// old Caffe files everything has four axes.
fn canonical(shape: &[usize], transposed: bool, bias: bool, linear: bool) -> Vec<usize> {
    match shape {
        [rows, columns] if transposed => vec![*columns, *rows],
        [1, 1, 1, n] if bias => vec![*n],
        [1, 1, out, inputs] if linear => vec![*out, *inputs],
        [out, rest @ ..] if linear && rest.len() == 3 => {
            vec![*out, rest.iter().try_fold(1usize, |product, &n| product.checked_mul(n)).unwrap_or(usize::MAX)]
        }
        _ => shape.to_vec(),
    }
}

#[cfg(test)]
mod tests;
