//! Identification of the net that a file's tensors belong to, with reasons: from our metadata, the file's graph, its parameter
//! names, its shapes, or its checksum. What none of them settles is reported as ambiguous.

use super::equivalence::same_answers;
use super::format::Graph;
use super::model::parameters;
use super::param_names::{Recognised, recognise, strays};
use super::parsed::ParsedFile;
use super::published::{self, PublishedFile};
use super::tensor::Tensor;
use crate::{Error, Result};
use alexnet_net::Net;
use alexnet_net::presets::{ALL, by_name};
use alexnet_net::{Channels, Mean, Preprocess};

/// A net parameter found in a file.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Our name for it.
    pub(crate) name: String,
    /// Index of its tensor.
    pub(crate) tensor: usize,
    /// Whether it is stored as [in, out].
    pub(crate) transposed: bool,
    /// Its shape in our order.
    pub(crate) shape: Vec<usize>,
}

/// Result of identifying a file.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) parameters: Vec<Found>,
    /// Matching nets, the chosen one first.
    pub(crate) fits: Vec<Net>,
    /// Whether the first match is certain.
    pub(crate) decided: bool,
    /// Reasons, one sentence each.
    pub(crate) why: Vec<String>,
    /// Why the file matches none of them, if so.
    pub(crate) against: Option<String>,
    /// Ignored parts and assumptions, one sentence each.
    pub(crate) notes: Vec<String>,
    /// Preprocessing stored in the file.
    pub(crate) preprocess: Option<Preprocess>,
    /// The published file with the same checksum.
    pub(crate) known: Option<&'static PublishedFile>,
}

impl Identity {
    /// A certain match.
    fn of(parameters: Vec<Found>, net: Net) -> Self {
        let (why, notes) = (Vec::new(), Vec::new());
        Identity { parameters, fits: vec![net], decided: true, why, against: None, notes, preprocess: None, known: None }
    }

    /// The net, if it is certain.
    ///
    /// # Errors
    /// The candidates and how to choose one.
    pub(crate) fn net(&self, parsed: &ParsedFile) -> Result<&Net> {
        match self.fits.first() {
            Some(net) if self.decided && self.against.is_none() => Ok(net),
            _ => Err(Error::file(parsed.reader.path(), self.question())),
        }
    }

    /// What is ambiguous and how to resolve it, or what is wrong.
    pub(crate) fn question(&self) -> String {
        if let Some(against) = &self.against {
            return against.clone();
        }
        let names: Vec<_> = self.fits.iter().map(|net| net.name.as_str()).collect();
        match names.as_slice() {
            [] => "its shapes fit no net of `alexnet nets`".into(),
            [first, ..] => {
                format!(
                    "its shapes fit {}, and nothing in the file distinguishes them; choose one, for example --net {first}",
                    names.join(", ")
                )
            }
        }
    }
}

/// Identifies a file's net. `hint` is the preset named by the user.
///
/// # Errors
/// No AlexNet parameters, or a hint that does not match.
pub(crate) fn identify(parsed: &ParsedFile, hint: Option<&str>) -> Result<Identity> {
    let fail = |message: String| Error::file(parsed.reader.path(), message);
    let hinted = hint.map(by_name).transpose()?;
    // Another program has modified a file of ours that has a graph. The graph is what other programs run, so it overrides the
    // metadata.
    let changed = parsed.graph.is_some();
    if let Some(text) = parsed.metadata.get("net").filter(|_| !changed) {
        let net: Net = serde_json::from_str(text).map_err(|e| fail(format!("the net in its metadata is invalid: {e}")))?;
        net.shapes().map_err(|e| fail(e.to_string()))?;
        if hinted.as_ref().is_some_and(|hinted| hinted.name != net.name) {
            return Err(fail(format!("its metadata name the net {}; omit --net", net.name)));
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

/// Takes the net from the file's graph. An equivalent preset supplies its name, dropout and initialisation.
fn by_graph(parsed: &ParsedFile, graph: &Graph, hinted: Option<Net>) -> std::result::Result<Identity, String> {
    let mut parameters = of_graph(graph, &parsed.tensors)?;
    let (size, classes) = (graph.net.image_size, graph.net.classes());
    let presets = ALL.iter().map(|preset| (preset.build)().with_image_size(size).with_classes(classes));
    let preset = presets.into_iter().find(|net| same_answers(net, &graph.net));
    let known = published::find(parsed, classes).map_err(|e| e.to_string())?;
    let mut why = Vec::new();
    let net = match (preset, hinted) {
        (Some(net), Some(hinted)) if net.name != hinted.name => {
            return Err(format!("its layers match {}, not {}; omit --net", net.name, hinted.name));
        }
        (Some(net), _) => {
            why.push(format!("its layers match {} one by one, at {size} pixels", net.name));
            net
        }
        (None, Some(hinted)) => {
            return Err(format!("its layers do not match {}; omit --net to use them unchanged", hinted.name));
        }
        (None, None) => {
            why.push(format!("its layers match no preset; they are used unchanged, at {size} pixels"));
            graph.net.clone()
        }
    };
    why.extend(known.map(|known| format!("it is the published {}", known.file)));
    // A preset may use other layer names, but the order is the same.
    for (found, (name, _)) in parameters.iter_mut().zip(super::model::parameters(&net).map_err(|e| e.to_string())?) {
        found.name = name;
    }
    let specified = graph.preprocess.is_some() || parsed.metadata.contains_key("preprocess") || known.is_some();
    let notes = if specified { Vec::new() } else { vec![assumed_preprocessing(&Preprocess::for_net(&net))] };
    let mut preprocess = graph.preprocess.clone();
    if let (Some(preprocess), false) = (&mut preprocess, graph.resizes) {
        preprocess.resize = Preprocess::for_net(&net).resize;
    }
    Ok(Identity { why, notes, preprocess, known, ..Identity::of(parameters, net) })
}

/// The note on unspecified preprocessing, with the values assumed.
fn assumed_preprocessing(taken: &Preprocess) -> String {
    let order = if taken.channels == Channels::Bgr { "BGR" } else { "RGB" };
    let range = if taken.scale == 1.0 { "0 to 255" } else { "0 to 1" };
    let mean = match &taken.mean {
        Mean::Channel(mean) => format!("{mean:?}"),
        Mean::Image { .. } => "a mean image".into(),
    };
    format!(
        "does not specify its preprocessing; assuming {order} in {range} minus {mean}, divided by {:?}; override \
         with `convert --channels --scale --mean --std`",
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
    let known = published::find(parsed, classes)?;

    let mut why = vec![format!("it has {}", naming.about)];
    let by_names = naming.preset();
    let mut choose = |name: &str| {
        let at = fits.iter().position(|net| net.name == name);
        at.map(|at| fits[..=at].rotate_right(1)).is_some()
    };
    let decided = if let Some(hinted) = hinted {
        let net = hinted.with_classes(classes);
        if let Some(difference) = difference(&net, &parameters) {
            return Err(fail(format!("does not match {}: {difference}", net.name)));
        }
        why.push(format!("you chose {}, and its shapes fit", net.name));
        choose(&net.name)
    } else if let Some(known) = known.filter(|known| known.net.is_some_and(&mut choose)) {
        why.push(format!("it is the published {}", known.file));
        true
    } else if let Some(name) = by_names.filter(|name| choose(name)) {
        why.push(format!("its shapes match {name}"));
        true
    } else if fits.len() == 1 {
        why.push(format!("its shapes fit only {}", fits[0].name));
        true
    } else {
        false
    };
    if !decided {
        fits.sort_by_key(|net| !parsed.format.usual_presets().contains(&net.name.as_str()));
    }
    let strays = strays(&parsed.tensors, &recognised);
    let mut notes: Vec<String> =
        recognised.copies.iter().map(|copy| format!("ignored: a running average of the net, under `{copy}`")).collect();
    if !strays.beside.is_empty() {
        notes.push(format!("ignored, not parameters of the net: {}", a_few(&strays.beside)));
    }
    let against = if fits.is_empty() {
        // The preset suggested by the parameter names is more informative than the last one tried.
        let named = nets().find(|net| by_names == Some(net.name.as_str()));
        let closest = named.or_else(|| nets().rev().max_by_key(|net| agreement(net, &parameters)));
        let mut why = closest.and_then(|net| difference(&net, &parameters)).unwrap_or_default();
        if !strays.within.is_empty() {
            why += &format!("; unrecognised tensors: {}", a_few(&strays.within));
        }
        Some(format!("its shapes fit no net of `alexnet nets`: {why}"))
    } else if !strays.within.is_empty() {
        let which = a_few(&strays.within);
        Some(format!(
            "it has more layers than AlexNet ({which}), which would change its outputs; if they are unused, save it without them"
        ))
    } else {
        None
    };
    Ok(Identity { parameters, fits, decided, why, against, notes, preprocess: None, known })
}

/// Joins the first few names.
fn a_few(names: &[&str]) -> String {
    let more = names.len().saturating_sub(6);
    let shown = names[..names.len() - more].join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

/// Number of parameters in the file whose shape matches the net's.
fn agreement(net: &Net, found: &[Found]) -> usize {
    let expected = parameters(net).unwrap_or_default();
    expected.iter().filter(|(name, shape)| found.iter().any(|f| f.name == *name && f.shape == *shape)).count()
}

/// Describes the first parameter in which a net and a file differ.
pub(crate) fn difference(net: &Net, found: &[Found]) -> Option<String> {
    let expected = match parameters(net) {
        Ok(expected) => expected,
        Err(error) => return Some(error.to_string()),
    };
    for (name, shape) in &expected {
        match found.iter().find(|f| f.name == *name) {
            None => return Some(format!("it lacks {name}, which {} has", net.name)),
            Some(f) if f.shape != *shape => {
                // The right number of maps at another size.
                let inputs = shape.len() == 2 && f.shape.len() == 2 && f.shape[0] == shape[0];
                let hint = if inputs { "; it is for images of another size, or an AlexNet for CIFAR" } else { "" };
                return Some(format!("{name} is {:?}, {} at {} pixels needs {shape:?}{hint}", f.shape, net.name, net.image_size));
            }
            Some(_) => {}
        }
    }
    let more = found.iter().find(|f| !expected.iter().any(|(name, _)| *name == f.name));
    more.map(|f| format!("it has {}, which {} lacks", f.name, net.name))
}

/// Parameters identified by the graph.
fn of_graph(graph: &Graph, tensors: &[Tensor]) -> std::result::Result<Vec<Found>, String> {
    let found = |(name, tensor, transposed): &(String, usize, bool)| {
        let shape = canonical(&tensors[*tensor].shape, *transposed, name.ends_with(".bias"), name.starts_with("fc"));
        Found { name: name.clone(), tensor: *tensor, transposed: *transposed, shape }
    };
    Ok(graph.parameters.iter().map(found).collect())
}

/// Returns a net's parameters if the file has each of them under its exact name and shape. Layers may then have any names: a net
/// of ours whose last layer is fc3 is not necessarily the tutorial's.
pub(crate) fn of_net(parsed: &ParsedFile, net: &Net) -> Option<Vec<Found>> {
    let found = |(name, shape): (String, Vec<usize>)| {
        let transposed = parsed.format.linear_in_out() && shape.len() == 2;
        let theirs = if transposed { vec![shape[1], shape[0]] } else { shape.clone() };
        let tensor = parsed.tensors.iter().position(|tensor| tensor.name == name && tensor.shape == theirs)?;
        Some(Found { name, tensor, transposed, shape })
    };
    parameters(net).ok()?.into_iter().map(found).collect()
}

/// Parameters identified by name. The bias shapes determine the order of the linear weights.
fn of_names(parsed: &ParsedFile) -> std::result::Result<(Recognised, Vec<Found>), String> {
    let tensors = &parsed.tensors;
    let recognised = recognise(&tensors.iter().map(|tensor| tensor.name.as_str()).collect::<Vec<_>>())?;
    let shape_of = |name: &str| {
        let found = recognised.parameters.iter().find(|(own, _)| own == name);
        found.map(|(_, tensor)| tensors[*tensor].shape.as_slice())
    };
    // Square weights are ambiguous; the file's other weights decide, or its naming scheme.
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

/// Converts a shape to our order. A linear layer may be stored as the equivalent convolution over its whole input, [out, c, h,
/// w], and old Caffe files give everything four axes.
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
