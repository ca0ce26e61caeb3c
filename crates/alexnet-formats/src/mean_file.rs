//! Mean images that stand in files of their own: Caffe's `mean.binaryproto` and numpy's array of the same.

use super::caffe;
use super::reader::{ParseResult, Reader};
use crate::npy;
use crate::{Error, Result};
use alexnet_net::Mean;
use std::io::Seek;
use std::path::Path;
use std::sync::Arc;

/// Reads a mean image [3, size, size], blue first, that Caffe subtracts at the crop's place: a `mean.binaryproto`, or an `.npy`
/// such as `ilsvrc_2012_mean.npy`.
///
/// # Errors
/// No such file, or a mean that is not square or not of three channels.
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
            return picture(square(&shape)?, values);
        }
        let tensor = caffe::mean_blob(&reader)?;
        picture(square(&tensor.shape)?, tensor.values(&reader)?)
    };
    read().map_err(|message| Error::file(path, message))
}

/// What to do with a mean image that is given for a model.
pub(super) fn advice(reader: &Reader) -> Option<String> {
    let size = square(&caffe::mean_blob(reader).ok()?.shape).ok()?;
    Some(format!("Caffe's mean image of {size} x {size}, not a model; give it to `alexnet convert` with --mean"))
}

fn picture(size: usize, values: Vec<f32>) -> ParseResult<Mean> {
    Ok(Mean::Image { size, values: Arc::new(values), centre: false })
}

/// Rows of a square image of three channels.
fn square(shape: &[usize]) -> ParseResult<usize> {
    match *shape {
        [1, 3, rows, columns] | [3, rows, columns] if rows == columns => Ok(rows),
        [1, 3, rows, columns] | [3, rows, columns] => Err(format!("a mean image of {rows} x {columns}; it must be square")),
        _ => Err(format!("no mean image of three channels: its shape is {shape:?}, not 3 x rows x columns")),
    }
}
