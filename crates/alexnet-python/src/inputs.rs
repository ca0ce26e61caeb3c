//! Images as Python programs hold them: paths, bytes, PIL images, arrays, tensors, folders, and several of these.

use crate::errors::{Failure, exception, of_image};
use alexnet::data::{self, Dataset};
use alexnet::image::decode::{self, DecodeLimits};
use alexnet::{Error, Image, Preprocess};
use numpy::{PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyIterator, PyString};
use std::path::PathBuf;
use std::sync::Arc;

/// EXIF tag of an image's orientation, and the value of an upright one.
const ORIENTATION: u16 = 0x0112;
const UPRIGHT: u16 = 1;

/// Most images, and about the most bytes of pixels, that are converted before the first of them are classified.
const MOST_IMAGES: usize = 4096;
const MOST_BYTES: usize = 256 << 20;

/// What is accepted, for messages.
const ACCEPTED: &str = "a path, bytes of an image file, a PIL image, an array of H x W x 3 uint8, or several of these";

/// An image.
pub(crate) enum Source {
    /// An image file.
    File(PathBuf),
    /// The content of an image file, and its place among several.
    Bytes(Vec<u8>, Option<usize>),
    /// Pixels.
    Image(Image),
    /// An image of a folder or another data set.
    Member(Arc<dyn Dataset>, usize),
}

impl Source {
    /// Decodes the image and resizes it as a model needs.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn resized(&self, preprocess: &Preprocess) -> Result<Image, Error> {
        match self {
            Source::File(path) => decode::open_resized(path, preprocess),
            Source::Bytes(bytes, _) => decode::resized(bytes, preprocess, &DecodeLimits::default()),
            Source::Image(image) => Ok(image.resized_as(preprocess.resize)),
            Source::Member(set, index) => {
                data::resized(&**set, *index, preprocess).map_err(|error| error.context(set.name(*index)))
            }
        }
    }

    /// Decodes the image at its full size.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn image(self) -> Result<Image, PyErr> {
        let decoded = match &self {
            Source::File(path) => decode::open(path),
            Source::Bytes(bytes, _) => decode::decode(bytes),
            Source::Image(_) => Ok(Image { width: 0, height: 0, rgb: Vec::new() }),
            Source::Member(set, index) => set.image(*index),
        };
        match self {
            Source::Image(image) => Ok(image),
            other => decoded.map_err(|error| other.unreadable(error)),
        }
    }

    /// The failure of a call by an image that cannot be read.
    pub(crate) fn failure(&self, error: Error) -> Failure {
        Failure::Python(self.unreadable(error))
    }

    /// The exception of an image that cannot be read.
    pub(crate) fn unreadable(&self, error: Error) -> PyErr {
        match self {
            Source::File(path) => of_image(error, Some(path)),
            Source::Bytes(_, Some(i)) => of_image(error.context(format!("image {i}")), None),
            _ => of_image(error, None),
        }
    }
}

/// The images of a call, which are converted a few at a time, so that a generator of any length fits in memory.
pub(crate) struct Inputs<'py> {
    /// Whether the argument was one image, whose answer is not in a list.
    pub(crate) single: bool,
    /// Number of images, if known.
    pub(crate) len: Option<usize>,
    rest: Rest<'py>,
    /// Number of images taken.
    taken: usize,
}

enum Rest<'py> {
    /// A single image.
    One(Option<Source>),
    /// Images of a folder.
    Folder(Arc<dyn Dataset>),
    /// An array of N x H x W x 3.
    Array(Bound<'py, PyAny>, usize),
    /// Any other iterable.
    Iterator(Bound<'py, PyIterator>),
}

/// The argument of a call.
pub(crate) enum Argument<'py> {
    /// Images to decode, resize and normalise.
    Images(Inputs<'py>),
    /// Network input, N x 3 x S x S float32; whether it is a single image's, 3 x S x S.
    Tensor(PyReadonlyArrayDyn<'py, f32>, bool),
}

impl<'py> Argument<'py> {
    /// Recognises an argument.
    ///
    /// # Errors
    /// It is nothing that can be an image, or a folder without images.
    pub(crate) fn of(value: &Bound<'py, PyAny>) -> PyResult<Argument<'py>> {
        if let Some(array) = as_array(value)? {
            let shape: Vec<usize> = array.cast::<PyUntypedArray>()?.shape().to_vec();
            if let Ok(tensor) = array.cast::<PyArrayDyn<f32>>() {
                let single = shape.len() == 3;
                return match shape[..] {
                    [3, _, _] | [_, 3, _, _] => Ok(Argument::Tensor(contiguous(tensor)?, single)),
                    _ => Err(wrong_array(&array)),
                };
            }
            return Ok(Argument::Images(match shape[..] {
                [n, _, _, 3] => Inputs::new(Rest::Array(array, n), Some(n)),
                _ => Inputs::one(Source::Image(pixels(&array)?)),
            }));
        }
        Inputs::of(value).map(Argument::Images)
    }
}

impl<'py> Inputs<'py> {
    fn new(rest: Rest<'py>, len: Option<usize>) -> Inputs<'py> {
        Inputs { single: false, len, rest, taken: 0 }
    }

    fn one(source: Source) -> Inputs<'py> {
        Inputs { single: true, ..Inputs::new(Rest::One(Some(source)), Some(1)) }
    }

    fn of(value: &Bound<'py, PyAny>) -> PyResult<Inputs<'py>> {
        if let Some(path) = as_path(value)?.filter(|path| path.is_dir()) {
            let set = value.py().detach(|| data::Source::new(&path).open_any()).map_err(exception)?.source;
            let len = set.len();
            return Ok(Inputs::new(Rest::Folder(set), Some(len)));
        }
        if let Some(one) = source(value)? {
            return Ok(Inputs::one(one));
        }
        match value.try_iter() {
            Ok(iterator) if !value.is_instance_of::<PyDict>() => Ok(Inputs::new(Rest::Iterator(iterator), value.len().ok())),
            _ => Err(wrong_type(value, ACCEPTED)),
        }
    }

    /// Takes as many of the images as fit in memory; none after the last.
    ///
    /// # Errors
    /// An element is no image, or the iterator raises.
    pub(crate) fn take(&mut self) -> PyResult<Vec<Source>> {
        let (mut sources, mut bytes) = (Vec::new(), 0);
        while sources.len() < MOST_IMAGES && bytes < MOST_BYTES {
            let Some(source) = self.next()? else { break };
            if let Source::Image(image) = &source {
                bytes += image.rgb.len();
            }
            sources.push(source);
        }
        Ok(sources)
    }

    fn next(&mut self) -> PyResult<Option<Source>> {
        let i = self.taken;
        self.taken += 1;
        match &mut self.rest {
            Rest::One(one) => Ok(one.take()),
            Rest::Folder(set) => Ok((i < set.len()).then(|| Source::Member(set.clone(), i))),
            Rest::Array(array, n) if i < *n => pixels(&array.get_item(i)?).map(|image| Some(Source::Image(image))),
            Rest::Array(..) => Ok(None),
            Rest::Iterator(iterator) => iterator.next().map(|value| element(&value?, i)).transpose(),
        }
    }
}

/// One image, at full size.
///
/// # Errors
/// It is not an image, or cannot be read.
pub(crate) fn one_image(value: &Bound<'_, PyAny>) -> PyResult<Image> {
    let source = match as_array(value)? {
        Some(array) => Source::Image(pixels(&array)?),
        None => source(value)?.ok_or_else(|| wrong_type(value, "one image: a path, bytes, a PIL image or an array"))?,
    };
    value.py().detach(|| source.image())
}

/// Element `i` of an iterable of images.
fn element(value: &Bound<'_, PyAny>, i: usize) -> PyResult<Source> {
    let image = match as_array(value)? {
        Some(array) => pixels(&array).map(Source::Image),
        None => match source(value) {
            Ok(Some(Source::Bytes(bytes, _))) => Ok(Source::Bytes(bytes, Some(i))),
            other => other.and_then(|found| found.ok_or_else(|| wrong_type(value, ACCEPTED))),
        },
    };
    image.map_err(|error| {
        let py = value.py();
        match error.is_instance_of::<PyValueError>(py) {
            true => PyValueError::new_err(format!("image {i}: {}", error.value(py))),
            false => error,
        }
    })
}

/// A value that is one image other than an array.
fn source(value: &Bound<'_, PyAny>) -> PyResult<Option<Source>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Some(Source::Bytes(bytes.as_bytes().to_vec(), None)));
    }
    if let Some(path) = as_path(value)? {
        return Ok(Some(Source::File(path)));
    }
    if is_pil(value)? { pil(value).map(Some) } else { Ok(None) }
}

/// A string or an `os.PathLike`.
pub(crate) fn as_path(value: &Bound<'_, PyAny>) -> PyResult<Option<PathBuf>> {
    match value.is_instance_of::<PyString>() || value.hasattr("__fspath__")? {
        true => value.extract().map(Some),
        false => Ok(None),
    }
}

fn is_pil(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(value.hasattr("convert")? && value.hasattr("tobytes")? && value.hasattr("mode")?)
}

/// The upright pixels of a PIL image, which are those of its file.
fn pil(value: &Bound<'_, PyAny>) -> PyResult<Source> {
    let mut image = value.clone();
    let turned = value.call_method0("getexif")?.call_method1("get", (ORIENTATION, UPRIGHT))?;
    if turned.extract::<u16>().is_ok_and(|orientation| orientation != UPRIGHT) {
        image = value.py().import("PIL.ImageOps")?.call_method1("exif_transpose", (image,))?;
    }
    let rgb = image.call_method1("convert", ("RGB",))?;
    let (width, height): (usize, usize) = rgb.getattr("size")?.extract()?;
    let bytes = rgb.call_method0("tobytes")?;
    checked(Image { width, height, rgb: bytes.cast::<PyBytes>()?.as_bytes().to_vec() }).map(Source::Image)
}

/// The value as a NumPy array, if it is one or, such as a PyTorch tensor, can become one. PIL images stay what they are.
fn as_array<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    // Asked first by name, so that a call without arrays does not import NumPy.
    if value.is_instance_of::<PyString>() || !value.hasattr("__array__")? || is_pil(value)? {
        return Ok(None);
    }
    let array = value.py().import("numpy")?.call_method1("asarray", (value,))?;
    Ok(Some(array))
}

/// The pixels of an array of H x W x 3 uint8.
fn pixels(array: &Bound<'_, PyAny>) -> PyResult<Image> {
    let typed = array.cast::<PyArrayDyn<u8>>().map_err(|_| wrong_array(array))?;
    let &[height, width, 3] = typed.shape() else { return Err(wrong_array(array)) };
    let readonly = typed.readonly();
    // A slice is in the order of memory, which may be that of columns.
    let rgb = match readonly.as_slice() {
        Ok(values) if typed.is_c_contiguous() => values.to_vec(),
        _ => readonly.as_array().iter().copied().collect(),
    };
    checked(Image { width, height, rgb })
}

/// Refuses images without pixels, and those that no file may have.
fn checked(image: Image) -> PyResult<Image> {
    let (width, height) = (image.width, image.height);
    if width == 0 || height == 0 {
        return Err(PyValueError::new_err(format!("an image of {width} x {height} pixels is empty")));
    }
    if (width * height) as u64 > decode::MAX_PIXELS {
        let most = decode::MAX_PIXELS;
        return Err(PyValueError::new_err(format!("{width} x {height} pixels are too many; the limit is {most}")));
    }
    Ok(image)
}

/// A tensor in row-major order, copied only if it is not.
fn contiguous<'py>(tensor: &Bound<'py, PyArrayDyn<f32>>) -> PyResult<PyReadonlyArrayDyn<'py, f32>> {
    if tensor.is_c_contiguous() {
        return Ok(tensor.readonly());
    }
    let copy = tensor.py().import("numpy")?.call_method1("ascontiguousarray", (tensor,))?;
    Ok(copy.cast::<PyArrayDyn<f32>>()?.readonly())
}

fn wrong_type(value: &Bound<'_, PyAny>, accepted: &str) -> PyErr {
    let name = value.get_type().name().map_or_else(|_| "this type".into(), |name| name.to_string());
    PyTypeError::new_err(format!("expected {accepted}; got {name}"))
}

fn wrong_array(array: &Bound<'_, PyAny>) -> PyErr {
    let text = |name: &str| array.getattr(name).map_or_else(|_| "?".into(), |value| value.to_string());
    PyValueError::new_err(format!(
        "expected an array of H x W x 3 or N x H x W x 3 uint8 (images), or of 3 x S x S or N x 3 x S x S float32 (network input); \
         got shape {} of {}",
        text("shape"),
        text("dtype")
    ))
}
