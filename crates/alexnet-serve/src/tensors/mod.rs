//! Requests and answers of the Open Inference Protocol, in JSON and with Triton's binary-data extension: a JSON head, whose
//! length is in the header `Inference-Header-Content-Length`, followed by the little-endian tensors.

mod base64;
mod parameters;
#[cfg(test)]
mod tests;
mod write;

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use self::parameters::{Few, Parameters};
pub(crate) use self::write::{AsDoubles, DIGITS, answer, estimate};

/// Name of the input tensor of preprocessed images.
pub(crate) const INPUT: &str = "input";
/// Name of the input tensor of image files.
pub(crate) const PICTURE: &str = "picture";
/// Name of the output tensor of logits.
pub(crate) const LOGITS: &str = "logits";
/// Name of the output tensor of probabilities.
pub(crate) const PROBABILITIES: &str = "probabilities";

/// A parsed request.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Identifier echoed in the answer.
    pub id: Option<String>,
    /// The images.
    pub input: Input,
    /// Requested outputs.
    pub outputs: Vec<Output>,
}

/// Images, as tensors or as files.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// `[n, 3, size, size]`, all finite.
    Tensor(Vec<f32>),
    /// The same as little-endian bytes in this range of the body.
    Binary(Range<usize>),
    /// JPEG, PNG, ...
    ImageFiles(Vec<Vec<u8>>),
}

/// A requested output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    /// Whether probabilities rather than logits are requested.
    pub probabilities: bool,
    /// Whether the output goes into the binary part of the answer.
    pub binary: bool,
    /// Number of best classes to return as `value:index:label` instead of the tensor.
    pub classification: Option<usize>,
}

/// Maximum number of images per request.
pub(crate) const MOST_IMAGES: usize = 64;

/// Maximum length of a request identifier in bytes, since it is echoed.
const LONGEST_ID: usize = 4096;

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(default)]
    parameters: Parameters,
    #[serde(borrow)]
    inputs: Few<Tensor<'a>, 2>,
    #[serde(borrow)]
    outputs: Option<Few<Wanted<'a>, 16>>,
}

#[derive(Deserialize)]
struct Tensor<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    shape: Few<u64, 8>,
    #[serde(borrow)]
    datatype: Cow<'a, str>,
    #[serde(default)]
    parameters: Parameters,
    #[serde(borrow)]
    data: Option<Flat<'a>>,
}

#[derive(Deserialize)]
struct Wanted<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(default)]
    parameters: Parameters,
}

/// Beginning of a text of the request, for a message.
fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Numbers or strings, with any nesting.
#[derive(Default)]
struct Flat<'a> {
    numbers: Vec<f32>,
    texts: Vec<Cow<'a, str>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Flat<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Flat<'a>, D::Error> {
        let mut flat = Flat::default();
        deserializer.deserialize_seq(Collect(&mut flat))?;
        Ok(flat)
    }
}

/// Deserializer that appends to a [`Flat`].
struct Collect<'a, 'b>(&'b mut Flat<'a>);

impl<'a> Collect<'a, '_> {
    fn add<E: serde::de::Error>(self, text: Cow<'a, str>) -> Result<(), E> {
        if !self.0.numbers.is_empty() {
            return Err(E::custom("a string among numbers"));
        }
        if self.0.texts.len() == MOST_IMAGES {
            return Err(E::custom(too_many()));
        }
        self.0.texts.push(text);
        Ok(())
    }
}

fn too_many() -> String {
    format!("more than {MOST_IMAGES} images in one request; send {MOST_IMAGES} at most")
}

impl<'de: 'a, 'a> serde::de::DeserializeSeed<'de> for Collect<'a, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de: 'a, 'a> Visitor<'de> for Collect<'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("numbers or strings, in lists")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Collect(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.0.numbers.push(value as f32);
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.visit_f64(value as f64)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.visit_f64(value as f64)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        self.add(Cow::Owned(value.to_string()))
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, value: &'de str) -> Result<(), E> {
        self.add(Cow::Borrowed(value))
    }
}

/// Reads a request for images of 3 x `size` x `size`. `head` is the header `Inference-Header-Content-Length`, if present.
///
/// # Errors
/// The request is invalid. No input causes a panic, or takes more than a few times its own memory.
pub fn check_body(body: &[u8], head: Option<&str>, size: usize) -> Result<Asked, String> {
    let (text, binary) = match head {
        None => (body, &[][..]),
        Some(head) => {
            let length: usize =
                head.trim().parse().map_err(|_| format!("Inference-Header-Content-Length {head:?} is not a number"))?;
            let whole = format!("Inference-Header-Content-Length is {length}, but the body has {} bytes", body.len());
            body.split_at_checked(length).ok_or(whole)?
        }
    };
    let Head { id, parameters, inputs, outputs } =
        serde_json::from_slice(text).map_err(|e| format!("the request does not follow the protocol: {e}"))?;
    let [tensor] = <[Tensor<'_>; 1]>::try_from(inputs.0)
        .map_err(|inputs| format!("{} inputs; send one, {INPUT} or {PICTURE}", inputs.len()))?;
    if id.as_ref().is_some_and(|id| id.len() > LONGEST_ID) {
        return Err(format!("the id has more than {LONGEST_ID} bytes"));
    }
    let input = match (&*tensor.name, &*tensor.datatype) {
        (INPUT, "FP32") => floats(tensor, binary, body.len() - binary.len(), size)?,
        (PICTURE, "BYTES") => files(tensor, binary)?,
        (name, datatype) => {
            let (name, datatype) = (short(name), short(datatype));
            return Err(format!("unsupported input {name} of type {datatype}; send {INPUT} as FP32 or {PICTURE} as BYTES"));
        }
    };
    let all_binary = parameters.flag("binary_data_output")?.unwrap_or(false);
    let outputs = match outputs {
        Some(Few(outputs)) if !outputs.is_empty() => {
            if let Some(twice) = (1..outputs.len()).find(|&i| outputs[..i].iter().any(|other| other.name == outputs[i].name)) {
                return Err(format!("the output {} is requested more than once", short(&outputs[twice].name)));
            }
            outputs.iter().map(|output| wanted(output, all_binary)).collect::<Result<_, _>>()?
        }
        _ => [false, true].map(|probabilities| Output { probabilities, binary: all_binary, classification: None }).to_vec(),
    };
    Ok(Asked { id: id.map(Cow::into_owned), input, outputs })
}

fn wanted(output: &Wanted<'_>, all_binary: bool) -> Result<Output, String> {
    let probabilities = match &*output.name {
        LOGITS => false,
        PROBABILITIES => true,
        name => return Err(format!("no output {}; available: {LOGITS} and {PROBABILITIES}", short(name))),
    };
    let classification = output.parameters.count("classification")?.filter(|&k| k > 0);
    Ok(Output { probabilities, binary: output.parameters.flag("binary_data")?.unwrap_or(all_binary), classification })
}

/// The binary part of a tensor, which must be the entire rest of the body, since there is only one tensor.
fn binary_part<'a>(tensor: &Tensor<'_>, binary: &'a [u8]) -> Result<Option<&'a [u8]>, String> {
    let length = tensor.parameters.count("binary_data_size")?;
    match length {
        None if binary.is_empty() => Ok(None),
        None => Err(format!("{} bytes after the JSON without a binary_data_size", binary.len())),
        Some(length) if length == binary.len() && tensor.data.is_none() => Ok(Some(binary)),
        Some(_) if tensor.data.is_some() => Err(format!("{} has both data and a binary_data_size; send one", tensor.name)),
        Some(length) => Err(format!(
            "{}: binary_data_size is {length}, but {} bytes follow the JSON; set Inference-Header-Content-Length to the JSON's",
            tensor.name,
            binary.len()
        )),
    }
}

fn floats(tensor: Tensor<'_>, binary: &[u8], start: usize, size: usize) -> Result<Input, String> {
    let binary = binary_part(&tensor, binary)?;
    let pixels = size as u64;
    let fits = matches!(tensor.shape.0[..], [n, 3, h, w] if n > 0 && h == pixels && w == pixels);
    let len = tensor.shape.0.iter().try_fold(1u64, |product, &n| product.checked_mul(n));
    let (true, Some(len)) = (fits, len) else {
        return Err(format!("{INPUT} has the shape {:?}; send [n, 3, {size}, {size}]", tensor.shape.0));
    };
    let finite = |at: Option<(usize, f32)>| match at {
        Some((at, value)) => Err(format!("{INPUT}: value {at} is {value}, not a finite number")),
        None => Ok(()),
    };
    match (binary, tensor.data) {
        (Some(bytes), _) => {
            let (words, rest) = bytes.as_chunks();
            if !rest.is_empty() || words.len() as u64 != len {
                return Err(format!("{INPUT}: {} bytes for {len} values of 4 bytes", bytes.len()));
            }
            finite(numbers(words).enumerate().find(|(_, value)| !value.is_finite()))?;
            Ok(Input::Binary(start..start + bytes.len()))
        }
        (None, Some(mut data)) if data.texts.is_empty() => {
            if data.numbers.len() as u64 != len {
                return Err(format!("{INPUT}: {} values for the shape {:?}", data.numbers.len(), tensor.shape.0));
            }
            finite(data.numbers.iter().copied().enumerate().find(|(_, value)| !value.is_finite()))?;
            data.numbers.shrink_to_fit();
            Ok(Input::Tensor(data.numbers))
        }
        (None, Some(_)) => Err(format!("{INPUT}: expected numbers, got strings")),
        (None, None) => Err(format!("{INPUT} has no data")),
    }
}

/// Values of [`Input::Binary`].
pub(crate) fn numbers(words: &[[u8; 4]]) -> impl Iterator<Item = f32> {
    words.iter().map(|&word| f32::from_le_bytes(word))
}

fn files(tensor: Tensor<'_>, binary: &[u8]) -> Result<Input, String> {
    let binary = binary_part(&tensor, binary)?;
    let n = match tensor.shape.0[..] {
        [n] | [n, 1] if n > 0 => n,
        _ => return Err(format!("{PICTURE} has the shape {:?}; send [n]", tensor.shape.0)),
    };
    let files = match (binary, tensor.data) {
        (Some(bytes), _) => strings(bytes)?,
        (None, Some(data)) if data.numbers.is_empty() => {
            let decode = |text: &Cow<'_, str>| base64::decode(text).map_err(|e| format!("{PICTURE}: {e}"));
            data.texts.iter().map(decode).collect::<Result<_, _>>()?
        }
        (None, Some(_)) => return Err(format!("{PICTURE}: expected files in base64, got numbers")),
        (None, None) => return Err(format!("{PICTURE} has no data")),
    };
    if files.len() as u64 != n {
        return Err(format!("{PICTURE}: {} files for the shape {:?}", files.len(), tensor.shape.0));
    }
    Ok(Input::ImageFiles(files))
}

/// Splits byte strings, each preceded by its length in four bytes.
fn strings(mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        if all.len() == MOST_IMAGES {
            return Err(too_many());
        }
        let cut = || format!("{PICTURE}: the binary data is truncated in file {}", all.len());
        let (length, rest) = bytes.split_first_chunk().ok_or_else(cut)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (file, rest) = rest.split_at_checked(length).ok_or_else(cut)?;
        all.push(file.to_vec());
        bytes = rest;
    }
    Ok(all)
}
