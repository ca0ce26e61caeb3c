//! What the presets' rows say of a net by its name: preprocessing, and parameter names in other frameworks.

use super::{ALL, find};
use crate::naming::ParamNaming;
use crate::net::Net;
use crate::preprocess::{Preprocess, Resize};

impl Preprocess {
    /// The preprocessing of the preset with the net's name, scaled to the net's image size; the default preset's for any other
    /// name.
    ///
    /// The paper subtracts a mean image of its training set, which no preset includes. Until the trainer provides a
    /// [`Mean::Image`](crate::Mean::Image), the mean colour is used.
    pub fn for_net(net: &Net) -> Preprocess {
        let preset = find(&net.name).unwrap_or(&ALL[0]);
        let published = preset.preprocess.clone();
        let crop = net.image_size;
        let side = |side: usize| (crop as f64 * side as f64 / published.crop as f64).round() as usize;
        let resize = match published.resize {
            Resize::ShortSide(pixels) => Resize::ShortSide(side(pixels)),
            Resize::Square(pixels) => Resize::Square(side(pixels)),
            Resize::Warp(pixels) => Resize::Warp(side(pixels)),
        };
        Preprocess { resize, crop, ..published }
    }
}

impl ParamNaming {
    /// All naming schemes: our own first, then those of the presets.
    pub fn all() -> Vec<&'static ParamNaming> {
        let mut all = vec![&Self::OWN];
        for preset in ALL {
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
        let own = find(net).map(|preset| preset.naming);
        let all = Self::all().into_iter().filter(|naming| naming.framework == framework);
        let mut all: Vec<_> = all.collect();
        all.sort_by_key(|naming| (Some(*naming) != own, naming.preset().is_none()));
        all.first().copied()
    }

    /// The preset that this naming scheme identifies, if it is unique to one.
    pub fn preset(&self) -> Option<&'static str> {
        let mut named = ALL.iter().filter(|preset| preset.naming == self);
        let first = named.next()?;
        named.next().is_none().then_some(first.name)
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
