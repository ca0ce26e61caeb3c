//! Parameter naming schemes: each framework's names for AlexNet's weights and biases.

use super::presets;

/// Names of the parameters of a net's eight layers.
#[derive(Debug, PartialEq, Eq)]
pub struct ParamNaming {
    /// Value of `convert --names`. Several naming schemes may belong to one framework.
    pub framework: &'static str,
    /// Human-readable description.
    pub about: &'static str,
    /// Module names of conv1 to conv5 and fc6 to fc8.
    pub layers: [&'static str; 8],
    /// Whether linear weights are [in, out].
    pub linear_in_out: bool,
    /// Whether the linear layers are indexed in an `nn.Sequential`, where dropouts shift the indices.
    pub counted_classifier: bool,
    /// A preset with another naming scheme whose weights can also be written under these names.
    pub also_for: Option<&'static str>,
}

/// Our layer names, which are Caffe's.
const LAYERS: [&str; 8] = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"];

impl ParamNaming {
    /// This program's own scheme, and Caffe's: `conv1.weight` ... `fc8.bias`.
    pub const OWN: ParamNaming = ParamNaming {
        framework: "own",
        about: "this program's names (conv1.weight ... fc8.bias)",
        layers: LAYERS,
        linear_in_out: false,
        counted_classifier: false,
        also_for: None,
    };

    /// All naming schemes: our own first, then those of the presets.
    pub fn all() -> Vec<&'static ParamNaming> {
        let mut all = vec![&Self::OWN];
        for preset in presets::ALL {
            if !all.contains(&preset.naming) {
                all.push(preset.naming);
            }
        }
        all
    }

    /// The accepted values of `convert --names`.
    pub fn frameworks() -> Vec<&'static str> {
        let mut names: Vec<_> = Self::all().iter().map(|naming| naming.framework).collect();
        names.dedup();
        names
    }

    /// A framework's naming scheme for the preset `net`: the preset's own if it belongs to that framework, otherwise the
    /// framework's first scheme that is unique to one preset.
    pub fn of_framework(framework: &str, net: &str) -> Option<&'static ParamNaming> {
        let own = presets::find(net).map(|preset| preset.naming);
        let all = Self::all().into_iter().filter(|naming| naming.framework == framework);
        let mut all: Vec<_> = all.collect();
        all.sort_by_key(|naming| (Some(*naming) != own, naming.preset().is_none()));
        all.first().copied()
    }

    /// Whether it is this program's own.
    pub fn is_own(&self) -> bool {
        *self == Self::OWN
    }

    /// The preset that this naming scheme identifies, if it is unique to one.
    pub fn preset(&self) -> Option<&'static str> {
        let mut named = presets::ALL.iter().filter(|preset| preset.naming == self);
        let first = named.next()?;
        named.next().is_none().then_some(first.name)
    }

    /// The name of one of our parameters (`fc6.weight`) under this scheme, if it has one.
    pub fn of(&self, own: &str) -> Option<String> {
        if self.is_own() {
            return Some(own.into());
        }
        let (layer, part) = own.split_once('.')?;
        let at = LAYERS.iter().position(|known| *known == layer)?;
        Some(format!("{}.{part}", self.layers[at]))
    }

    /// Our name and the scheme's name of every weight and bias, first layer to last.
    pub fn parameters(&self) -> Vec<(String, String)> {
        let row =
            |(own, theirs): (&&str, &&str)| ["weight", "bias"].map(|part| (format!("{own}.{part}"), format!("{theirs}.{part}")));
        LAYERS.iter().zip(&self.layers).flat_map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_naming_has_a_unique_name_for_each_parameter() {
        for naming in ParamNaming::all() {
            let mut names: Vec<String> = naming.parameters().into_iter().map(|(_, theirs)| theirs).collect();
            assert!(names.iter().all(|name| !name.starts_with('.')), "{}", naming.about);
            names.sort();
            names.dedup();
            assert_eq!(names.len(), 16, "{}", naming.about);
        }
        assert_eq!(ParamNaming::frameworks(), ["own", "torchvision", "paddle"]);
    }

    #[test]
    fn a_framework_has_a_naming_for_each_preset() {
        let named = |framework, net| ParamNaming::of_framework(framework, net).map(|naming| naming.layers[7]);
        assert_eq!(named("torchvision", "bvlc"), Some("classifier.6"));
        assert_eq!(named("paddle", "torchvision"), Some("_fc8"));
        assert_eq!(named("paddle", "tutorial-text"), Some("fc3"));
        assert_eq!((named("own", "paddle"), named("keras", "paddle")), (Some("fc8"), None));
        assert_eq!(ParamNaming::OWN.preset(), None);
    }
}
