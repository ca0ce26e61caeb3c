//! Explanations of a model's predictions as arrays.

use crate::arrays::{self, array};
use crate::inputs::one_image;
use crate::model::Model;
use alexnet::Classifier;
use alexnet::engine::ReluGradient;
use alexnet::explain::cam::{self, Method};
use alexnet::explain::saliency::{self, Options, Smooth};
use alexnet::explain::{self, Heatmap, View};
use numpy::{PyArrayDyn, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Explanations of a model's predictions: `model.explain`.
///
/// `image` is one image in any form that `Model.predict` takes, except network input. `label` is a class by name or index; without
/// it, the most probable one. The network sees the centre crop, which `view` returns.
#[pyclass(frozen, module = "alexnet")]
pub(crate) struct Explain {
    model: Py<Model>,
}

/// A class: its name or its index.
#[derive(FromPyObject)]
pub(crate) enum Label {
    Index(usize),
    Name(String),
}

#[pymethods]
impl Explain {
    /// Class activation map: where the image supports a class.
    ///
    /// Args:
    ///     layer: the layer whose activations are weighted; without it, the last convolution with its ReLU.
    ///     method: "grad-cam" (Selvaraju et al. 2017) or "layer-cam" (Jiang et al. 2021).
    ///
    /// Returns:
    ///     An array of rows x columns float32 of the size of the layer's maps, not negative; all zero without evidence.
    #[pyo3(signature = (image, label=None, *, layer=None, method="grad-cam"))]
    fn cam<'py>(
        &self,
        py: Python<'py>,
        image: &Bound<'py, PyAny>,
        label: Option<Label>,
        layer: Option<&str>,
        method: &str,
    ) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        let methods = [Method::GradCam, Method::LayerCam];
        let unknown = || PyValueError::new_err(format!("method: expected grad-cam or layer-cam, got {method}"));
        let method = methods.into_iter().find(|known| known.name() == method).ok_or_else(unknown)?;
        let heat = self.with_view(py, image, label, |classifier, view, class| {
            let layer = layer.map_or_else(|| cam::default_layer(classifier.net()), |layer| Ok(layer.to_string()))?;
            cam::cam(classifier.engine(), &view.tensor, class, &layer, method)
        })?;
        array(py, heat.values, [heat.rows, heat.columns])
    }

    /// Saliency map: how much each pixel of the network's input changes the score of a class.
    ///
    /// Args:
    ///     guided: whether ReLUs pass positive gradients only (guided backpropagation).
    ///     smooth: number of noisy copies to average over (SmoothGrad); 0: none.
    ///     noise: standard deviation of the noise, as a fraction of the image's range.
    ///     seed: seed of the noise.
    ///     signed: whether the gradient itself is returned, 3 x S x S, instead of its largest magnitude over the colours.
    ///
    /// Returns:
    ///     An array of S x S float32, not negative; S is the network's image size.
    #[pyo3(signature = (image, label=None, *, guided=false, smooth=0, noise=0.15, seed=0, signed=false))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments in Python")]
    fn saliency<'py>(
        &self,
        py: Python<'py>,
        image: &Bound<'py, PyAny>,
        label: Option<Label>,
        guided: bool,
        smooth: usize,
        noise: f32,
        seed: u64,
        signed: bool,
    ) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        let relu = if guided { ReluGradient::Guided } else { ReluGradient::Plain };
        let options = Options { relu, smooth: (smooth > 0).then_some(Smooth { samples: smooth, noise, seed }) };
        let (size, gradient) = self.with_view(py, image, label, |classifier, view, class| {
            let gradient = saliency::gradient(classifier.engine(), &view.tensor, class, &options)?;
            Ok((classifier.net().image_size, gradient))
        })?;
        match signed {
            true => array(py, gradient, [3, size, size]),
            false => array(py, saliency::heat(&gradient, size).values, [size, size]),
        }
    }

    /// The part of an image that the network sees, at the original's resolution (at most 640 pixels): an array of H x W x 3 uint8.
    fn view<'py>(&self, py: Python<'py>, image: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyArrayDyn<u8>>> {
        let image = one_image(image)?;
        let view = self.model.get().run(py, |classifier, _| Ok(View::centre(&image, classifier.preprocess())))?;
        arrays::image(py, view.image)
    }

    /// A map of `cam` or `saliency` in colours over the part of the image that the network sees: an array of H x W x 3 uint8.
    ///
    /// Args:
    ///     heat: an array of rows x columns float32.
    ///     strength: opacity of the largest value, 0 to 1.
    #[pyo3(signature = (image, heat, strength=0.75))]
    fn overlay<'py>(
        &self,
        py: Python<'py>,
        image: &Bound<'py, PyAny>,
        heat: PyReadonlyArray2<'py, f32>,
        strength: f32,
    ) -> PyResult<Bound<'py, PyArrayDyn<u8>>> {
        let (rows, columns) = (heat.shape()[0], heat.shape()[1]);
        if rows == 0 || columns == 0 {
            return Err(PyValueError::new_err("the map is empty"));
        }
        let heat = Heatmap { rows, columns, values: heat.as_array().iter().copied().collect() };
        let image = one_image(image)?;
        let drawn = self.model.get().run(py, |classifier, _| {
            let view = View::centre(&image, classifier.preprocess());
            Ok(heat.over(&view.image, strength.clamp(0.0, 1.0)))
        })?;
        arrays::image(py, drawn)
    }
}

impl Explain {
    /// Explanations of a model.
    pub(crate) fn of(model: Py<Model>) -> Explain {
        Explain { model }
    }

    /// Calls `work` with the network's view of an image and a class.
    fn with_view<T: Send>(
        &self,
        py: Python<'_>,
        image: &Bound<'_, PyAny>,
        label: Option<Label>,
        work: impl FnOnce(&mut Classifier, &View, usize) -> alexnet::Result<T> + Send,
    ) -> PyResult<T> {
        let (model, image) = (self.model.get(), one_image(image)?);
        let classes = model.class_names();
        model.run(py, |classifier, _| {
            let view = View::centre(&image, classifier.preprocess());
            let class = match label {
                Some(Label::Index(index)) => index,
                Some(Label::Name(name)) => explain::class(&name, classes)?,
                None => explain::scores(classifier.engine(), &view.tensor)?.first().map_or(0, |best| best.index),
            };
            Ok(work(classifier, &view, class)?)
        })
    }
}
