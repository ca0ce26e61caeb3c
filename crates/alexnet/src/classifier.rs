//! Image classification with a model file: images in, classes and probabilities out.

use crate::engine::cpu::Cpu;
use crate::engine::{Inspection, Precision};
use crate::formats::{self, Model};
use crate::image::crop::Crops;
use crate::image::{Image, Preprocess, decode};
use crate::net::Net;
use crate::predict::{crop_tensors, log_probabilities, ranking};
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Classifier of images with a model file, on the CPU.
///
/// An image gets bit-identical probabilities alone and in any batch, with any number of threads, and from the command `alexnet
/// predict` and the server.
pub struct Classifier {
    /// The model without its parameters, which the engine holds.
    model: Model,
    labels: Arc<[String]>,
    engine: Box<dyn Inspection + Send>,
    crops: Crops,
    /// Maximum number of images per batch.
    batch: usize,
}

/// Builder of a [`Classifier`]; every setting has a default.
#[derive(Debug, Clone)]
#[must_use]
pub struct ClassifierBuilder {
    net: Option<String>,
    labels: Option<PathBuf>,
    precision: Precision,
    threads: usize,
    crops: Crops,
    batch: usize,
}

/// An image to classify: a file, or a decoded image.
#[derive(Debug, Clone)]
pub enum Input<'a> {
    /// A JPEG, PNG, WebP, BMP or GIF file.
    File(PathBuf),
    /// An RGB image.
    Image(&'a Image),
}

/// A class with its probability.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Index of the class, from 0.
    pub index: usize,
    /// Name of the class; its index if the model file has no names.
    pub label: String,
    /// Probability, 0 to 1.
    pub probability: f64,
}

/// The probabilities of all classes for one image.
#[derive(Debug, Clone)]
pub struct Predictions {
    labels: Arc<[String]>,
    probabilities: Vec<f64>,
}

impl Classifier {
    /// Opens a model file in any format supported by `alexnet inspect`: safetensors, PyTorch, ONNX, Caffe, Paddle.
    ///
    /// # Errors
    /// The file cannot be read, or is not an AlexNet.
    pub fn open(path: impl AsRef<Path>) -> Result<Classifier> {
        Classifier::builder().open(path)
    }

    /// Opens published weights by name, such as `torchvision`; they are downloaded if they are not in the cache folder. See
    /// [`pretrained`](crate::pretrained).
    ///
    /// # Errors
    /// An unknown name, or a failed download.
    pub fn pretrained(name: &str) -> Result<Classifier> {
        Classifier::builder().pretrained(name)
    }

    /// Builder with settings: threads, precision, crops, batch size.
    pub fn builder() -> ClassifierBuilder {
        ClassifierBuilder { net: None, labels: None, precision: Precision::F32, threads: 0, crops: Crops::Centre, batch: 16 }
    }

    /// Classifier on an engine that already holds the model's parameters, for example on another device. One crop, batches of 1.
    pub fn with_engine(mut model: Model, engine: Box<dyn Inspection + Send>) -> Classifier {
        model.tensors.clear();
        let labels = std::mem::take(&mut model.classes).into();
        Classifier { model, labels, engine, crops: Crops::Centre, batch: 1 }
    }

    /// Sets the number of crops and the batch size; the engine must have been created for all crops of a batch.
    #[must_use]
    pub fn with_crops(self, crops: Crops, batch: usize) -> Classifier {
        Classifier { crops, batch: batch.max(1), ..self }
    }

    /// Sets the crops of each image for later calls. More crops than the engine was created for run in several batches.
    pub fn set_crops(&mut self, crops: Crops) {
        self.crops = crops;
    }

    /// The engine, for what a classifier does not offer itself, such as explanations.
    pub fn engine(&mut self) -> &mut (dyn Inspection + Send) {
        &mut *self.engine
    }

    /// Names of the classes, by index.
    pub fn classes(&self) -> &[String] {
        &self.labels
    }

    /// The network.
    pub fn net(&self) -> &Net {
        &self.model.net
    }

    /// Preprocessing of images.
    pub fn preprocess(&self) -> &Preprocess {
        &self.model.preprocess
    }

    /// Classifies one image.
    ///
    /// # Errors
    /// The file cannot be read or decoded, or the model's output is not finite.
    pub fn predict<'a>(&mut self, image: impl Into<Input<'a>>) -> Result<Predictions> {
        let mut all = self.predict_batch([image])?;
        all.pop().ok_or_else(|| Error::Invalid("no image was classified".into()))
    }

    /// Classifies several images, in batches.
    ///
    /// # Errors
    /// As [`predict`](Self::predict), for the first image that fails.
    pub fn predict_batch<'a, I: Into<Input<'a>>>(&mut self, images: impl IntoIterator<Item = I>) -> Result<Vec<Predictions>> {
        let (mut predictions, mut tensor) = (Vec::new(), Vec::new());
        let mut images = images.into_iter().map(Into::into).peekable();
        while images.peek().is_some() {
            tensor.clear();
            for image in images.by_ref().take(self.batch) {
                self.add_input(&image, self.crops, &mut tensor)?;
            }
            predictions.extend(self.classify(&tensor)?);
        }
        Ok(predictions)
    }

    /// Classifies images that are network inputs already, `[n, 3, size, size]`, preprocessed as the model needs: one crop each.
    ///
    /// # Errors
    /// Images of another size, or output that is not finite.
    pub fn predict_tensor(&mut self, images: &[f32]) -> Result<Vec<Predictions>> {
        let (logits, classes) = (self.logits(images)?, self.labels.len());
        logits.chunks_exact(classes).map(|logits| Predictions::of_logits(logits, &self.labels)).collect()
    }

    /// Classifies at most a batch of images as network input, each with all its crops.
    pub(crate) fn classify(&mut self, tensor: &[f32]) -> Result<Vec<Predictions>> {
        let logits = self.logits(tensor)?;
        let rows = self.crops.count() * self.labels.len();
        logits.chunks_exact(rows).map(|logits| Predictions::of_logits(logits, &self.labels)).collect()
    }

    /// Logits of at most a batch of images as network input, `[images * crops, classes]`.
    pub(crate) fn logits(&mut self, tensor: &[f32]) -> Result<Vec<f32>> {
        let mut logits = Vec::new();
        if !tensor.is_empty() {
            self.engine.infer(tensor, &mut logits)?;
        }
        Ok(logits)
    }

    /// Names of the classes, shared.
    pub(crate) fn labels(&self) -> Arc<[String]> {
        self.labels.clone()
    }

    /// Crops of each image.
    pub(crate) fn crops(&self) -> Crops {
        self.crops
    }

    /// Maximum number of images per batch.
    pub(crate) fn batch(&self) -> usize {
        self.batch
    }

    /// Activations of a layer for the centre crop of an image, `[channels, rows, columns]` in row-major order (one row and column
    /// after a linear layer), without dropout. `layer` is a name such as `fc7` or `relu5`; a ReLU is a layer of its own.
    ///
    /// # Errors
    /// As [`predict`](Self::predict), or an unknown layer.
    pub fn features<'a>(&mut self, image: impl Into<Input<'a>>, layer: &str) -> Result<Vec<f32>> {
        let mut tensor = Vec::new();
        self.add_input(&image.into(), Crops::Centre, &mut tensor)?;
        self.engine.activation(&tensor, layer)
    }

    fn add_input(&self, image: &Input<'_>, crops: Crops, tensor: &mut Vec<f32>) -> Result<()> {
        match image {
            Input::Image(image) => crop_tensors(image, &self.model.preprocess, crops, tensor),
            Input::File(path) => {
                let image = decode::open_resized(path, &self.model.preprocess)?;
                crop_tensors(&image, &self.model.preprocess, crops, tensor);
            }
        }
        Ok(())
    }
}

impl ClassifierBuilder {
    /// Sets the network, such as `caffenet`, for files that do not specify it.
    pub fn net(self, name: impl Into<String>) -> Self {
        ClassifierBuilder { net: Some(name.into()), ..self }
    }

    /// Sets the class names: a file with one per line in the order of the outputs, or `imagenet` [default: those of the model
    /// file].
    pub fn labels(self, labels: impl Into<PathBuf>) -> Self {
        ClassifierBuilder { labels: Some(labels.into()), ..self }
    }

    /// Sets the precision [default: f32]. [`Precision::Int8`] and [`Precision::Int4`] need a model prepared by `alexnet
    /// quantize`.
    pub fn precision(self, precision: Precision) -> Self {
        ClassifierBuilder { precision, ..self }
    }

    /// Sets the number of threads, which does not affect results [default: 0, one per core].
    pub fn threads(self, threads: usize) -> Self {
        ClassifierBuilder { threads, ..self }
    }

    /// Sets the crops of each image: the centre, or the paper's ten with averaged probabilities [default: the centre].
    pub fn crops(self, crops: Crops) -> Self {
        ClassifierBuilder { crops, ..self }
    }

    /// Sets the batch size [default: 16]. Larger batches take more memory.
    pub fn batch(self, images: usize) -> Self {
        ClassifierBuilder { batch: images, ..self }
    }

    /// Opens a model file with these settings.
    ///
    /// # Errors
    /// As [`Classifier::open`], or a precision for which the model has no ranges.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Classifier> {
        let path = path.as_ref();
        let mut model = formats::load(path, self.net.as_deref())?;
        crate::labels::apply(&mut model, self.labels.as_deref(), None)?;
        let capacity = self.batch.saturating_mul(self.crops.count());
        let mut engine = Cpu::new(&model.net, capacity, self.threads)?.with_precision(self.precision)?.batch_invariant();
        crate::engine::load_model(&model, &mut engine)?;
        if matches!(self.precision, Precision::Int8 | Precision::Int4) && model.ranges.is_empty() {
            return Err(Error::file(path, "not quantized; run `alexnet quantize` on it first"));
        }
        Ok(Classifier::with_engine(model, Box::new(engine)).with_crops(self.crops, self.batch))
    }

    /// Opens published weights by name with these settings.
    ///
    /// # Errors
    /// As [`Classifier::pretrained`] and [`open`](Self::open).
    pub fn pretrained(self, name: &str) -> Result<Classifier> {
        self.open(crate::pretrained::path(name)?)
    }
}

impl Predictions {
    /// The mean of the probabilities of an image's crops, `[crops, classes]`.
    pub(crate) fn of_logits(logits: &[f32], labels: &Arc<[String]>) -> Result<Predictions> {
        let probabilities: Vec<f64> = log_probabilities(logits, labels.len()).into_iter().map(f64::exp).collect();
        if probabilities.iter().any(|p| p.is_nan()) {
            return Err(Error::Invalid("the model produced NaN probabilities".into()));
        }
        Ok(Predictions { labels: labels.clone(), probabilities })
    }

    /// The `k` most probable classes, best first, or all classes if there are fewer.
    pub fn top(&self, k: usize) -> Vec<Prediction> {
        let scores = &self.probabilities;
        let prediction = |index: usize| Prediction { index, label: self.labels[index].clone(), probability: scores[index] };
        ranking(scores).into_iter().take(k).map(prediction).collect()
    }

    /// The most probable class, or `None` if its probability is below `threshold`: an unknown image.
    pub fn above(&self, threshold: f64) -> Option<Prediction> {
        self.top(1).pop().filter(|best| best.probability >= threshold)
    }

    /// Probability of each class, by index.
    pub fn probabilities(&self) -> &[f64] {
        &self.probabilities
    }
}

impl<'a> From<&'a Image> for Input<'a> {
    fn from(image: &'a Image) -> Self {
        Input::Image(image)
    }
}

impl From<&str> for Input<'_> {
    fn from(path: &str) -> Self {
        Input::File(path.into())
    }
}

impl From<&String> for Input<'_> {
    fn from(path: &String) -> Self {
        Input::File(path.into())
    }
}

impl From<&Path> for Input<'_> {
    fn from(path: &Path) -> Self {
        Input::File(path.into())
    }
}

impl From<&PathBuf> for Input<'_> {
    fn from(path: &PathBuf) -> Self {
        Input::File(path.clone())
    }
}

impl From<PathBuf> for Input<'_> {
    fn from(path: PathBuf) -> Self {
        Input::File(path)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::draw::encode;
    use crate::engine::ParameterStore;
    use crate::formats::parameters;
    use crate::net::{Op, presets};
    use crate::predict::top_k;

    pub(crate) fn image(seed: u8) -> Image {
        let rgb = (0..70u32 * 90 * 3).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8 ^ seed).collect();
        Image { width: 70, height: 90, rgb }
    }

    /// Writes a small net of three classes with random parameters to a file.
    pub(crate) fn model_file(folder: &Path) -> PathBuf {
        let mut net = presets::by_name("torchvision").unwrap().with_image_size(63).with_classes(3);
        for layer in &mut net.layers {
            if let Op::Linear { out, .. } = &mut layer.op
                && layer.name != "fc8"
            {
                *out = 8;
            }
        }
        let mut engine = Cpu::new(&net, 1, 1).unwrap();
        crate::engine::init::initialise(&mut engine, 3).unwrap();
        let tensors = parameters(&net).unwrap().into_iter().map(|(name, _)| {
            let values: Vec<f32> = engine.parameter(&name).unwrap();
            (name, values.into())
        });
        let (tensors, preprocess) = (tensors.collect(), Preprocess::for_net(&net));
        let classes = ["cat", "dog", "ship"].map(String::from).to_vec();
        let model = Model {
            net,
            preprocess,
            classes,
            recipe: Default::default(),
            ranges: Default::default(),
            temperature: None,
            tensors,
        };
        let path = folder.join("model.safetensors");
        formats::write(&path, &model).unwrap();
        path
    }

    #[test]
    fn predictions_are_equal_for_files_and_images_alone_and_in_batches() {
        let folder = tempfile::tempdir().unwrap();
        let model = model_file(folder.path());
        let images: Vec<Image> = (0..5).map(image).collect();
        let paths: Vec<PathBuf> = (0..5).map(|i| folder.path().join(format!("{i}.png"))).collect();
        images.iter().zip(&paths).for_each(|(image, path)| std::fs::write(path, encode::png(image)).unwrap());
        for crops in [Crops::Centre, Crops::Ten] {
            let builder = Classifier::builder().crops(crops).threads(1);
            let mut classifier = builder.clone().batch(2).open(&model).unwrap();
            assert_eq!(classifier.classes(), ["cat", "dog", "ship"]);
            let all = classifier.predict_batch(&paths).unwrap();
            assert_eq!(all.len(), 5);
            let mut one = builder.batch(1).open(&model).unwrap();
            for (i, found) in all.iter().enumerate() {
                assert_eq!(one.predict(&images[i]).unwrap().probabilities(), found.probabilities());
                assert!((found.probabilities().iter().sum::<f64>() - 1.0).abs() < 1e-6);
                let top = found.top(9);
                assert_eq!(top.len(), 3);
                assert!(top[0].probability >= top[1].probability && top[1].probability >= top[2].probability);
                assert_eq!(top[0].label, one.classes()[top[0].index]);
                let (mut tensor, mut logits) = (Vec::new(), Vec::new());
                crop_tensors(&images[i], one.preprocess(), crops, &mut tensor);
                one.engine.infer(&tensor, &mut logits).unwrap();
                let expected = top_k(&logits, 3, 1)[0];
                assert_eq!((expected.index, expected.probability), (top[0].index, top[0].probability));
            }
        }
    }

    #[test]
    fn features_have_the_layers_shape_and_errors_name_the_cause() {
        let folder = tempfile::tempdir().unwrap();
        let model = model_file(folder.path());
        let mut classifier = Classifier::open(&model).unwrap();
        assert_eq!(classifier.features(&image(1), "fc7").unwrap().len(), 8);
        assert_eq!(classifier.features(&image(1), "conv1").unwrap().len(), 64 * 15 * 15);
        let why = |error: Error| error.to_string();
        assert!(why(classifier.features(&image(1), "conv9").unwrap_err()).contains("conv9"));
        assert!(why(classifier.predict("gone.jpg").unwrap_err()).contains("gone.jpg"));
        assert!(why(Classifier::open(folder.path().join("none")).err().unwrap()).contains("none"));
        let int8 = Classifier::builder().precision(Precision::Int8).open(&model);
        assert!(why(int8.err().unwrap()).contains("alexnet quantize"));
    }
}
