//! LPIPS, the perceptual distance between images.

use crate::errors::exception;
use crate::inputs::one_image;
use crate::locate::locate;
use crate::process::Owned;
use alexnet::engine::cpu::Cpu;
use alexnet::image::Resize;
use alexnet::lpips::{Backbone, Heads};
use alexnet::{Error, formats, lpips};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::path::Path;

/// LPIPS (Zhang et al. 2018, version 0.1): a perceptual distance between images.
///
/// Args:
///     model: torchvision's AlexNet in any format, or the state of an `lpips.LPIPS`; a file or the name of published weights.
///     linear: the package's linear heads, `weights/v0.1/alex.pth`, or the published name "lpips"; None: equal weight for every
///         channel, as with `lpips=False`.
///     threads: number of threads, which does not affect results; 0: one per core.
#[pyclass(frozen, module = "alexnet")]
pub(crate) struct Lpips {
    lpips: Owned<lpips::Lpips>,
}

#[pymethods]
impl Lpips {
    #[new]
    #[pyo3(signature = (model, linear, *, threads=0))]
    fn new(py: Python<'_>, model: &Bound<'_, PyAny>, linear: Option<&Bound<'_, PyAny>>, threads: usize) -> PyResult<Lpips> {
        let (model, linear) = (locate(model)?, linear.map(locate).transpose()?);
        let lpips = py.detach(|| open(&model, linear.as_deref(), threads)).map_err(exception)?;
        Ok(Lpips { lpips: Owned::new(lpips) })
    }

    /// The distance between two images: 0 for equal ones.
    ///
    /// Args:
    ///     a, b: images of the same size, at least 31 pixels, in any form that `Model.predict` takes except network input.
    ///     size: first resizes both to size x size pixels (short side, then centre crop).
    #[pyo3(signature = (a, b, size=None))]
    fn __call__(&self, py: Python<'_>, a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>, size: Option<usize>) -> PyResult<f64> {
        self.lpips.check("LPIPS")?;
        if size.is_some_and(|size| !(31..=4096).contains(&size)) {
            return Err(PyValueError::new_err("size: expected 31 to 4096"));
        }
        let mut images = [one_image(a)?, one_image(b)?];
        let found = py.detach(|| {
            if let Some(side) = size {
                images.iter_mut().for_each(|image| *image = image.resized_as(Resize::Square(side)));
            }
            let mut lpips = self.lpips.lock().ok_or_else(|| Error::Invalid("LPIPS belongs to another process".into()))?;
            lpips.compare(&images[0], &images[1])
        });
        found.map(|found| found.distance).map_err(|error| {
            let option = "--size N resizes both to N x N";
            PyValueError::new_err(error.to_string().replace(option, "size=N resizes both to N x N"))
        })
    }
}

/// Opens the backbone and the linear heads.
fn open(model: &Path, linear: Option<&Path>, threads: usize) -> Result<lpips::Lpips, Error> {
    let heads = linear.map(Heads::read).transpose()?;
    let backbone = match formats::load(model, None) {
        Ok(model) => Backbone::of(&model)?,
        // A file that is not a whole model may still contain the backbone.
        Err(why) => Backbone::read(model).ok().flatten().ok_or(why)?,
    };
    let engine = Box::new(Cpu::of_layers(&backbone.net, lpips::Lpips::BATCH, threads)?);
    lpips::Lpips::new(engine, &backbone, heads)
}
