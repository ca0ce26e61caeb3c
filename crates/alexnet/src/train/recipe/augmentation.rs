//! Augmentation of the training images, as a recipe's table `[augment]`.

use super::Recipe;
use crate::data::loader::{Augment, Crop, Mix};
use crate::image::augment::{ColorJitter, Interpolation, Policy, RandomAffine, Steps};
use crate::image::pca_noise::ColourNoise;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Augmentation of the training images: the steps of the table `[augment]`, applied in the order of the fields. All are off by
/// default, except that crops are mirrored with probability 0.5.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augmentation {
    /// Crop.
    pub kind: CropKind,
    /// Smallest and largest fraction of the image's pixels that `random_resized_crop` takes [default: 0.08, 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<[f32; 2]>,
    /// Smallest and largest aspect ratio, width / height, of `random_resized_crop` [default: 3/4, 4/3].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<[f32; 2]>,
    /// Short side in pixels to which larger images are reduced before `random_resized_crop`, so that more of them fit into the cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_side: Option<usize>,
    /// Probability of mirroring left to right [default: 0.5, or 0 without a random crop].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flip: Option<f64>,
    /// Probability of turning upside down.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub vertical_flip: f64,
    /// Maximum rotation in degrees, either way.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rotation: f64,
    /// Maximum translation as a fraction of each side.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub translate: f64,
    /// Smallest and largest scale factor.
    #[serde(default = "defaults::zoom", skip_serializing_if = "defaults::is_zoom")]
    pub zoom: [f64; 2],
    /// Maximum shear along x in degrees, either way.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub shear: f64,
    /// Sampling of rotated and sheared images [default: nearest, for AugMix bilinear].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interpolation: Option<Interpolation>,
    /// Automatic augmentation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto: Option<Auto>,
    /// Number of operations of RandAugment.
    #[serde(default = "defaults::operations", skip_serializing_if = "defaults::is_operations")]
    pub auto_operations: usize,
    /// Magnitude of RandAugment's operations, 0 to 30.
    #[serde(default = "defaults::magnitude", skip_serializing_if = "defaults::is_magnitude")]
    pub auto_magnitude: usize,
    /// Maximum change of the brightness factor from 1.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub brightness: f64,
    /// Maximum change of the contrast factor from 1.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub contrast: f64,
    /// Maximum change of the saturation factor from 1.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub saturation: f64,
    /// Maximum shift of hues in turns, up to 0.5.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hue: f64,
    /// Probability of removing colours.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub grayscale: f64,
    /// Probability of a Gaussian blur.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub blur: f64,
    /// Smallest and largest standard deviation of the blur in pixels.
    #[serde(default = "defaults::blur_sigma", skip_serializing_if = "defaults::is_blur_sigma")]
    pub blur_sigma: [f64; 2],
    /// Probability of erasing a random rectangle of the normalised image.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub erasing: f64,
    /// Parameter alpha of mixup; 0: no mixup.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub mixup: f64,
    /// Parameter alpha of CutMix; 0: no CutMix. With both, a batch gets either with probability 0.5.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cutmix: f64,
    /// Probability that a batch is mixed.
    #[serde(default = "defaults::mix_probability", skip_serializing_if = "defaults::is_mix_probability")]
    pub mix_probability: f64,
    /// Epochs at the end without mixup and CutMix: below 1 a fraction of the run, otherwise a number.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub mix_off_last: f64,
}

/// Crop of the training images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CropKind {
    /// The centre.
    #[default]
    None,
    /// The paper's: random crop of the resized image, mirrored.
    CropMirror,
    /// torchvision's: crop of random area and aspect ratio from the original image, resized, mirrored.
    RandomResizedCrop,
}

/// Automatic augmentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auto {
    /// TrivialAugmentWide (Müller and Hutter 2021).
    Trivial,
    /// RandAugment (Cubuk et al. 2020).
    Rand,
    /// AugMix (Hendrycks et al. 2020).
    AugMix,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(x: &f64) -> bool {
    *x == 0.0
}

/// Defaults other than 0, which are not stored.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls them so")]
mod defaults {
    pub(super) fn zoom() -> [f64; 2] {
        [1.0, 1.0]
    }

    pub(super) fn is_zoom(range: &[f64; 2]) -> bool {
        *range == zoom()
    }

    pub(super) fn operations() -> usize {
        2
    }

    pub(super) fn is_operations(count: &usize) -> bool {
        *count == operations()
    }

    pub(super) fn magnitude() -> usize {
        9
    }

    pub(super) fn is_magnitude(number: &usize) -> bool {
        *number == magnitude()
    }

    pub(super) fn blur_sigma() -> [f64; 2] {
        [0.1, 2.0]
    }

    pub(super) fn is_blur_sigma(range: &[f64; 2]) -> bool {
        *range == blur_sigma()
    }

    pub(super) fn mix_probability() -> f64 {
        1.0
    }

    pub(super) fn is_mix_probability(probability: &f64) -> bool {
        *probability == mix_probability()
    }
}

impl Augmentation {
    /// No augmentation.
    pub fn none() -> Augmentation {
        Augmentation {
            kind: CropKind::None,
            scale: None,
            ratio: None,
            short_side: None,
            flip: None,
            vertical_flip: 0.0,
            rotation: 0.0,
            translate: 0.0,
            zoom: defaults::zoom(),
            shear: 0.0,
            interpolation: None,
            auto: None,
            auto_operations: defaults::operations(),
            auto_magnitude: defaults::magnitude(),
            brightness: 0.0,
            contrast: 0.0,
            saturation: 0.0,
            hue: 0.0,
            grayscale: 0.0,
            blur: 0.0,
            blur_sigma: defaults::blur_sigma(),
            erasing: 0.0,
            mixup: 0.0,
            cutmix: 0.0,
            mix_probability: defaults::mix_probability(),
            mix_off_last: 0.0,
        }
    }

    /// The paper's crops.
    pub fn crop_mirror() -> Augmentation {
        Augmentation { kind: CropKind::CropMirror, ..Augmentation::none() }
    }

    /// Whether an image is the same in every epoch, apart from mixing.
    pub fn is_fixed(&self) -> bool {
        self.augment(1, None).is_fixed()
    }

    /// Whether batches are mixed.
    pub fn mixes(&self) -> bool {
        self.augment(1, None).mix.is_on()
    }

    /// The loader's augmentation in a run of this many epochs.
    fn augment(&self, epochs: usize, colour: Option<ColourNoise>) -> Augment {
        let pair = |[low, high]: [f32; 2]| (low, high);
        let crop = match self.kind {
            CropKind::None => Crop::Centre,
            CropKind::CropMirror => Crop::Random,
            CropKind::RandomResizedCrop => Crop::RandomResized {
                scale: pair(self.scale.unwrap_or([0.08, 1.0])),
                ratio: pair(self.ratio.unwrap_or([3.0 / 4.0, 4.0 / 3.0])),
                short_side: self.short_side,
            },
        };
        let wide = |[low, high]: [f64; 2]| (low, high);
        let policy = self.auto.map(|auto| match auto {
            Auto::Trivial => Policy::Trivial,
            Auto::Rand => Policy::Rand { operations: self.auto_operations, magnitude: self.auto_magnitude },
            Auto::AugMix => Policy::AugMix,
        });
        let steps = Steps {
            affine: RandomAffine { degrees: self.rotation, translate: self.translate, zoom: wide(self.zoom), shear: self.shear },
            policy,
            jitter: ColorJitter {
                brightness: self.brightness,
                contrast: self.contrast,
                saturation: self.saturation,
                hue: self.hue,
            },
            grayscale: self.grayscale,
            blur: self.blur,
            blur_sigma: wide(self.blur_sigma),
            interpolation: self.interpolation,
        };
        let off = if self.mix_off_last < 1.0 { self.mix_off_last * epochs as f64 } else { self.mix_off_last };
        let mix = Mix {
            mixup: self.mixup,
            cutmix: self.cutmix,
            probability: self.mix_probability,
            epochs: (epochs as u64).saturating_sub(off.round() as u64),
        };
        Augment {
            crop,
            flip: self.flip.unwrap_or(if crop == Crop::Centre { 0.0 } else { 0.5 }),
            vertical_flip: self.vertical_flip,
            steps,
            // The colour noise belongs to the random views.
            colour: colour.filter(|_| crop != Crop::Centre),
            erasing: self.erasing,
            mix,
        }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// A message that names the key.
    pub(super) fn check(&self) -> Result<()> {
        let invalid = |key: &str, value: &dyn std::fmt::Display, range: &str| {
            Err(Error::Invalid(format!("invalid augment.{key} {value}: must be {range}")))
        };
        let probability = "from 0 to 1";
        for (key, value, most, range) in [
            ("flip", self.flip.unwrap_or(0.0), 1.0, probability),
            ("vertical_flip", self.vertical_flip, 1.0, probability),
            ("rotation", self.rotation, 180.0, "from 0 to 180 degrees"),
            ("translate", self.translate, 1.0, "a fraction from 0 to 1"),
            ("shear", self.shear, 80.0, "from 0 to 80 degrees"),
            ("brightness", self.brightness, 100.0, "from 0 to 100"),
            ("contrast", self.contrast, 100.0, "from 0 to 100"),
            ("saturation", self.saturation, 100.0, "from 0 to 100"),
            ("hue", self.hue, 0.5, "from 0 to 0.5 turns"),
            ("grayscale", self.grayscale, 1.0, probability),
            ("blur", self.blur, 1.0, probability),
            ("erasing", self.erasing, 1.0, probability),
            ("mixup", self.mixup, 1000.0, "from 0 to 1000"),
            ("cutmix", self.cutmix, 1000.0, "from 0 to 1000"),
            ("mix_probability", self.mix_probability, 1.0, probability),
            ("mix_off_last", self.mix_off_last, 1e9, "at least 0 and finite"),
        ] {
            if !(0.0..=most).contains(&value) {
                return invalid(key, &value, range);
            }
        }
        // Shares of a smaller alpha are 0 or 1 to the last bit, and the logarithms of its variables overflow.
        for (key, alpha) in [("mixup", self.mixup), ("cutmix", self.cutmix)] {
            if alpha != 0.0 && alpha < 0.001 {
                return invalid(key, &alpha, "0, or from 0.001 to 1000");
            }
        }
        let wide = |range: Option<[f32; 2]>| range.map(|range| range.map(f64::from));
        for (key, range, least, most) in [
            ("scale", wide(self.scale), 1e-6, 1.0),
            ("ratio", wide(self.ratio), 0.01, 100.0),
            ("zoom", Some(self.zoom), 0.01, 100.0),
            ("blur_sigma", Some(self.blur_sigma), 0.01, 50.0),
        ] {
            let Some([low, high]) = range else { continue };
            // A little less, for what single precision rounds down.
            if !(low >= 0.999 * least && low <= high && high <= most) {
                return invalid(key, &format!("[{low}, {high}]"), &format!("two increasing numbers from {least} to {most}"));
            }
        }
        if let Some(side) = self.short_side.filter(|side| !(16..=8192).contains(side)) {
            return invalid("short_side", &side, "from 16 to 8192 pixels");
        }
        if !(1..=20).contains(&self.auto_operations) {
            return invalid("auto_operations", &self.auto_operations, "from 1 to 20");
        }
        if self.auto_magnitude > 30 {
            return invalid("auto_magnitude", &self.auto_magnitude, "from 0 to 30");
        }
        let of_resized =
            [("scale", self.scale.is_some()), ("ratio", self.ratio.is_some()), ("short_side", self.short_side.is_some())];
        for (key, is_given) in of_resized {
            if is_given && self.kind != CropKind::RandomResizedCrop {
                return Err(Error::Invalid(format!("augment.{key} needs augment.kind = \"random_resized_crop\"")));
            }
        }
        Ok(())
    }
}

impl Recipe {
    /// The loader's augmentation; `colour` is the recipe's colour noise with the components of the training images.
    pub(super) fn augment_with(&self, colour: Option<ColourNoise>) -> Augment {
        self.augment.augment(self.epochs, colour)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{NAMES, by_name};
    use super::*;

    /// What earlier versions stored.
    #[test]
    fn stored_forms_are_unchanged() {
        let stored = |name: &str| serde_json::to_string(&by_name(name).unwrap().without_batch_norm().augment).unwrap();
        for name in NAMES {
            let expected = match name {
                "torchvision" => r#"{"kind":"random_resized_crop","scale":[0.08,1.0],"ratio":[0.75,1.3333334]}"#,
                "cifar-18pct" => r#"{"kind":"none"}"#,
                _ => r#"{"kind":"crop_mirror"}"#,
            };
            assert_eq!(stored(name), expected, "{name}");
        }
        assert_eq!(serde_json::to_string(&Augmentation::none()).unwrap(), r#"{"kind":"none"}"#);
    }

    #[test]
    fn earlier_recipes_have_the_loaders_of_before() {
        let of = |name: &str| Augment { mix: Mix::default(), ..by_name(name).unwrap().without_batch_norm().augment(None) };
        assert_eq!(of("quick"), Augment::crop_mirror());
        assert_eq!(of("torchvision"), Augment::random_resized_crop());
        assert_eq!(Augment { mix: Mix::default(), ..Augmentation::none().augment(1, None) }, Augment::none());
        assert!(NAMES.iter().all(|name| !by_name(name).unwrap().augment.mixes()));
        assert!(Augmentation::none().is_fixed() && !Augmentation::crop_mirror().is_fixed());
    }

    #[test]
    fn every_step_is_read_and_has_limits() {
        let all = r#"
kind = "random_resized_crop"
scale = [0.35, 1.0]
ratio = [0.8, 1.25]
short_side = 256
flip = 0.3
vertical_flip = 0.1
rotation = 10
translate = 0.1
zoom = [0.9, 1.1]
shear = 5
interpolation = "bilinear"
auto = "rand"
auto_operations = 3
auto_magnitude = 7
brightness = 0.4
contrast = 0.4
saturation = 0.4
hue = 0.1
grayscale = 0.2
blur = 0.1
blur_sigma = [0.1, 1.5]
erasing = 0.25
mixup = 0.2
cutmix = 1
mix_probability = 0.8
mix_off_last = 0.1
"#;
        let read: Augmentation = toml::from_str(all).unwrap();
        read.check().unwrap();
        assert_eq!(toml::from_str::<Augmentation>(&toml::to_string(&read).unwrap()).unwrap(), read);
        let augment = read.augment(30, None);
        assert_eq!((augment.mix.epochs, augment.flip, augment.steps.jitter.hue), (27, 0.3, 0.1));
        assert_eq!(augment.steps.policy, Some(Policy::Rand { operations: 3, magnitude: 7 }));
        assert_eq!(Augmentation { mix_off_last: 4.0, ..read }.augment(30, None).mix.epochs, 26);
        assert_eq!(Augmentation { mix_off_last: 40.0, ..read }.augment(30, None).mix.epochs, 0);
        for (key, value) in [
            ("flip", "1.1"),
            ("vertical_flip", "-0.1"),
            ("rotation", "181"),
            ("translate", "nan"),
            ("shear", "90"),
            ("zoom", "[0, 1]"),
            ("zoom", "[2, 1]"),
            ("brightness", "-1"),
            ("contrast", "inf"),
            ("saturation", "1e9"),
            ("hue", "0.6"),
            ("grayscale", "2"),
            ("blur", "2"),
            ("blur_sigma", "[0, 1]"),
            ("erasing", "2"),
            ("mixup", "-1"),
            ("cutmix", "1e-9"),
            ("mix_probability", "1.5"),
            ("mix_off_last", "-1"),
            ("scale", "[0.1, 1.5]"),
            ("ratio", "[0, 1]"),
            ("short_side", "0"),
            ("auto_operations", "21"),
            ("auto_magnitude", "31"),
        ] {
            let changed: String = all.lines().filter(|line| !line.starts_with(&format!("{key} "))).collect::<Vec<_>>().join("\n");
            let changed: Augmentation = toml::from_str(&format!("{changed}\n{key} = {value}\n")).unwrap();
            let message = changed.check().unwrap_err().to_string();
            assert!(message.contains(&format!("augment.{key}")), "{key} = {value}: {message}");
        }
        let text = "kind = \"none\"\nscale = [0.1, 1.0]";
        let message = toml::from_str::<Augmentation>(text).unwrap().check().unwrap_err().to_string();
        assert!(message.contains("augment.scale needs augment.kind"), "{message}");
        assert!(toml::from_str::<Augmentation>("kind = \"none\"\nhues = 1").unwrap_err().to_string().contains("hues"));
    }
}
