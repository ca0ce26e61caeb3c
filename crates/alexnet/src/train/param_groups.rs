//! Layer lists and per-layer learning rates, as given by the user.

use super::recipe::RateChange;
use crate::net::{Net, Op};
use crate::{Error, Result};
use std::collections::BTreeMap;

/// Alias of the last layer, whatever its name.
pub const HEAD: &str = "head";

/// The layers with weights, first to last.
pub fn with_weights(net: &Net) -> Vec<&str> {
    let has = |op: &Op| matches!(op, Op::Conv { .. } | Op::LocalConv { .. } | Op::Linear { .. } | Op::BatchNorm { .. });
    net.layers.iter().filter(|layer| has(&layer.op)).map(|layer| layer.name.as_str()).collect()
}

/// Parses a list of layers: names, [`HEAD`], and ranges in network order, such as `conv1-conv5,fc7`.
///
/// # Errors
/// A name is not a layer with weights; the message lists those.
pub fn of_list(net: &Net, list: &str) -> Result<Vec<String>> {
    let known = with_weights(net);
    let place = |name: &str| match known.iter().position(|known| *known == name) {
        None if name == HEAD && !known.is_empty() => Some(known.len() - 1),
        place => place,
    };
    let mut found = Vec::new();
    for part in list.split(',').map(str::trim) {
        // A name may itself contain a hyphen.
        let ranges = part.match_indices('-').filter_map(|(at, _)| Some((place(&part[..at])?, place(&part[at + 1..])?)));
        let (from, to) = match place(part) {
            Some(place) => (place, place),
            None => ranges.clone().next().ok_or_else(|| {
                let names = known.join(", ");
                let near = alexnet_hub::nearest_of(part, known.iter().copied().chain([HEAD]));
                let near = near.map_or(String::new(), |near| format!("did you mean {near}? "));
                Error::Invalid(format!(
                    "`{part}` is not a layer of {} with weights; {near}available: {names} (or {HEAD}, or a range such as {}-{})",
                    net.name,
                    known[0],
                    known[known.len() - 1]
                ))
            })?,
        };
        if from > to {
            return Err(Error::Invalid(format!("`{part}`: {} comes after {}", known[from], known[to])));
        }
        found.extend(known[from..=to].iter().map(|name| name.to_string()));
    }
    Ok(found)
}

/// Formats layers as a list for [`of_list`], in network order: `conv1-conv5, fc7`.
pub fn to_list(net: &Net, layers: &[&str]) -> String {
    let known = with_weights(net);
    let has = |i: usize| known.get(i).is_some_and(|name| layers.contains(name));
    let mut parts = Vec::new();
    for from in (0..known.len()).filter(|&i| has(i) && (i == 0 || !has(i - 1))) {
        let to = (from..known.len()).take_while(|&i| has(i)).last().unwrap_or(from);
        parts.push(if from == to { known[from].to_string() } else { format!("{}-{}", known[from], known[to]) });
    }
    parts.join(", ")
}

/// Per-layer learning-rate multipliers by the net's own layer names; 0 freezes. `times` may use [`HEAD`] for the last layer.
///
/// # Errors
/// A name is not a layer with weights, a multiplier is invalid, or every layer is frozen.
pub fn rates(net: &Net, times: &BTreeMap<String, f64>) -> Result<BTreeMap<String, f32>> {
    let mut rates = BTreeMap::new();
    for (name, &times) in times {
        if !(times >= 0.0 && (times as f32).is_finite()) {
            return Err(Error::Invalid(format!("{name}: invalid learning-rate multiplier {times}")));
        }
        rates.extend(of_list(net, name)?.into_iter().map(|name| (name, times as f32)));
    }
    let frozen = |name: &&str| rates.get(*name) == Some(&0.0);
    if with_weights(net).iter().all(frozen) {
        return Err(Error::Invalid("every layer is frozen, so nothing would learn".into()));
    }
    Ok(rates)
}

/// Per-layer weight decay by the net's own layer names. `decays` may use [`HEAD`] for the last layer.
///
/// # Errors
/// A name is not a layer with weights, or a weight decay is invalid.
pub fn weight_decays(net: &Net, decays: &BTreeMap<String, f64>) -> Result<BTreeMap<String, f32>> {
    let mut all = BTreeMap::new();
    for (name, &decay) in decays {
        if !(decay >= 0.0 && (decay as f32).is_finite()) {
            return Err(Error::Invalid(format!("layer_weight_decay: {name}: invalid weight decay {decay}")));
        }
        let found = of_list(net, name).map_err(|error| error.context("layer_weight_decay"))?;
        all.extend(found.into_iter().map(|name| (name, decay as f32)));
    }
    Ok(all)
}

/// Changes of per-layer learning rates in a run of `epochs` epochs: from an epoch on, counted from 0, the multiplier of a layer by the
/// net's own name. Ranges and lists of layers are resolved.
///
/// # Errors
/// A name is not a layer with weights.
pub fn rate_changes(net: &Net, changes: &[RateChange], epochs: usize) -> Result<Vec<(usize, String, f32)>> {
    let mut all = Vec::new();
    for change in changes {
        let layers = of_list(net, &change.layer).map_err(|error| error.context("layer_rate_changes"))?;
        all.extend(layers.into_iter().map(|layer| (change.epoch(epochs), layer, change.times as f32)));
    }
    all.sort_by_key(|(epoch, _, _)| *epoch);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::presets::by_name;

    #[test]
    fn lists_name_layers_ranges_and_the_head() {
        let net = by_name("torchvision").unwrap();
        let list = |text: &str| of_list(&net, text).map_err(|e| e.to_string());
        assert_eq!(list("conv1-conv3").unwrap(), ["conv1", "conv2", "conv3"]);
        assert_eq!(list("fc6").unwrap(), ["fc6"]);
        assert_eq!(list("head, conv5-fc6,conv1").unwrap(), ["fc8", "conv5", "fc6", "conv1"]);
        assert_eq!(list("fc7-head").unwrap(), ["fc7", "fc8"]);
        for wrong in ["conv6", "", "pool1", "conv1-", "conv1-conv9", "conv1,,fc8", "Conv1"] {
            let message = list(wrong).unwrap_err();
            assert!(message.contains("torchvision") && message.contains("conv1, conv2"), "{wrong}: {message}");
        }
        for text in ["conv1-conv3", "fc6", "conv1, conv3-fc7", "conv1-fc8", ""] {
            let layers = if text.is_empty() { Vec::new() } else { list(text).unwrap() };
            assert_eq!(to_list(&net, &layers.iter().map(String::as_str).collect::<Vec<_>>()), text);
        }
        assert!(list("hed").unwrap_err().contains("did you mean head?"));
        assert!(list("fc8-conv1").unwrap_err().contains("fc8 comes after conv1"));
        let mut odd = net.clone();
        odd.layers[0].name = "conv-1".into();
        assert_eq!(of_list(&odd, "conv-1-conv2,conv-1").unwrap(), ["conv-1", "conv2", "conv-1"]);
    }

    #[test]
    fn weight_decays_use_the_nets_own_names() {
        let net = by_name("cifar-11pct").unwrap();
        let of = |pairs: &[(&str, f64)]| weight_decays(&net, &pairs.iter().map(|(name, x)| (name.to_string(), *x)).collect());
        assert_eq!(of(&[("head", 1.0), ("local3", 0.5)]).unwrap(), [("fc10".into(), 1.0), ("local3".into(), 0.5)].into());
        for (name, decay, part) in [("fc8", 1.0, "layer_weight_decay: `fc8`"), ("fc10", -1.0, "-1"), ("fc10", f64::NAN, "NaN")] {
            let message = of(&[(name, decay)]).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn multipliers_use_the_nets_own_names_and_something_must_learn() {
        let net = by_name("torchvision").unwrap();
        let times = |pairs: &[(&str, f64)]| rates(&net, &pairs.iter().map(|(name, x)| (name.to_string(), *x)).collect());
        assert_eq!(times(&[("head", 10.0), ("conv1", 0.0)]).unwrap(), [("conv1".into(), 0.0), ("fc8".into(), 10.0)].into());
        for (pairs, part) in [
            ([("fc9", 1.0)], "fc9"),
            ([("fc8", f64::NAN)], "NaN"),
            ([("fc8", -1.0)], "-1"),
            ([("fc8", 1e300)], "learning-rate multiplier"),
            ([("conv1-fc8", 0.0)], "nothing would learn"),
        ] {
            let message = times(&pairs).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
