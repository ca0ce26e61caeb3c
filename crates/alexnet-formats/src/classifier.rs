//! Linear layers of a torchvision-style classifier, wherever they are in the Sequential. People put dropout after a layer instead
//! of before it, or wrap the last layer in its own Sequential, which changes every index.

use super::reader::ParseResult;
use alexnet_net::ParamNaming;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Module wrappers of PyTorch's DataParallel and compile; they may occur within a name.
pub(super) const WRAPPERS: [&str; 2] = ["module", "_orig_mod"];

/// Modules with weights below `classifier`, by prefix and first index: `classifier.6.1` is `["6", "1"]`.
#[derive(Debug, Default)]
pub(super) struct Classifiers<'a>(HashMap<&'a str, BTreeMap<usize, Vec<Vec<&'a str>>>>);

impl<'a> Classifiers<'a> {
    pub(super) fn of(names: &[&'a str]) -> Self {
        let split = |name: &&'a str| split(name);
        let normed: HashSet<_> =
            names.iter().filter_map(split).filter(|(_, _, part)| *part == "running_mean").map(modules).collect();
        let mut all = Classifiers::default();
        for (prefix, path, _) in names.iter().filter_map(split).filter(|(_, _, part)| *part == "weight") {
            let Some(number) = path.first().and_then(|first| first.parse().ok()) else { continue };
            // A batch norm is not a linear layer.
            if !normed.contains(&(prefix, path.clone())) {
                all.0.entry(prefix).or_default().entry(number).or_default().push(path);
            }
        }
        all
    }

    /// Prefixes of the classifiers that have three layers or more.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.0.iter().filter(|(_, layers)| layers.len() > 2).map(|(prefix, _)| *prefix)
    }

    /// Maps our name to the file's name for every weight and bias of a net whose classifier follows this prefix.
    ///
    /// # Errors
    /// A head with several layers, or an unexpected number of layers.
    pub(super) fn names(&self, naming: &ParamNaming, prefix: &str) -> ParseResult<Vec<(String, String)>> {
        let all = naming.parameters();
        let Some(layers) = self.0.get(prefix) else { return Ok(all) };
        let plain = |number: &usize| layers.get(number).is_some_and(|paths| paths.iter().any(|path| path.len() == 1));
        if layers.len() < 3 || [1, 4, 6].iter().all(plain) {
            return Ok(all);
        }
        let named = |path: &Vec<&str>| format!("{prefix}classifier.{}", path.join("."));
        let one_each: Vec<&Vec<&str>> = layers.values().filter_map(|paths| paths.first()).collect();
        if let Some((number, paths)) = layers.iter().find(|(_, paths)| paths.len() > 1) {
            let several: Vec<String> = paths.iter().map(named).take(6).collect();
            let what = if Some((number, paths)) == layers.last_key_value() { "head" } else { "classifier" };
            return Err(format!(
                "its {what} {prefix}classifier.{number} has {} layers with weights ({}); AlexNet has one linear layer there",
                paths.len(),
                several.join(", ")
            ));
        }
        let numbers: Vec<usize> = layers.keys().copied().collect();
        let [fc6, fc7, fc8] = one_each.as_slice() else {
            let shown: Vec<String> = one_each.iter().map(|path| named(path)).take(6).collect();
            let count = one_each.len();
            return Err(format!("its classifier has {count} linear layers ({}); AlexNet has 3", shown.join(", ")));
        };
        // Between two layers are a ReLU and perhaps dropout; they may also be within the block that holds a layer.
        for (i, path) in [fc6, fc7].into_iter().enumerate() {
            let between = numbers[i + 1] - numbers[i] - 1;
            if path.len() == 1 && !(1..=2).contains(&between) {
                return Err(format!(
                    "its classifier has {between} modules between the layers {} and {}; AlexNet has a ReLU there, and optionally \
                     dropout",
                    named(path),
                    named(one_each[i + 1])
                ));
            }
        }
        let theirs = [("fc6.", fc6), ("fc7.", fc7), ("fc8.", fc8)];
        let moved = |(own, standard): (String, String)| {
            let row = theirs.iter().find_map(|(layer, path)| Some((own.strip_prefix(layer)?, path)));
            let name = row.map(|(part, path)| format!("classifier.{}.{part}", path.join(".")));
            (own, name.unwrap_or(standard))
        };
        Ok(all.into_iter().map(moved).collect())
    }

    /// For a classifier without its last layer: the names of its second layer and of the missing one, without the prefix.
    pub(super) fn headless(&self, prefix: &str) -> Option<(String, String)> {
        let layers = self.0.get(prefix)?;
        let numbers: Vec<usize> = layers.keys().copied().collect();
        let &[fc6, fc7] = numbers.as_slice() else { return None };
        let single = layers.values().all(|paths| paths.len() == 1 && paths[0].len() == 1);
        (single && (2..=3).contains(&(fc7 - fc6))).then(|| (format!("classifier.{fc7}"), format!("classifier.{}", fc7 + 2)))
    }
}

fn modules<'a>((prefix, path, _): (&'a str, Vec<&'a str>, &'a str)) -> (&'a str, Vec<&'a str>) {
    (prefix, path)
}

/// Splits a name at its last `classifier` into the prefix, the module path, and the parameter name.
fn split(name: &str) -> Option<(&str, Vec<&str>, &str)> {
    let at = match name.rfind(".classifier.") {
        Some(at) => at + 1,
        None => name.starts_with("classifier.").then_some(0)?,
    };
    let rest = &name[at + "classifier.".len()..];
    let mut path: Vec<&str> = rest.split('.').filter(|part| !WRAPPERS.contains(part)).collect();
    let part = path.pop()?;
    (!path.is_empty() && path.len() <= 4).then_some((&name[..at], path, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(modules: &[&str]) -> ParseResult<Vec<String>> {
        let names: Vec<String> =
            modules.iter().flat_map(|m| ["weight", "bias"].map(|part| format!("net.classifier.{m}.{part}"))).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let table = Classifiers::of(&names).names(ParamNaming::of_framework("torchvision", "torchvision").unwrap(), "net.")?;
        let linear = table.into_iter().filter(|(own, _)| own.starts_with("fc") && own.ends_with("weight"));
        Ok(linear.map(|(_, theirs)| theirs.strip_suffix(".weight").unwrap_or_default().to_string()).collect())
    }

    #[test]
    fn three_linear_layers_are_found_wherever_they_stand() {
        for modules in
            [["1", "4", "6"], ["0", "3", "6"], ["0", "2", "4"], ["1", "4", "7"], ["1", "4", "6.1"], ["0.0", "1.1", "2"]]
        {
            assert_eq!(names(&modules).unwrap(), modules.map(|m| format!("classifier.{m}")));
        }
        // An additional layer is reported elsewhere, by name.
        assert_eq!(names(&["1", "4", "6", "8"]).unwrap(), ["classifier.1", "classifier.4", "classifier.6"]);
    }

    #[test]
    fn other_classifiers_are_refused() {
        for (modules, message) in [
            (
                &["1", "4", "6.0", "6.3"][..],
                "its head net.classifier.6 has 2 layers with weights (net.classifier.6.0, net.classifier.6.3)",
            ),
            (&["0", "1", "2"], "0 modules between the layers net.classifier.0 and net.classifier.1"),
            (&["0", "3", "6", "9"], "4 linear layers"),
        ] {
            let why = names(modules).unwrap_err();
            assert!(why.contains(message), "{why}");
        }
    }
}
