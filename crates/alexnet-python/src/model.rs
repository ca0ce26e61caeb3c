//! A model: predictions and features of images.

use crate::arrays::array;
use crate::errors::{AlexNetError, Failure, exception};
use crate::explain::Explain;
use crate::inputs::{Argument, Inputs, Source};
use crate::locate::locate;
use crate::prediction::Prediction;
use crate::process::Owned;
use crate::signals::Signals;
use crate::state_dict::Parameter;
use crate::{layers, state_dict};
use alexnet::image::crop::Crops;
use alexnet::net::{Net, presets};
use alexnet::predict::stream;
use alexnet::{Classifier, Error, Precision, Predictions};
use numpy::{PyArrayDyn, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::path::PathBuf;

/// A model: a network with its weights, preprocessing and class names, ready to run on the CPU.
///
/// `alexnet.load` opens one. Threads may share it; their calls take turns. Pickling stores the path and the settings.
#[pyclass(frozen, module = "alexnet")]
pub(crate) struct Model {
    classifier: Owned<Classifier>,
    net: Net,
    classes: Vec<String>,
    settings: Settings,
}

/// How a model was opened.
#[derive(Clone)]
struct Settings {
    path: PathBuf,
    net: Option<String>,
    labels: Option<PathBuf>,
    precision: String,
    threads: usize,
    batch: usize,
}

/// Opens a model file of any supported format, or published weights by name.
///
/// Args:
///     path_or_name: a file (alexnet's safetensors, PyTorch .pth, .onnx, .caffemodel, Paddle .pdparams), or a name such as
///         "torchvision", which is downloaded if it is not in the cache folder.
///     net: the network, such as "caffenet", for files that do not say.
///     labels: class names for files without: a file with one per line, or "imagenet".
///     precision: "f32", "bf16", "int8" or "int4"; the last two for models prepared by `alexnet quantize`.
///     threads: number of threads, which does not affect results; 0: one per core.
///     batch: images per batch, which does not affect results; larger batches are faster and take more memory.
#[pyfunction]
#[pyo3(signature = (path_or_name, *, net=None, labels=None, precision="f32", threads=0, batch=32))]
pub(crate) fn load(
    path_or_name: &Bound<'_, PyAny>,
    net: Option<String>,
    labels: Option<PathBuf>,
    precision: &str,
    threads: usize,
    batch: usize,
) -> PyResult<Model> {
    let path = locate(path_or_name)?;
    Model::open(path_or_name.py(), Settings { path, net, labels, precision: precision.into(), threads, batch })
}

/// Names of the networks that `train` and `load` accept as `net`.
#[pyfunction]
pub(crate) fn networks() -> Vec<&'static str> {
    presets::ALL.iter().map(|preset| preset.name).collect()
}

#[pymethods]
impl Model {
    #[new]
    #[pyo3(signature = (path, *, net=None, labels=None, precision="f32", threads=0, batch=32))]
    fn new(
        path: &Bound<'_, PyAny>,
        net: Option<String>,
        labels: Option<PathBuf>,
        precision: &str,
        threads: usize,
        batch: usize,
    ) -> PyResult<Model> {
        load(path, net, labels, precision, threads, batch)
    }

    /// Classifies images.
    ///
    /// Args:
    ///     images: one image (a path, bytes of an image file, a PIL image, an array of H x W x 3 uint8), several of these (a
    ///         sequence, a generator, an array of N x H x W x 3, a folder), or network input that is preprocessed already (an
    ///         array or tensor of N x 3 x S x S float32).
    ///     top: number of classes, the most probable first.
    ///     crops: 1 (the centre) or 10 (the paper's, with averaged probabilities).
    ///
    /// Returns:
    ///     A list of predictions for one image; a list of such lists for several.
    #[pyo3(signature = (images, top=5, crops=1))]
    fn predict<'py>(
        &self,
        py: Python<'py>,
        images: &Bound<'py, PyAny>,
        top: usize,
        crops: usize,
    ) -> PyResult<Bound<'py, PyList>> {
        if top == 0 {
            return Err(PyValueError::new_err("top: expected at least 1"));
        }
        let (single, all) = self.classify(py, images, crops, move |found| found.top(top))?;
        let list = |found: Vec<alexnet::Prediction>| PyList::new(py, found.into_iter().map(Prediction::from));
        let mut lists = all.into_iter().map(list);
        match single {
            true => lists.next().unwrap_or_else(|| Err(AlexNetError::new_err("no image was classified"))),
            false => PyList::new(py, lists.collect::<PyResult<Vec<_>>>()?),
        }
    }

    /// Probabilities of all classes.
    ///
    /// Args:
    ///     images, crops: as for `predict`.
    ///
    /// Returns:
    ///     An array of N x classes float64; N is 1 for one image.
    #[pyo3(signature = (images, crops=1))]
    fn probabilities<'py>(
        &self,
        py: Python<'py>,
        images: &Bound<'py, PyAny>,
        crops: usize,
    ) -> PyResult<Bound<'py, PyArrayDyn<f64>>> {
        let (_, all) = self.classify(py, images, crops, |found| found.probabilities().to_vec())?;
        let n = all.len();
        array(py, all.concat(), [n, self.classes.len()])
    }

    /// Activations of a layer for the centre crop of images, without dropout.
    ///
    /// Args:
    ///     images: as for `predict`.
    ///     layer: a layer of the network (`model.layers`), as in `alexnet features`: "fc7" is fc7 after its ReLU. For
    ///         torchvision's AlexNet, also a module's name, such as "classifier.4": the output of this very module, as a forward
    ///         hook sees it before the next one works in place.
    ///     before_relu: whether "fc7" is the layer's own output.
    ///
    /// Returns:
    ///     An array of N x features, or N x channels x rows x columns, float32; N is 1 for one image.
    #[pyo3(signature = (images, layer="fc7", before_relu=false))]
    fn features<'py>(
        &self,
        py: Python<'py>,
        images: &Bound<'py, PyAny>,
        layer: &str,
        before_relu: bool,
    ) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        let layer = layers::find(&self.net, layer, before_relu).map_err(|error| PyValueError::new_err(error.to_string()))?;
        let (row, name) = (layer.len(), layer.name.as_str());
        let mut values: Vec<f32> = Vec::new();
        match Argument::of(images)? {
            Argument::Tensor(tensor, _) => {
                self.in_batches(py, &tensor, |classifier, images| {
                    values.extend(classifier.engine().activation(images, name)?);
                    Ok(())
                })?;
            }
            Argument::Images(mut inputs) => {
                values.reserve(row * inputs.len.unwrap_or(0));
                while let Some(sources) = Some(inputs.take()?).filter(|sources| !sources.is_empty()) {
                    self.run(py, |classifier, threads| {
                        let (preprocess, mut signals) = (classifier.preprocess().clone(), Signals::new());
                        let decode = move |source: &Source| source.resized(&preprocess);
                        stream::activations(classifier, name, sources.into_iter(), threads, decode, &mut |source, found| {
                            values.extend(found.map_err(|error| source.failure(error))?);
                            Ok(signals.check()?)
                        })
                    })?;
                }
            }
        }
        let shape = [&[values.len() / row], &layer.shape[..]].concat();
        array(py, values, shape)
    }

    /// The parameters by name.
    ///
    /// Args:
    ///     names: "torchvision" (features.0.weight, ...), for `load_state_dict` of `torchvision.models.alexnet` after
    ///         `torch.from_numpy`, or "alexnet" (conv1.weight, ...).
    ///
    /// Returns:
    ///     A dict of float32 arrays in the network's order: copies, which may be changed.
    #[pyo3(signature = (names="torchvision"))]
    fn state_dict<'py>(&self, py: Python<'py>, names: &str) -> PyResult<Bound<'py, PyDict>> {
        let names = state_dict::names(&self.net, names)?;
        let parameters = self.run(py, |classifier, _| Ok(state_dict::parameters(classifier.engine(), names)?))?;
        let dict = PyDict::new(py);
        for Parameter { name, shape, values } in parameters {
            dict.set_item(name, array(py, values, shape)?)?;
        }
        Ok(dict)
    }

    /// Explanations of predictions: `model.explain.cam(image)`, `model.explain.saliency(image)`.
    #[getter]
    fn explain(slf: Bound<'_, Self>) -> Explain {
        Explain::of(slf.unbind())
    }

    /// The model file.
    #[getter]
    fn path(&self) -> PathBuf {
        self.settings.path.clone()
    }

    /// Name of the network.
    #[getter]
    fn net(&self) -> &str {
        &self.net.name
    }

    /// Names of the classes, by index.
    #[getter]
    fn classes(&self) -> Vec<String> {
        self.classes.clone()
    }

    /// Names of the layers, first to last.
    #[getter]
    fn layers(&self) -> Vec<&str> {
        self.net.layers.iter().map(|layer| layer.name.as_str()).collect()
    }

    /// Rows and columns of the network's input, in pixels.
    #[getter]
    fn image_size(&self) -> usize {
        self.net.image_size
    }

    /// Number of parameters.
    #[getter]
    fn parameter_count(&self) -> PyResult<usize> {
        self.net.totals().map(|totals| totals.parameters).map_err(exception)
    }

    /// Drawing of the network as SVG.
    fn svg(&self) -> PyResult<String> {
        alexnet::net::diagram::compact_svg(&self.net).map_err(exception)
    }

    fn __repr__(&self) -> PyResult<String> {
        let (settings, size) = (&self.settings, self.net.image_size);
        let millions = self.parameter_count()? as f64 / 1e6;
        let precision = if settings.precision == "f32" { String::new() } else { format!(", {}", settings.precision) };
        Ok(format!(
            "<alexnet.Model {} at {size} pixels, {} classes, {millions:.1} million parameters{precision}, from {}>",
            self.net.name,
            self.classes.len(),
            settings.path.display()
        ))
    }

    /// The same with a drawing of the network, for notebooks.
    fn _repr_html_(&self) -> PyResult<String> {
        let text = self.__repr__()?.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        Ok(format!("<p><code>{text}</code></p><div style=\"max-width: 60em\">{}</div>", self.svg()?))
    }

    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<((PathBuf,), Bound<'py, PyDict>)> {
        let (settings, arguments) = (self.settings.clone(), PyDict::new(py));
        arguments.set_item("net", settings.net)?;
        arguments.set_item("labels", settings.labels)?;
        arguments.set_item("precision", settings.precision)?;
        arguments.set_item("threads", settings.threads)?;
        arguments.set_item("batch", settings.batch)?;
        Ok(((settings.path,), arguments))
    }
}

impl Model {
    fn open(py: Python<'_>, settings: Settings) -> PyResult<Model> {
        let precision: Precision = settings
            .precision
            .parse()
            .map_err(|error| PyValueError::new_err(format!("precision {}: {error}", settings.precision)))?;
        let mut builder = Classifier::builder().precision(precision).threads(settings.threads).batch(settings.batch);
        if let Some(net) = &settings.net {
            builder = builder.net(net);
        }
        if let Some(labels) = &settings.labels {
            builder = builder.labels(labels);
        }
        let classifier = py.detach(|| builder.open(&settings.path)).map_err(exception)?;
        let (net, classes) = (classifier.net().clone(), classifier.classes().to_vec());
        Ok(Model { classifier: Owned::new(classifier), net, classes, settings })
    }

    /// Calls `work` with the classifier and the number of threads, without the interpreter lock.
    ///
    /// # Errors
    /// A forked process, or an error of `work`.
    pub(crate) fn run<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Classifier, usize) -> Result<T, Failure> + Send,
    ) -> PyResult<T> {
        self.classifier.check("model")?;
        let done = py.detach(|| match self.classifier.lock() {
            Some(mut classifier) => work(&mut classifier, self.settings.threads),
            None => Err(Error::Invalid("the model belongs to another process".into()).into()),
        });
        Ok(done?)
    }

    /// Names of the classes, by index.
    pub(crate) fn class_names(&self) -> &[String] {
        &self.classes
    }

    /// Calls `work` with batches of network input.
    fn in_batches(
        &self,
        py: Python<'_>,
        tensor: &PyReadonlyArrayDyn<'_, f32>,
        mut work: impl FnMut(&mut Classifier, &[f32]) -> Result<(), Failure> + Send,
    ) -> PyResult<()> {
        let size = self.net.image_size;
        if tensor.shape()[tensor.shape().len() - 2..] != [size, size] {
            let message = format!("expected network input of N x 3 x {size} x {size}, got shape {:?}", tensor.shape());
            return Err(PyValueError::new_err(message));
        }
        let values = tensor.as_slice()?;
        let batch = 3 * size * size * self.settings.batch;
        self.run(py, |classifier, _| {
            let mut signals = Signals::new();
            values.chunks(batch).try_for_each(|images| {
                work(classifier, images)?;
                Ok(signals.check()?)
            })
        })
    }

    /// Classifies images and keeps a part of each answer; also returns whether the argument was a single image.
    fn classify<'py, A: Send>(
        &self,
        py: Python<'py>,
        images: &Bound<'py, PyAny>,
        crops: usize,
        keep: impl Fn(Predictions) -> A + Send + Sync,
    ) -> PyResult<(bool, Vec<A>)> {
        let wrong_crops = || PyValueError::new_err(format!("crops: expected 1 or 10, got {crops}"));
        let crops = Crops::of_count(crops).ok_or_else(wrong_crops)?;
        let mut all = Vec::new();
        match Argument::of(images)? {
            Argument::Tensor(tensor, single) => {
                if crops != Crops::Centre {
                    return Err(PyValueError::new_err("network input is a crop already: use crops=1"));
                }
                self.in_batches(py, &tensor, |classifier, images| {
                    all.extend(classifier.predict_tensor(images)?.into_iter().map(&keep));
                    Ok(())
                })?;
                Ok((single, all))
            }
            Argument::Images(mut inputs) => {
                while self.classify_some(py, &mut inputs, crops, &mut |found| all.push(keep(found)))? {}
                Ok((inputs.single, all))
            }
        }
    }

    /// Classifies as many images as fit in memory; false after the last.
    fn classify_some(
        &self,
        py: Python<'_>,
        inputs: &mut Inputs<'_>,
        crops: Crops,
        keep: &mut (dyn FnMut(Predictions) + Send),
    ) -> PyResult<bool> {
        let sources = inputs.take()?;
        if sources.is_empty() {
            return Ok(false);
        }
        self.run(py, |classifier, threads| {
            classifier.set_crops(crops);
            let (preprocess, mut signals) = (classifier.preprocess().clone(), Signals::new());
            // Without the threads of a stream.
            if let [source] = &sources[..] {
                let image = source.resized(&preprocess).map_err(|error| source.failure(error))?;
                keep(classifier.predict(&image)?);
                return Ok(());
            }
            let decode = move |source: &Source| source.resized(&preprocess);
            stream::classify(classifier, sources.into_iter(), threads, decode, &mut |source, found| {
                keep(found.map_err(|error| source.failure(error))?);
                Ok(signals.check()?)
            })
        })?;
        Ok(true)
    }
}
