//! Recognition of AlexNet parameters among a file's tensors by name, and of other contents: a second net, additional layers.

use super::classifier::{Classifiers, WRAPPERS};
use super::reader::ParseResult;
use super::tensor::{Dtype, Storage, Tensor};
use alexnet_net::ParamNaming;
use std::collections::HashSet;

/// A naming scheme recognised in a file.
#[derive(Debug, Clone)]
pub(crate) struct Recognised {
    pub(crate) naming: &'static ParamNaming,
    /// Prefix of every name, such as `alexnet.`.
    pub(crate) prefix: String,
    /// Our name of each parameter, and its tensor index.
    pub(crate) parameters: Vec<(String, usize)>,
    /// Prefixes of averaged copies of the net, which are ignored.
    pub(crate) copies: Vec<String>,
}

/// Prefix words that mark a running average when the original is also in the file.
const AVERAGED: [&str; 5] = ["ema", "swa", "avg", "average", "averaged"];

/// Buffers that do not affect the outputs.
const COUNTERS: [&str; 2] = ["num_batches_tracked", "n_averaged"];

/// Maximum number of nets examined in one file.
const MOST_NETS: usize = 16;

/// Finds the parameters of the single AlexNet among these tensor names. PyTorch's module wrappers and any shared prefix are
/// skipped. If the file holds a net and its running average, the net is chosen.
///
/// # Errors
/// No AlexNet, a partial one, or several.
pub(crate) fn recognise(names: &[&str]) -> ParseResult<Recognised> {
    let places = places(names);
    if places.len() > MOST_NETS {
        return Err(format!("holds {} AlexNets; save the state_dict of only one", places.len()));
    }
    let (copies, nets): (Vec<_>, Vec<_>) = places.into_iter().partition(|(_, prefix)| averaged(names, prefix));
    let ((naming, prefix), copies) = match (nets.as_slice(), copies.as_slice()) {
        ([], []) => return Err(what_is_missing(names)),
        ([one], copies) => (*one, copies.iter().map(|(_, prefix)| prefix.to_string()).collect()),
        ([], [one]) => (*one, Vec::new()),
        _ => {
            let prefixes: Vec<_> = nets.iter().chain(&copies).map(|(_, prefix)| format!("`{prefix}`")).take(6).collect();
            let (count, prefixes) = (nets.len() + copies.len(), prefixes.join(", "));
            return Err(format!("holds {count} AlexNets, under {prefixes}; save the state_dict of only one"));
        }
    };
    let parameters = own_names(&table(naming, names, prefix)?, naming, names, prefix, &copies);
    Ok(Recognised { naming, prefix: prefix.into(), parameters, copies })
}

/// Whether the first and last layer of one or more AlexNets are among these names.
pub(crate) fn has_net(names: &[&str]) -> bool {
    !places(names).is_empty()
}

/// Tensors that are not parameters of the net.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Strays<'a> {
    /// Under the net's prefix: additional layers.
    pub(crate) within: Vec<&'a str>,
    /// Elsewhere, or of a dtype that is never a weight.
    pub(crate) beside: Vec<&'a str>,
}

/// Lists the other tensors in a file with a recognised net.
pub(crate) fn strays<'a>(tensors: &'a [Tensor], recognised: &Recognised) -> Strays<'a> {
    let used: HashSet<usize> = recognised.parameters.iter().map(|(_, tensor)| *tensor).collect();
    let mut strays = Strays::default();
    for (_, tensor) in tensors.iter().enumerate().filter(|(i, _)| !used.contains(i)) {
        let name = tensor.name.as_str();
        let counter = name.rsplit('.').next().is_some_and(|last| COUNTERS.contains(&last));
        if counter || recognised.copies.iter().any(|copy| name.starts_with(copy)) {
            continue;
        }
        let weights = tensor.dtype.size().is_some() && tensor.count().is_none_or(|len| len > 1);
        let list = if weights && name.starts_with(&recognised.prefix) { &mut strays.within } else { &mut strays.beside };
        list.push(name);
    }
    strays
}

/// Adds a last layer with one output to an AlexNet that lacks only that layer, as a starting point for training. Returns the name
/// of the missing layer, or `None` if nothing was added.
pub(crate) fn add_head(tensors: &mut Vec<Tensor>) -> Option<String> {
    let (naming, before, missing) = headless(&tensors.iter().map(|tensor| tensor.name.as_str()).collect::<Vec<_>>())?;
    let bias = tensors.iter().find(|tensor| tensor.name == format!("{before}.bias"))?;
    let &[inputs] = bias.shape.as_slice() else { return None };
    let shape = if naming.linear_in_out { vec![inputs, 1] } else { vec![1, inputs] };
    for (part, shape) in [("weight", shape), ("bias", vec![1])] {
        let name = format!("{missing}.{part}");
        tensors.push(Tensor { name, shape, dtype: Dtype::F32, storage: Storage::Fill(0.0) });
    }
    Some(missing)
}

/// For an AlexNet without its last layer: its naming, and the names of the second-to-last and the last layer.
fn headless(names: &[&str]) -> Option<(&'static ParamNaming, String, String)> {
    if has_net(names) {
        return None;
    }
    let classifiers = Classifiers::of(names);
    let found: Vec<_> = ParamNaming::all()
        .into_iter()
        .flat_map(|naming| {
            let (first, classifiers) = (naming.of("conv1.weight").unwrap_or_default(), &classifiers);
            let prefixes: Vec<&str> = names.iter().filter_map(|name| before(name, &first)).take(MOST_NETS).collect();
            prefixes.into_iter().filter_map(move |prefix| {
                let layer = |own: &str| naming.of(own).and_then(|name| Some(name.strip_suffix(".weight")?.to_string()));
                let (fc7, last) = match naming.counted_classifier {
                    true => classifiers.headless(prefix)?,
                    false => (layer("fc7.weight")?, layer("fc8.weight")?),
                };
                let (fc7, last) = (format!("{prefix}{fc7}"), format!("{prefix}{last}"));
                names.contains(&format!("{fc7}.weight").as_str()).then_some((naming, fc7, last))
            })
        })
        .collect();
    // Two candidates are ambiguous.
    if let [_] = found.as_slice() { found.into_iter().next() } else { None }
}

/// Maps our names to the file's names of a naming scheme's weights and biases.
fn table(naming: &ParamNaming, names: &[&str], prefix: &str) -> ParseResult<Vec<(String, String)>> {
    if naming.counted_classifier { Classifiers::of(names).names(naming, prefix) } else { Ok(naming.parameters()) }
}

/// Each naming and prefix under which both the first and the last layer are present.
fn places<'a>(names: &[&'a str]) -> Vec<(&'static ParamNaming, &'a str)> {
    let mut places = Vec::new();
    for naming in ParamNaming::all() {
        let (Some(first), Some(last)) = (naming.of("conv1.weight"), naming.of("fc8.weight")) else { continue };
        let mut ends: HashSet<&str> = names.iter().filter_map(|name| before(name, &last)).collect();
        if naming.counted_classifier {
            ends.extend(Classifiers::of(names).prefixes());
        }
        let starts = names.iter().filter_map(|name| before(name, &first)).filter(|prefix| ends.contains(prefix));
        places.extend(starts.map(|prefix| (naming, prefix)));
    }
    places
}

/// The prefix of `theirs` in a name that ends with it, including its dot.
fn before<'a>(name: &'a str, theirs: &str) -> Option<&'a str> {
    let mut left = name;
    for part in theirs.rsplit('.') {
        loop {
            let whole = left.strip_suffix('.').unwrap_or(left);
            let start = whole.rfind('.').map_or(0, |dot| dot + 1);
            left = &name[..start];
            if &whole[start..] == part {
                break;
            }
            if !WRAPPERS.contains(&&whole[start..]) {
                return None;
            }
        }
    }
    Some(left)
}

/// Whether a prefix belongs to a running average, by its words or by the counter of PyTorch's AveragedModel.
fn averaged(names: &[&str], prefix: &str) -> bool {
    let counter = format!("{}n_averaged", prefix.strip_suffix("module.").unwrap_or(prefix));
    prefix.split(['.', '_']).any(|word| AVERAGED.contains(&word))
        || (prefix.ends_with("module.") && names.contains(&counter.as_str()))
}

/// Our names of all tensors under a prefix. Our own nets may have more layers than AlexNet (`conv6`).
fn own_names(
    table: &[(String, String)],
    naming: &ParamNaming,
    names: &[&str],
    prefix: &str,
    copies: &[String],
) -> Vec<(String, usize)> {
    let kept = names.iter().enumerate().filter(|(_, name)| !copies.iter().any(|copy| name.starts_with(copy)));
    if naming.is_own() {
        let parts = [".weight", ".bias", ".running_mean", ".running_var"];
        let own = kept.filter_map(|(i, name)| Some((without_wrappers(name.strip_prefix(prefix)?), i)));
        return own.filter(|(name, _)| parts.iter().any(|part| name.ends_with(part))).collect();
    }
    let own = |name: &str| table.iter().find(|(_, theirs)| before(name, theirs) == Some(prefix)).map(|(own, _)| own.clone());
    kept.filter_map(|(i, name)| Some((own(name)?, i))).collect()
}

fn without_wrappers(name: &str) -> String {
    name.split('.').filter(|part| !WRAPPERS.contains(part)).collect::<Vec<_>>().join(".")
}

/// Advice for a net without its last layer.
pub(crate) const WITHOUT_HEAD: &str = "its last layer, so it has no classes; `alexnet train --from` trains a new one";

/// Explains why no net was found: a missing last layer, or unrelated names.
fn what_is_missing(names: &[&str]) -> String {
    if let Some((naming, _, missing)) = headless(names) {
        let whose = naming.about.split(" (").next().unwrap_or_default();
        return format!("has {whose}, but lacks {missing}.weight, {}", WITHOUT_HEAD);
    }
    let trunk = |naming: &'static ParamNaming| {
        let first = naming.of("conv1.weight")?;
        let prefix = names.iter().find_map(|name| before(name, &first))?;
        let found = own_names(&naming.parameters(), naming, names, prefix, &[]);
        let known = found
            .iter()
            .filter(|(own, _)| naming.of(own).is_some_and(|theirs| naming.parameters().iter().any(|row| row.1 == theirs)));
        Some((known.count(), naming, prefix))
    };
    // On a tie, the first: our own naming.
    match ParamNaming::all().into_iter().filter_map(trunk).rev().max_by_key(|(known, ..)| *known) {
        Some((known, naming, prefix)) if known > 2 => {
            let last = naming.of("fc8.weight").unwrap_or_default();
            let whose = naming.about.split(" (").next().unwrap_or_default();
            format!("has {whose}, but lacks {prefix}{last}: without its last layer it cannot classify")
        }
        _ => {
            let some: Vec<_> = names.iter().take(4).copied().collect();
            format!("its names are not those of an AlexNet ({} ...)", some.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{Dtype, Storage};

    fn torchvision() -> &'static ParamNaming {
        ParamNaming::of_framework("torchvision", "torchvision").unwrap()
    }

    fn torchvisions(prefix: &str) -> Vec<String> {
        torchvision().parameters().into_iter().map(|(_, theirs)| format!("{prefix}{theirs}")).collect()
    }

    fn found(names: &[String]) -> ParseResult<Recognised> {
        recognise(&names.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[test]
    fn wrappers_within_a_name_are_skipped() {
        assert_eq!(before("features.module.0.weight", "features.0.weight"), Some(""));
        assert_eq!(before("a.module.features.0.weight", "features.0.weight"), Some("a.module."));
        assert_eq!(before("my_features.0.weight", "features.0.weight"), None);
        assert_eq!(before("0.weight", "features.0.weight"), None);
    }

    #[test]
    fn two_nets_are_ambiguous_but_a_running_average_is_ignored() {
        let both = |a: &str, b: &str| [torchvisions(a), torchvisions(b)].concat();
        let why = found(&both("encoder_q.", "encoder_k.")).unwrap_err();
        assert!(why.contains("2 AlexNets") && why.contains("`encoder_q.`") && why.contains("`encoder_k.`"), "{why}");
        assert!(found(&both("", "module.")).is_err());
        for (net, copy) in [("model.", "ema_model."), ("", "swa.module."), ("net.", "model_ema.module.")] {
            for names in [both(net, copy), both(copy, net)] {
                let found = found(&names).unwrap();
                assert_eq!((found.prefix.as_str(), found.copies.as_slice()), (net, [copy.to_string()].as_slice()));
                assert!(found.parameters.len() == 16 && found.parameters.iter().all(|(_, i)| names[*i].starts_with(net)));
                assert!(found.parameters.iter().all(|(_, i)| !names[*i].starts_with(copy)));
            }
        }
        // PyTorch's AveragedModel: a copy if the original is present, otherwise the net itself.
        let counter = vec!["n_averaged".to_string()];
        assert_eq!(found(&[both("", "module."), counter.clone()].concat()).unwrap().copies, ["module."]);
        assert_eq!(found(&[torchvisions("module."), counter].concat()).unwrap().prefix, "module.");
    }

    #[test]
    fn a_trunk_reports_its_missing_layer() {
        let mut names = torchvisions("backbone.");
        names.truncate(10);
        let why = found(&names).unwrap_err();
        assert!(why.contains("lacks backbone.classifier.6.weight"), "{why}");
        assert!(found(&["a.weight".into()]).unwrap_err().contains("not those of an AlexNet (a.weight"));
    }

    #[test]
    fn stray_tensors_are_within_the_net_or_beside_it() {
        let look = |prefix: &str, more: &[(&str, usize, Dtype)]| {
            let tensor = |name: &str, len: usize, dtype| Tensor {
                name: name.into(),
                shape: vec![len],
                dtype,
                storage: Storage::Fill(0.0),
            };
            let mut tensors: Vec<_> = torchvisions(prefix).iter().map(|name| tensor(name, 4, Dtype::F32)).collect();
            tensors.extend(more.iter().map(|&(name, len, dtype)| tensor(name, len, dtype)));
            let names: Vec<_> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
            let Strays { within, beside } = strays(&tensors, &recognise(&names).unwrap());
            let owned = |names: Vec<&str>| names.into_iter().map(String::from).collect::<Vec<_>>();
            (owned(within), owned(beside))
        };
        let none = Vec::<String>::new;
        let (f32, i64) = (Dtype::F32, Dtype::Other("i64"));
        assert_eq!(look("", &[("classifier.8.weight", 8, f32)]), (vec!["classifier.8.weight".into()], none()));
        assert_eq!(look("model.", &[("loss.weight", 10, f32)]), (none(), vec!["loss.weight".into()]));
        assert_eq!(look("1.", &[("0.mean", 3, f32)]), (none(), vec!["0.mean".into()]));
        assert_eq!(look("", &[("step", 1, f32), ("seen", 9, i64)]), (none(), vec!["step".into(), "seen".into()]));
        assert_eq!(look("", &[("bn.num_batches_tracked", 1, i64), ("n_averaged", 1, i64)]), (none(), none()));
    }
}
