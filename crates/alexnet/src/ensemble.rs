//! Classification by several models together, their probabilities averaged over models and crops, as in the paper: seven nets reached
//! 15.3 % where one had 18.2 %.
//!
//! Each model sees images through its own preprocessing, so that sizes may differ. All models are in memory at once.

use crate::class_match::match_models;
use crate::classifier::{Classifier, ClassifierBuilder, Input, Predictions};
use crate::image::crop::Crops;
use crate::image::{Image, Preprocess, decode};
use crate::predict::{crop_tensors, interleave};
use crate::{Error, Result};
use std::path::Path;
use std::sync::Arc;

/// Several models that classify together: the mean of their probabilities.
///
/// ```no_run
/// let mut ensemble = alexnet::Ensemble::open(["a.safetensors", "b.safetensors"])?;
/// for p in ensemble.predict("cat.jpg")?.top(5) {
///     println!("{} {:.1} %", p.label, 100.0 * p.probability);
/// }
/// # Ok::<(), alexnet::Error>(())
/// ```
pub struct Ensemble {
    members: Vec<Member>,
    labels: Arc<[String]>,
    /// Distinct preprocessing of the members.
    views: Vec<Preprocess>,
    crops: Crops,
    batch: usize,
}

/// A model of an ensemble.
struct Member {
    classifier: Classifier,
    /// The model's output of each class of the ensemble; empty if they are the same.
    outputs: Vec<usize>,
    /// Index of the member's preprocessing.
    view: usize,
}

impl From<Classifier> for Ensemble {
    /// An ensemble of one, which answers as the model does, to the last bit.
    fn from(classifier: Classifier) -> Ensemble {
        let (labels, crops, batch) = (classifier.labels(), classifier.crops(), classifier.batch());
        let views = vec![classifier.preprocess().clone()];
        Ensemble { members: vec![Member { classifier, outputs: Vec::new(), view: 0 }], labels, views, crops, batch }
    }
}

impl Ensemble {
    /// Opens model files in any format; the first gives the classes and their order, and the others must have the same names.
    ///
    /// # Errors
    /// A file cannot be read, or its classes differ from those of the first.
    pub fn open<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Ensemble> {
        Ensemble::open_with(&Classifier::builder(), paths)
    }

    /// Opens model files with settings: threads, precision, crops, batch size.
    ///
    /// # Errors
    /// As [`open`](Self::open), and those of [`ClassifierBuilder::open`].
    pub fn open_with<P: AsRef<Path>>(settings: &ClassifierBuilder, paths: impl IntoIterator<Item = P>) -> Result<Ensemble> {
        let open = |path: P| {
            let name = path.as_ref().display().to_string();
            settings.clone().open(path).map(|classifier| (name, classifier))
        };
        Ensemble::new(paths.into_iter().map(open).collect::<Result<_>>()?)
    }

    /// Joins classifiers, each with a name for error messages; all must make the same number of crops.
    ///
    /// # Errors
    /// No classifier, different classes, or different numbers of crops.
    pub fn new(classifiers: Vec<(String, Classifier)>) -> Result<Ensemble> {
        let mut classifiers = classifiers.into_iter();
        let (first, classifier) =
            classifiers.next().ok_or_else(|| Error::Invalid("an ensemble needs at least one model".into()))?;
        let mut ensemble = Ensemble::from(classifier);
        for (name, classifier) in classifiers {
            ensemble.add(&first, &name, classifier)?;
        }
        Ok(ensemble)
    }

    fn add(&mut self, first: &str, name: &str, classifier: Classifier) -> Result<()> {
        let outputs = match_models((first, &self.labels), (name, classifier.classes()))?;
        if classifier.crops() != self.crops {
            return Err(Error::Invalid(format!("{name}: the models of an ensemble must make the same number of crops")));
        }
        self.batch = self.batch.min(classifier.batch());
        let known = self.views.iter().position(|view| view == classifier.preprocess());
        let view = known.unwrap_or_else(|| {
            self.views.push(classifier.preprocess().clone());
            self.views.len() - 1
        });
        self.members.push(Member { classifier, outputs, view });
        Ok(())
    }

    /// Names of the classes, by index.
    pub fn classes(&self) -> &[String] {
        &self.labels
    }

    /// Number of models.
    pub fn models(&self) -> usize {
        self.members.len()
    }

    /// Classifies one image.
    ///
    /// # Errors
    /// The file cannot be read or decoded, or a model's output is not finite.
    pub fn predict<'a>(&mut self, image: impl Into<Input<'a>>) -> Result<Predictions> {
        let mut all = self.predict_batch([image])?;
        all.pop().ok_or_else(|| Error::Invalid("no image was classified".into()))
    }

    /// Classifies several images, in batches.
    ///
    /// # Errors
    /// As [`predict`](Self::predict), for the first image that fails.
    pub fn predict_batch<'a, I: Into<Input<'a>>>(&mut self, images: impl IntoIterator<Item = I>) -> Result<Vec<Predictions>> {
        let mut predictions = Vec::new();
        let mut images = images.into_iter().map(Into::into).peekable();
        while images.peek().is_some() {
            let mut tensors = vec![Vec::new(); self.views.len()];
            for image in images.by_ref().take(self.batch) {
                for (view, tensor) in self.views.iter().zip(&mut tensors) {
                    match &image {
                        Input::Image(image) => crop_tensors(image, view, self.crops, tensor),
                        Input::File(path) => crop_tensors(&decode::open_resized(path, view)?, view, self.crops, tensor),
                    }
                }
            }
            predictions.extend(self.classify(&tensors)?);
        }
        Ok(predictions)
    }

    /// Network inputs of an image, one tensor for each of the distinct [views](Self::views).
    pub(crate) fn inputs(
        views: &[Preprocess],
        crops: Crops,
        decode: &dyn Fn(&Preprocess) -> Result<Image>,
    ) -> Result<Vec<Vec<f32>>> {
        let input = |view: &Preprocess| {
            let mut tensor = Vec::new();
            crop_tensors(&decode(view)?, view, crops, &mut tensor);
            Ok(tensor)
        };
        views.iter().map(input).collect()
    }

    /// Classifies at most a batch of images as network inputs, a tensor for each of the [views](Self::views).
    pub(crate) fn classify(&mut self, tensors: &[Vec<f32>]) -> Result<Vec<Predictions>> {
        let classes = self.labels.len();
        let mut all = Vec::with_capacity(self.members.len());
        for member in &mut self.members {
            let mut logits = member.classifier.logits(&tensors[member.view])?;
            crate::class_match::reorder(&mut logits, &member.outputs);
            all.push(logits);
        }
        let rows = self.crops.count();
        let joint = interleave(&all, rows * classes);
        let of_image = |logits: &[f32]| Predictions::of_logits(logits, &self.labels);
        joint.chunks_exact(self.members.len() * rows * classes).map(of_image).collect()
    }

    /// Distinct preprocessing of the models.
    pub(crate) fn views(&self) -> &[Preprocess] {
        &self.views
    }

    pub(crate) fn crops(&self) -> Crops {
        self.crops
    }

    pub(crate) fn batch(&self) -> usize {
        self.batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::tests::{image, model_file};
    use crate::formats;

    /// A second model: another seed's file, smaller images, classes in another order or renamed.
    fn other(folder: &Path, name: &str, classes: [&str; 3]) -> std::path::PathBuf {
        let mut model = formats::read(model_file(folder)).unwrap();
        let at = |class: &str| model.classes.iter().position(|known| known == class);
        let order: Vec<usize> = classes.iter().enumerate().map(|(i, class)| at(class).unwrap_or(i)).collect();
        for part in ["weight", "bias"] {
            let values = model.tensors.get_mut(&format!("fc8.{part}")).unwrap();
            let row = values.len() / 3;
            *values = order.iter().flat_map(|&i| values[i * row..][..row].iter().map(|x| 3.0 * x)).collect::<Vec<f32>>().into();
        }
        model.classes = classes.map(String::from).to_vec();
        model.preprocess.scale *= 2.0;
        let path = folder.join(name);
        formats::write(&path, &model).unwrap();
        path
    }

    #[test]
    fn probabilities_are_the_mean_of_the_models_matched_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let second = other(folder.path(), "b.safetensors", ["ship", "cat", "dog"]);
        let first = model_file(folder.path());
        for crops in [Crops::Centre, Crops::Ten] {
            let settings = Classifier::builder().threads(1).batch(2).crops(crops);
            let [mut a, mut b] = [&first, &second].map(|path| settings.clone().open(path).unwrap());
            let mut ensemble = Ensemble::open_with(&settings, [&first, &second]).unwrap();
            assert_eq!((ensemble.classes(), ensemble.models()), (a.classes(), 2));
            let images: Vec<Image> = (0..5).map(image).collect();
            let found = ensemble.predict_batch(&images).unwrap();
            for (image, found) in images.iter().zip(&found) {
                let [a, b] = [&mut a, &mut b].map(|model| model.predict(image).unwrap().probabilities().to_vec());
                for (class, other) in [1, 2, 0].into_iter().enumerate() {
                    let mean = f64::midpoint(a[class], b[other]);
                    assert!((found.probabilities()[class] - mean).abs() < 1e-12, "{found:?}");
                }
                assert_eq!(ensemble.predict(image).unwrap().probabilities(), found.probabilities());
            }
            // An ensemble of one is the model itself.
            let mut one = Ensemble::open_with(&settings, [&first]).unwrap();
            assert_eq!(one.predict(&images[0]).unwrap().probabilities(), a.predict(&images[0]).unwrap().probabilities());
        }
    }

    #[test]
    fn models_with_other_classes_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let second = other(folder.path(), "b.safetensors", ["cat", "horse", "ship"]);
        let first = model_file(folder.path());
        let why = Ensemble::open([&first, &second]).err().unwrap().to_string();
        for part in ["b.safetensors", "model.safetensors", "dog", "horse", "class 1"] {
            assert!(why.contains(part), "{why}");
        }
        assert!(Ensemble::open::<&Path>([]).is_err());
    }
}
