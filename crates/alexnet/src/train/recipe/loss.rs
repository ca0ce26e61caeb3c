//! Loss settings of a recipe: label smoothing, focal exponent, class weights.

use crate::data::Dataset;
use crate::engine::Criterion;
use crate::{Error, Result};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// Loss of a recipe; the default is plain cross-entropy. Validation always reports plain cross-entropy.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossSettings {
    /// Label smoothing, as in `torch.nn.CrossEntropyLoss`; 0: none.
    #[serde(skip_serializing_if = "is_zero")]
    pub smoothing: f64,
    /// Exponent gamma of the focal loss (Lin et al. 2017; usually 2); 0: cross-entropy.
    #[serde(skip_serializing_if = "is_zero")]
    pub focal: f64,
    /// Class weights; `None`: all 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<ClassWeights>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// Weights of the classes in the loss.
#[derive(Debug, Clone, PartialEq)]
pub enum ClassWeights {
    /// `"auto"`: inversely proportional to the classes' numbers of training images, with a mean of 1 over the images:
    /// images / (classes * images of the class).
    Auto,
    /// By class name; 1 for others.
    Given(BTreeMap<String, f64>),
}

impl LossSettings {
    /// Whether it is plain cross-entropy.
    pub fn is_plain(&self) -> bool {
        *self == LossSettings::default()
    }

    /// Validates the settings.
    ///
    /// # Errors
    /// A message that names the invalid setting.
    pub fn check(&self) -> Result<()> {
        let invalid =
            |what: &str, value: f64, range: &str| Err(Error::Invalid(format!("loss: invalid {what} {value}: must be {range}")));
        if !(0.0..1.0).contains(&self.smoothing) {
            return invalid("smoothing", self.smoothing, "at least 0 and below 1");
        }
        if !(self.focal >= 0.0 && self.focal.is_finite()) {
            return invalid("focal", self.focal, "at least 0 and finite");
        }
        if let Some(ClassWeights::Given(weights)) = &self.class_weights {
            let is_positive = |weight: f64| weight > 0.0 && (weight as f32).is_normal();
            if let Some((class, &weight)) = weights.iter().find(|(_, weight)| !is_positive(**weight)) {
                return invalid(&format!("class_weights of `{class}`:"), weight, "positive and finite");
            }
        }
        Ok(())
    }

    /// The loss for training on a data set; `None` if it is plain cross-entropy.
    ///
    /// # Errors
    /// A weight for a class that the data set does not have.
    pub fn criterion(&self, train: &dyn Dataset) -> Result<Option<Criterion>> {
        let class_weights = match &self.class_weights {
            None => Vec::new(),
            Some(ClassWeights::Auto) => balancing(&class_counts(train)),
            Some(ClassWeights::Given(weights)) => given(weights, train.classes())?,
        };
        let criterion = Criterion { smoothing: self.smoothing, focal: self.focal, class_weights };
        Ok((!criterion.is_plain()).then_some(criterion))
    }
}

/// Number of images of each class.
pub(crate) fn class_counts(images: &dyn Dataset) -> Vec<usize> {
    let mut counts = vec![0; images.classes().len()];
    (0..images.len()).for_each(|i| counts[images.label(i) as usize] += 1);
    counts
}

/// Weights that make every class count the same; 1 for classes without images.
fn balancing(counts: &[usize]) -> Vec<f32> {
    let (images, classes) = (counts.iter().sum::<usize>(), counts.iter().filter(|&&count| count > 0).count());
    let weight = |&count: &usize| if count == 0 { 1.0 } else { images as f64 / (classes * count) as f64 };
    counts.iter().map(|count| weight(count) as f32).collect()
}

fn given(weights: &BTreeMap<String, f64>, classes: &[String]) -> Result<Vec<f32>> {
    if let Some(name) = weights.keys().find(|name| !classes.contains(name)) {
        let some: Vec<&str> = classes.iter().take(10).map(String::as_str).collect();
        let more = if classes.len() > some.len() { ", ..." } else { "" };
        let message =
            format!("class weights: `{name}` is not a class of the data set; its classes are {}{more}", some.join(", "));
        return Err(Error::Invalid(message));
    }
    Ok(classes.iter().map(|class| weights.get(class).map_or(1.0, |&weight| weight as f32)).collect())
}

const AUTO: &str = "auto";

impl Serialize for ClassWeights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            ClassWeights::Auto => serializer.serialize_str(AUTO),
            ClassWeights::Given(weights) => weights.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ClassWeights {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AutoOrGiven)
    }
}

struct AutoOrGiven;

impl<'de> Visitor<'de> for AutoOrGiven {
    type Value = ClassWeights;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"auto\", or a table of class names and weights")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ClassWeights, E> {
        if text == AUTO { Ok(ClassWeights::Auto) } else { Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)) }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ClassWeights, A::Error> {
        let mut weights = BTreeMap::new();
        while let Some((class, weight)) = map.next_entry::<String, f64>()? {
            if weights.insert(class.clone(), weight).is_some() {
                return Err(A::Error::custom(format!("two weights for class `{class}`")));
            }
        }
        Ok(ClassWeights::Given(weights))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_round_trip_and_errors_say_what_is_expected() {
        for text in ["", "smoothing = 0.1", "focal = 2.0\nclass_weights = \"auto\"", "[class_weights]\ncat = 2.0\n\"a b\" = 0.5"]
        {
            let settings: LossSettings = toml::from_str(text).unwrap();
            assert_eq!(toml::from_str::<LossSettings>(&toml::to_string(&settings).unwrap()).unwrap(), settings, "{text}");
            assert_eq!(settings.is_plain(), text.is_empty());
            settings.check().unwrap();
        }
        for (text, part) in [
            ("class_weights = \"even\"", "expected \"auto\", or a table"),
            ("class_weights = 2.0", "expected \"auto\", or a table"),
            ("smooth = 0.1", "smoothing"),
        ] {
            let message = toml::from_str::<LossSettings>(text).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        for (text, part) in [
            ("smoothing = 1.0", "smoothing 1: must be at least 0 and below 1"),
            ("smoothing = nan", "smoothing NaN"),
            ("focal = -1.0", "focal -1: must be at least 0"),
            ("class_weights = { cat = 0.0 }", "`cat`"),
            ("class_weights = { cat = 1e300 }", "`cat`"),
        ] {
            let message = toml::from_str::<LossSettings>(text).unwrap().check().unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn balancing_weights_have_a_mean_of_one_over_the_images() {
        let counts = [30, 10, 0, 20];
        let weights = balancing(&counts);
        assert_eq!(weights, [60.0 / 90.0, 2.0, 1.0, 1.0]);
        let mean = weights.iter().zip(counts).map(|(weight, count)| weight * count as f32).sum::<f32>() / 60.0;
        assert!((mean - 1.0).abs() < 1e-6, "{mean}");
        let classes = ["cat".to_string(), "dog".to_string()];
        assert_eq!(given(&[("dog".into(), 2.5)].into(), &classes).unwrap(), [1.0, 2.5]);
        let message = given(&[("dogs".into(), 2.5)].into(), &classes).unwrap_err().to_string();
        assert!(message.contains("`dogs`") && message.contains("cat, dog"), "{message}");
    }
}
