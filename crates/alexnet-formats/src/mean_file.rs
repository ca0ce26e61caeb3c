//! Mean image files: Caffe's `mean.binaryproto` and the equivalent NumPy array.

use super::caffe;
use super::reader::{ParseResult, Reader};
use crate::npy;
use crate::{Error, Result};
use alexnet_net::Mean;
use std::io::Seek;
use std::path::Path;
use std::sync::Arc;

/// Reads a mean image [3, size, size] in BGR order, which Caffe crops like the image: a `mean.binaryproto`, or an `.npy` such as
/// `ilsvrc_2012_mean.npy`.
///
/// # Errors
/// An unreadable file, or a mean that is not square or does not have three channels.
pub fn read_mean(path: impl AsRef<Path>) -> Result<Mean> {
    let path = path.as_ref();
    let reader = Reader::open(path)?;
    let read = || -> ParseResult<Mean> {
        let mut head = vec![0; reader.length().min(6) as usize];
        reader.fill(0, &mut head).map_err(|e| e.to_string())?;
        if head == b"\x93NUMPY" {
            let mut file = reader.file();
            file.rewind().map_err(|e| e.to_string())?;
            let (shape, values) = npy::read(&mut file, reader.length())?;
            return image(square(&shape)?, values);
        }
        let tensor = caffe::mean_blob(&reader)?;
        image(square(&tensor.shape)?, tensor.values(&reader)?)
    };
    read().map_err(|message| Error::file(path, message))
}

/// Advice for a mean image passed as a model.
pub(super) fn advice(reader: &Reader) -> Option<String> {
    let size = square(&caffe::mean_blob(reader).ok()?.shape).ok()?;
    Some(format!("a Caffe mean image of {size} x {size}, not a model; pass it to `alexnet convert --mean`"))
}

fn image(size: usize, values: Vec<f32>) -> ParseResult<Mean> {
    Ok(Mean::Image { size, values: Arc::new(values), centre: false })
}

/// Number of rows of a square image with three channels.
fn square(shape: &[usize]) -> ParseResult<usize> {
    match *shape {
        [1, 3, rows, columns] | [3, rows, columns] if rows == columns => Ok(rows),
        [1, 3, rows, columns] | [3, rows, columns] => Err(format!("a mean image of {rows} x {columns}; it must be square")),
        _ => Err(format!("not a mean image with three channels: expected shape 3 x rows x columns, got {shape:?}")),
    }
}
