//! Parser from bytes to layers and blobs.

use super::super::protobuf::{Field, next};
use super::super::reader::{Cursor, ParseResult, Reader};
use super::super::tensor::{Dtype, Storage, Tensor};
use super::{ABOUT, MEAN};
use std::collections::{BTreeMap, HashMap};

/// Maximum number of layers, and of blobs per layer.
const MOST_LAYERS: usize = 1 << 11;
const MOST_BLOBS: usize = 16;

/// A net.
#[derive(Debug, Default)]
pub(super) struct Net {
    pub(super) layers: Vec<Layer>,
    pub(super) tensors: Vec<Tensor>,
    /// Input dimensions, if the file has them.
    pub(super) input: Vec<i64>,
    pub(super) metadata: BTreeMap<String, String>,
}

/// A layer of any generation.
#[derive(Debug, Default)]
pub(super) struct Layer {
    pub(super) name: String,
    /// Layer type in lower case without `_`: `convolution`, `innerproduct`, `relu`, ...
    pub(super) kind: String,
    /// Names of its input and output blobs. A layer with equal names works in place.
    pub(super) bottoms: Vec<String>,
    pub(super) tops: Vec<String>,
    /// Indices of its tensors.
    pub(super) blobs: Vec<usize>,
    /// Settings by internal name; see [`SETTINGS`].
    pub(super) settings: HashMap<&'static str, f64>,
    /// Per-channel mean to subtract.
    pub(super) mean: Vec<f32>,
}

/// Location of each setting: parameter message in `layer` and in `layers`, field, whether it is a float, internal name.
#[rustfmt::skip]
const SETTINGS: &[(u64, u64, u64, bool, &str)] = &[
    // layer layers field
    (106, 10, 1, false, "out"),
    (106, 10, 3, false, "pad"),  (106, 10, 9,  false, "pad"),    (106, 10, 10, false, "pad_w"),
    (106, 10, 4, false, "kernel"), (106, 10, 11, false, "kernel"), (106, 10, 12, false, "kernel_w"),
    (106, 10, 5, false, "group"),
    (106, 10, 6, false, "stride"), (106, 10, 13, false, "stride"), (106, 10, 14, false, "stride_w"),
    (106, 10, 18, false, "dilation"),
    (121, 19, 1, false, "method"),
    (121, 19, 2, false, "kernel"), (121, 19, 5, false, "kernel"), (121, 19, 6, false, "kernel_w"),
    (121, 19, 3, false, "stride"), (121, 19, 7, false, "stride"), (121, 19, 8, false, "stride_w"),
    (121, 19, 4, false, "pad"),    (121, 19, 9, false, "pad"),    (121, 19, 10, false, "pad_w"),
    (121, 19, 12, false, "global"),
    (118, 18, 1, false, "n"), (118, 18, 2, true, "alpha"), (118, 18, 3, true, "beta"),
    (118, 18, 4, false, "within"), (118, 18, 5, true, "k"),
    (108, 12, 1, true, "ratio"),
    (117, 17, 1, false, "out"), (117, 17, 6, false, "transpose"),
    (123, 30, 1, true, "slope"),
    (100, 36, 1, true, "scale"), (100, 36, 3, false, "crop"),
];

/// Settings of the oldest generation, which stores them all in one message.
#[rustfmt::skip]
const OLDEST: &[(u64, bool, &str)] = &[
    (3, false, "out"), (7, false, "pad"), (8, false, "kernel"), (9, false, "group"), (10, false, "stride"), (11, false, "method"),
    (12, true, "ratio"), (13, false, "n"), (14, true, "alpha"), (15, true, "beta"), (22, true, "k"), (17, true, "scale"),
    (20, false, "crop"),
];

/// Layer types of `layers`, which stores them as numbers.
#[rustfmt::skip]
const KINDS: &[(i64, &str)] = &[
    (1, "accuracy"), (4, "convolution"), (5, "data"), (6, "dropout"), (8, "flatten"), (9, "hdf5data"), (12, "imagedata"),
    (14, "innerproduct"), (15, "lrn"), (17, "pooling"), (18, "relu"), (19, "sigmoid"), (20, "softmax"), (21, "softmaxloss"),
    (22, "split"), (23, "tanh"), (24, "windowdata"), (29, "memorydata"), (32, "dummydata"), (36, "silence"),
];

/// Reads a net without loading blob values.
pub(super) fn read(reader: &Reader) -> ParseResult<Net> {
    let mut net = Net::default();
    let mut cursor = reader.cursor(0, reader.length());
    while let Some((number, field)) = next(&mut cursor)? {
        if net.layers.len() > MOST_LAYERS {
            return Err(format!("more than {MOST_LAYERS} layers; AlexNet has a few dozen"));
        }
        match (number, field) {
            (2, Field::Bytes(part)) => layer(part, false, &mut net)?,
            (100, Field::Bytes(part)) => layer(part, true, &mut net)?,
            (4, field) => field.ints(&mut net.input, 8)?,
            (8, Field::Bytes(part)) => net.input = dimensions(part)?,
            (field, Field::Bytes(mut part)) if field == u64::from(ABOUT) => {
                let text = part.text(part.left())?;
                net.metadata.insert("about".into(), text);
            }
            (field, Field::Bytes(part)) if field == u64::from(MEAN) => {
                net.tensors.push(blob(part, super::super::model::MEAN_TENSOR)?);
            }
            _ => {}
        }
    }
    Ok(net)
}

fn layer(mut cursor: Cursor<'_>, current: bool, net: &mut Net) -> ParseResult<()> {
    let mut layer = Layer::default();
    let mut blobs = Vec::new();
    while let Some((number, field)) = next(&mut cursor)? {
        if blobs.len() > MOST_BLOBS {
            return Err(format!("damaged: a layer with more than {MOST_BLOBS} blobs"));
        }
        match (current, number, field) {
            (true, 1, field) | (false, 4, field) => layer.name = field.text()?,
            (true, 2, field) => layer.kind = field.text()?.to_lowercase().replace('_', ""),
            (false, 5, field) => {
                let kind = field.int()?;
                let known = KINDS.iter().find(|(number, _)| *number == kind);
                layer.kind = known.map_or_else(|| format!("number {kind}"), |(_, kind)| kind.to_string());
            }
            (true, 3, field) | (false, 2, field) => name(&mut layer.bottoms, field)?,
            (true, 4, field) | (false, 3, field) => name(&mut layer.tops, field)?,
            (true, 7, Field::Bytes(part)) | (false, 6, Field::Bytes(part)) => blobs.push(part),
            (false, 1, Field::Bytes(part)) => oldest(part, &mut layer, &mut blobs)?,
            (true, 143, Field::Bytes(mut part)) => {
                while let Some((number, field)) = next(&mut part)? {
                    if let (1, Field::Bytes(shape)) = (number, field) {
                        net.input = dimensions(shape)?;
                    }
                }
            }
            (_, number, Field::Bytes(part)) => settings(part, number, current, &mut layer)?,
            _ => {}
        }
    }
    for (i, part) in blobs.into_iter().enumerate() {
        let name = match i {
            0 => format!("{}.weight", layer.name),
            1 => format!("{}.bias", layer.name),
            _ => format!("{}.{i}", layer.name),
        };
        layer.blobs.push(net.tensors.len());
        let mut tensor = blob(part, &name)?;
        // Old files give every blob four axes.
        match (i, tensor.shape.as_slice()) {
            (1, &[1, 1, 1, n]) => tensor.shape = vec![n],
            (0, &[1, 1, out, inputs]) if layer.kind.starts_with("inner") => tensor.shape = vec![out, inputs],
            _ => {}
        }
        net.tensors.push(tensor);
    }
    net.layers.push(layer);
    Ok(())
}

/// Adds a blob name to a layer's inputs or outputs.
fn name(names: &mut Vec<String>, field: Field<'_>) -> ParseResult<()> {
    if names.len() == MOST_BLOBS {
        return Err(format!("damaged: a layer with more than {MOST_BLOBS} inputs or outputs"));
    }
    names.push(field.text()?);
    Ok(())
}

fn settings(mut cursor: Cursor<'_>, message: u64, current: bool, layer: &mut Layer) -> ParseResult<()> {
    let here = |row: &&(u64, u64, u64, bool, &'static str)| message == if current { row.0 } else { row.1 };
    if !SETTINGS.iter().any(|row| here(&row)) {
        return Ok(());
    }
    let mean = message == if current { 100 } else { 36 };
    while let Some((number, field)) = next(&mut cursor)? {
        // Reads one value more than there are channels, to detect too many.
        if mean && number == 5 && layer.mean.len() < 4 {
            match field {
                Field::Bytes(mut part) => {
                    while part.left() > 0 && layer.mean.len() < 4 {
                        layer.mean.push(f32::from_le_bytes(part.array()?));
                    }
                }
                field => layer.mean.push(field.float()?),
            }
            continue;
        }
        let Some(row) = SETTINGS.iter().find(|row| here(row) && row.2 == number) else { continue };
        set(layer, row.4, row.3, field)?;
    }
    Ok(())
}

fn set(layer: &mut Layer, name: &'static str, float: bool, field: Field<'_>) -> ParseResult<()> {
    let value = if float {
        f64::from(field.float()?)
    } else {
        let mut numbers = Vec::new();
        field.ints(&mut numbers, 4)?;
        numbers.first().copied().unwrap_or_default() as f64
    };
    // The second value of a list belongs to the other axis.
    if layer.settings.insert(name, value).is_some_and(|before| before != value) && !float {
        return Err(format!("its layer {} has a non-square {name}, which is not supported", layer.name));
    }
    Ok(())
}

/// The oldest generation: a nested message within the layer.
fn oldest<'a>(mut cursor: Cursor<'a>, layer: &mut Layer, blobs: &mut Vec<Cursor<'a>>) -> ParseResult<()> {
    while let Some((number, field)) = next(&mut cursor)? {
        match (number, field) {
            (1, field) => layer.name = field.text()?,
            (2, field) => {
                layer.kind = match field.text()?.as_str() {
                    "conv" => "convolution".into(),
                    "pool" => "pooling".into(),
                    other => other.replace('_', ""),
                };
            }
            (50, Field::Bytes(part)) if blobs.len() < MOST_BLOBS => blobs.push(part),
            (number, field) => {
                let Some(row) = OLDEST.iter().find(|row| row.0 == number) else { continue };
                set(layer, row.2, row.1, field)?;
            }
        }
    }
    Ok(())
}

/// BlobShape.
fn dimensions(mut cursor: Cursor<'_>) -> ParseResult<Vec<i64>> {
    let mut numbers = Vec::new();
    while let Some((number, field)) = next(&mut cursor)? {
        if number == 1 {
            field.ints(&mut numbers, 8)?;
        }
    }
    Ok(numbers)
}

/// A blob: dimensions of either kind, float or double values, packed or unpacked.
pub(super) fn blob(mut cursor: Cursor<'_>, name: &str) -> ParseResult<Tensor> {
    let (mut shape, mut legacy) = (None, [1i64; 4]);
    let (mut runs, mut doubles, mut singles) = (Vec::new(), Vec::new(), Vec::new());
    while let Some((number, field)) = next(&mut cursor)? {
        match (number, field) {
            (1..=4, field) => legacy[number as usize - 1] = field.int()?,
            (7, Field::Bytes(part)) => shape = Some(dimensions(part)?),
            (5, Field::Bytes(part)) if runs.len() < 1 << 12 => runs.push((part.at(), part.left())),
            (8, Field::Bytes(part)) if doubles.len() < 1 << 12 => doubles.push((part.at(), part.left())),
            (5, Field::Fixed32(bytes)) => singles.push(f32::from_le_bytes(bytes)),
            (8, Field::Fixed64(bytes)) => singles.push(f64::from_le_bytes(bytes) as f32),
            _ => {}
        }
    }
    let shape = shape.unwrap_or_else(|| legacy.to_vec());
    let shape = shape.iter().map(|&n| usize::try_from(n).map_err(|_| format!("damaged: {name} has a dimension {n}")));
    let shape = shape.collect::<ParseResult<Vec<_>>>()?;
    let (dtype, storage) = if !doubles.is_empty() {
        (Dtype::F64, Storage::Runs(doubles))
    } else if singles.is_empty() {
        (Dtype::F32, Storage::Runs(runs))
    } else {
        (Dtype::F32, Storage::Inline(singles))
    };
    Ok(Tensor { name: name.into(), shape, dtype, storage })
}
