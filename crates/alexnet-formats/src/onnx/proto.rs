//! Parser from bytes to nodes and tensors.

use super::super::protobuf::{Field, next};
use super::super::reader::{Cursor, ParseResult, Reader};
use super::super::tensor::{Dtype, Storage, Tensor};
use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path};

/// Maximum number of nodes, of tensors, and of list elements; AlexNet has a few dozen.
const MOST: usize = 1 << 12;
/// Maximum metadata string length: more than the names of a thousand classes.
const LONGEST: u64 = 1 << 24;

/// A model.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) nodes: Vec<Node>,
    /// Initialisers and folded constants.
    pub(super) tensors: Vec<Tensor>,
    /// Index of each constant by name.
    pub(super) places: HashMap<String, usize>,
    /// Number of values that may still be computed and kept in memory.
    pub(super) room: usize,
    /// Short integer lists among the constants: shapes.
    pub(super) ints: HashMap<String, Vec<i64>>,
    /// Row length of those lists that are matrices.
    pub(super) rows: HashMap<String, usize>,
    /// Inputs and outputs of the graph.
    pub(super) inputs: Vec<Value>,
    pub(super) outputs: Vec<Value>,
    pub(super) metadata: BTreeMap<String, String>,
}

/// A graph input or output.
#[derive(Debug, Default)]
pub(super) struct Value {
    pub(super) name: String,
    /// Element type; 0 if unspecified.
    kind: i64,
    /// Dimensions, with 0 for dynamic ones.
    pub(super) dimensions: Vec<i64>,
}

impl Value {
    /// Whether it may hold floats, like logits and unlike the best class index.
    pub(super) fn floating(&self) -> bool {
        matches!(self.kind, 0 | 1 | 10 | 11 | 16)
    }
}

/// An operator node.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) op: String,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    pub(super) attributes: Vec<Attribute>,
}

#[derive(Debug, Default)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) float: Option<f32>,
    pub(super) int: Option<i64>,
    text: Option<String>,
    pub(super) ints: Vec<i64>,
    pub(super) floats: Vec<f32>,
    tensor: Option<(Tensor, Vec<i64>)>,
}

impl Node {
    pub(super) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| a.name == name)
    }

    pub(super) fn int(&self, name: &str, otherwise: i64) -> i64 {
        self.attribute(name).and_then(|a| a.int).unwrap_or(otherwise)
    }

    pub(super) fn float(&self, name: &str, otherwise: f32) -> f32 {
        self.attribute(name).and_then(|a| a.float).unwrap_or(otherwise)
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.attribute(name).and_then(|a| a.text.as_deref()).unwrap_or_default()
    }

    pub(super) fn ints(&self, name: &str) -> &[i64] {
        self.attribute(name).map_or(&[], |a| &a.ints)
    }

    pub(super) fn tensor(&self, name: &str) -> Option<&(Tensor, Vec<i64>)> {
        self.attribute(name)?.tensor.as_ref()
    }
}

/// Reads the model without loading tensor values.
pub(super) fn model(reader: &Reader) -> ParseResult<Model> {
    let mut model = Model::default();
    let mut cursor = reader.cursor(0, reader.length());
    while let Some((number, field)) = next(&mut cursor)? {
        match (number, field) {
            (7, Field::Bytes(cursor)) => graph(cursor, &mut model)?,
            (14, Field::Bytes(cursor)) => {
                let (key, value) = pair(cursor)?;
                model.metadata.insert(key, value);
            }
            _ => {}
        }
    }
    if model.nodes.is_empty() {
        return Err("an ONNX model without a graph".into());
    }
    Ok(model)
}

fn pair(mut cursor: Cursor<'_>) -> ParseResult<(String, String)> {
    let (mut key, mut value) = (String::new(), String::new());
    while let Some((number, field)) = next(&mut cursor)? {
        match number {
            1 => key = field.text()?,
            2 => value = field.text_of(LONGEST)?,
            _ => {}
        }
    }
    Ok((key, value))
}

fn graph(mut cursor: Cursor<'_>, model: &mut Model) -> ParseResult<()> {
    while let Some((number, field)) = next(&mut cursor)? {
        if model.nodes.len() + model.tensors.len() + model.inputs.len() + model.outputs.len() > MOST {
            return Err(format!("a graph with more than {MOST} parts; AlexNet has a few dozen"));
        }
        match (number, field) {
            (1, Field::Bytes(cursor)) => model.nodes.push(node(cursor)?),
            (5, Field::Bytes(cursor)) => {
                let (tensor, ints) = tensor(cursor)?;
                if !ints.is_empty() {
                    model.ints.insert(tensor.name.clone(), ints);
                }
                model.add(tensor);
            }
            (11, Field::Bytes(cursor)) => model.inputs.push(value(cursor)?),
            (12, Field::Bytes(cursor)) => model.outputs.push(value(cursor)?),
            _ => {}
        }
    }
    Ok(())
}

fn node(mut cursor: Cursor<'_>) -> ParseResult<Node> {
    let mut node = Node::default();
    while let Some((number, field)) = next(&mut cursor)? {
        if node.inputs.len() + node.outputs.len() + node.attributes.len() > 64 {
            return Err("damaged: a node with more than 64 parts".into());
        }
        match (number, field) {
            (1, field) => node.inputs.push(field.text()?),
            (2, field) => node.outputs.push(field.text()?),
            (4, field) => node.op = field.text()?,
            (5, Field::Bytes(cursor)) => node.attributes.push(attribute(cursor)?),
            _ => {}
        }
    }
    Ok(node)
}

fn attribute(mut cursor: Cursor<'_>) -> ParseResult<Attribute> {
    let mut attribute = Attribute::default();
    while let Some((number, field)) = next(&mut cursor)? {
        match (number, field) {
            (1, field) => attribute.name = field.text()?,
            (2, field) => attribute.float = Some(field.float()?),
            (3, field) => attribute.int = Some(field.int()?),
            (4, field) => attribute.text = Some(field.text()?),
            (5, Field::Bytes(cursor)) => attribute.tensor = Some(tensor(cursor)?),
            (7, Field::Fixed32(bytes)) if attribute.floats.len() < 64 => attribute.floats.push(f32::from_le_bytes(bytes)),
            (7, Field::Bytes(mut part)) => {
                while part.left() > 0 && attribute.floats.len() < 64 {
                    attribute.floats.push(f32::from_le_bytes(part.array()?));
                }
            }
            (8, field) => field.ints(&mut attribute.ints, 64)?,
            _ => {}
        }
    }
    Ok(attribute)
}

/// ValueInfoProto: name, element type and dimensions.
fn value(mut cursor: Cursor<'_>) -> ParseResult<Value> {
    let mut value = Value::default();
    while let Some((number, field)) = next(&mut cursor)? {
        match (number, field) {
            (1, field) => value.name = field.text()?,
            (2, Field::Bytes(kind)) => {
                for mut tensor in inner(kind, 1)? {
                    while let Some((number, field)) = next(&mut tensor)? {
                        let shape = match (number, field) {
                            (2, Field::Bytes(shape)) => shape,
                            (1, field) => {
                                value.kind = field.int()?;
                                continue;
                            }
                            _ => continue,
                        };
                        for mut dimension in inner(shape, 1)? {
                            let mut size = 0;
                            while let Some((number, field)) = next(&mut dimension)? {
                                if number == 1 {
                                    size = field.int()?;
                                }
                            }
                            value.dimensions.push(size);
                        }
                    }
                }
            }
            _ => {}
        }
    }
    Ok(value)
}

/// The submessages of one field, at most 16.
fn inner<'a>(mut cursor: Cursor<'a>, target: u64) -> ParseResult<Vec<Cursor<'a>>> {
    let mut found = Vec::new();
    while let Some((number, field)) = next(&mut cursor)? {
        if let (Field::Bytes(part), true) = (field, number == target && found.len() < 16) {
            found.push(part);
        }
    }
    Ok(found)
}

/// A tensor, and its values if they are a few integers.
fn tensor(mut cursor: Cursor<'_>) -> ParseResult<(Tensor, Vec<i64>)> {
    let (mut name, mut dimensions, mut kind) = (String::new(), Vec::new(), 0);
    let (mut runs, mut floats, mut ints) = (Vec::new(), Vec::new(), Vec::new());
    let (mut halves, mut few) = (Vec::new(), Vec::new());
    let (mut outside, mut place) = (false, HashMap::new());
    let reader = cursor.reader();
    while let Some((number, field)) = next(&mut cursor)? {
        match (number, field) {
            (1, field) => field.ints(&mut dimensions, 64)?,
            (2, field) => kind = field.int()?,
            (4 | 9 | 10, Field::Bytes(part)) if runs.len() < 64 => runs.push((part.at(), part.left())),
            (4, Field::Fixed32(bytes)) if floats.len() < MOST => floats.push(f32::from_le_bytes(bytes)),
            // Half precision as written by the onnx package's `make_tensor`: the 16 bits of each number as an integer.
            (5, Field::Bytes(part)) if halves.len() < 64 => halves.push((part.at(), part.left())),
            (5, field) => field.ints(&mut few, MOST)?,
            (7, field) => field.ints(&mut ints, MOST)?,
            (8, field) => name = field.text()?,
            (13, Field::Bytes(part)) if place.len() < 16 => {
                let (key, value) = pair(part)?;
                place.insert(key, value);
            }
            (14, field) => outside = field.int()? == 1,
            _ => {}
        }
    }
    let dtype = match kind {
        1 => Dtype::F32,
        10 => Dtype::F16,
        11 => Dtype::F64,
        16 => Dtype::Bf16,
        2 => Dtype::Other("u8"),
        3 => Dtype::Other("i8"),
        6 => Dtype::Other("i32"),
        7 => Dtype::Other("i64"),
        _ => Dtype::Other("other"),
    };
    let shape = dimensions.iter().map(|&n| usize::try_from(n).map_err(|_| format!("damaged: {name} has a dimension {n}")));
    let shape = shape.collect::<ParseResult<Vec<_>>>()?;
    if kind == 7
        && let [(start, length)] = runs.as_slice()
        && *length <= 512
    {
        let bytes = reader.cursor(*start, start + length).bytes(*length)?;
        ints = bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect();
    }
    // A single value may be the fill value of ConstantOfShape: read immediately.
    if kind == 1
        && let [(start, 4)] = runs.as_slice()
        && !outside
    {
        floats = vec![f32::from_le_bytes(reader.cursor(*start, start + 4).array()?)];
    }
    let storage = if outside {
        let number = |key: &str, otherwise: u64| place.get(key).map_or(Ok(otherwise), |text| text.parse::<u64>());
        let file = place.get("location").cloned().unwrap_or_default();
        // The length is optional and defaults to that of the shape.
        let len = shape.iter().try_fold(1u64, |product, &n| product.checked_mul(n as u64));
        let length = len.and_then(|len| len.checked_mul(dtype.size().unwrap_or(1) as u64)).unwrap_or(u64::MAX);
        let (start, length) = match (number("offset", 0), number("length", length)) {
            (Ok(start), Ok(length)) => (start, length),
            _ => return Err(format!("damaged: {name} has an invalid location in {file}")),
        };
        // A path could refer to any file; links are checked when it is opened.
        let inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
        if file.is_empty() || file.contains('\\') || !Path::new(&file).components().all(inside) {
            return Err(format!(
                "stores {name} in `{file}`, outside the model's folder; move that file next to the model and save it again"
            ));
        }
        Storage::External { file: reader.path().with_file_name(file), start, length }
    } else if runs.is_empty() && !(halves.is_empty() && few.is_empty()) && matches!(dtype, Dtype::F16 | Dtype::Bf16) {
        if few.is_empty() {
            Storage::Varints(halves)
        } else {
            Storage::Inline(few.iter().map(|&bits| dtype.half(bits as u16)).collect())
        }
    } else if floats.is_empty() {
        Storage::Runs(runs)
    } else {
        Storage::Inline(floats)
    };
    Ok((Tensor { name, shape, dtype, storage }, ints))
}
