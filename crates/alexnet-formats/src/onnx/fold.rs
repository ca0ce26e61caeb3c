//! Constant folding: exporters put weights behind Identity, Transpose, Reshape or Cast nodes.
//!
//! No data is copied where a different location or stride expresses the result, so a graph cannot ask for more memory than its
//! file has.

use super::super::reader::{ParseResult, Reader};
use super::super::tensor::{Dtype, Storage, Tensor};
use super::proto::{Model, Node};

/// Maximum length of an integer list used as a shape, axis order, or padding.
const LONGEST_LIST: usize = 64;

/// Adds the folded constants to a model's tensors. A value that cannot be determined, such as a shape computed from a dynamic
/// shape, is reported where it is needed.
pub(super) fn constants(model: &mut Model, reader: &Reader) -> ParseResult<()> {
    model.room = usize::try_from(reader.length() / 4).unwrap_or(usize::MAX).saturating_add(1 << 16);
    let nodes = std::mem::take(&mut model.nodes);
    for node in &nodes {
        let Some(name) = node.outputs.first().filter(|name| !name.is_empty()) else { continue };
        if let Some(ints) = ints(node, model) {
            if let Some(width) = width(node, model).filter(|width| ints.len().is_multiple_of(*width)) {
                model.rows.insert(name.clone(), width);
            }
            model.ints.insert(name.clone(), ints);
        }
        if let Some(tensor) = made(node, model, reader)? {
            model.add(Tensor { name: name.clone(), ..tensor });
        }
    }
    model.nodes = nodes;
    Ok(())
}

impl Model {
    /// Index of a constant.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// Adds a constant and returns its index. The first of two with the same name is used.
    pub(super) fn add(&mut self, tensor: Tensor) -> usize {
        let number = self.tensors.len();
        self.places.entry(tensor.name.clone()).or_insert(number);
        self.tensors.push(tensor);
        number
    }

    /// Reads a constant's values, which then stay in memory; in total they may not exceed the file's size.
    pub(super) fn read(&mut self, tensor: &Tensor, reader: &Reader) -> ParseResult<Vec<f32>> {
        let count = tensor.count().unwrap_or(usize::MAX);
        self.room = self.room.checked_sub(count).ok_or_else(|| format!("its graph recomputes {}: too large", tensor.name))?;
        tensor.values(reader)
    }
}

/// The integer list that a node produces, if it is constant.
fn ints(node: &Node, model: &Model) -> Option<Vec<i64>> {
    let of = |input: &String| model.ints.get(input);
    let list = match node.op.as_str() {
        "Constant" => match node.tensor("value") {
            Some((_, ints)) => ints.clone(),
            None => match node.ints("value_ints") {
                [] => vec![node.attribute("value_int")?.int?],
                list => list.to_vec(),
            },
        },
        "Identity" | "Cast" | "Unsqueeze" | "Squeeze" | "Reshape" => of(node.inputs.first()?)?.clone(),
        "Shape" => {
            let list = node.inputs.first().filter(|input| !model.rows.contains_key(*input)).and_then(of)?;
            vec![list.len() as i64]
        }
        "Gather" => {
            let (list, &[at]) = (of(node.inputs.first()?)?, of(node.inputs.get(1)?)?.as_slice()) else { return None };
            vec![*list.get(usize::try_from(at).ok()?)?]
        }
        "Add" | "Sub" | "Mul" => {
            let [a, b] = node.inputs.as_slice() else { return None };
            let (&[a], &[b]) = (of(a)?.as_slice(), of(b)?.as_slice()) else { return None };
            let result = match node.op.as_str() {
                "Add" => a.checked_add(b),
                "Sub" => a.checked_sub(b),
                _ => a.checked_mul(b),
            };
            vec![result?]
        }
        "ConstantOfShape" => {
            let &[length @ 1..=64] = of(node.inputs.first()?)?.as_slice() else { return None };
            let (_, value) = node.tensor("value")?;
            vec![*value.first()?; length as usize]
        }
        // PyTorch's older exporter converts its own padding order, last axis first with both ends together, to ONNX's.
        "Slice" => {
            let numbers = |at: usize| node.inputs.get(at).and_then(of).map(Vec::as_slice);
            let (list, width) = (of(node.inputs.first()?)?, *model.rows.get(node.inputs.first()?)?);
            let all = numbers(1) == Some(&[-1]) && numbers(2)?.first()? < &-(LONGEST_LIST as i64) && numbers(3) == Some(&[0]);
            let backward = all && numbers(4) == Some(&[-1]);
            backward.then(|| list.chunks(width).rev().flatten().copied().collect())?
        }
        "Transpose" => {
            let (list, width) = (of(node.inputs.first()?)?, *model.rows.get(node.inputs.first()?)?);
            (0..width).flat_map(|column| list.iter().skip(column).step_by(width)).copied().collect()
        }
        "Concat" => node.inputs.iter().map(|input| of(input).map(Vec::as_slice)).collect::<Option<Vec<_>>>()?.concat(),
        _ => return None,
    };
    (!list.is_empty() && list.len() <= LONGEST_LIST).then_some(list)
}

/// The row length, if the list that a node produces is a matrix.
fn width(node: &Node, model: &Model) -> Option<usize> {
    match node.op.as_str() {
        "Reshape" => match model.ints.get(node.inputs.get(1)?)?.as_slice() {
            [-1, width @ 1..=64] => usize::try_from(*width).ok(),
            _ => None,
        },
        "Slice" => model.rows.get(node.inputs.first()?).copied(),
        _ => None,
    }
}

/// The unnamed constant that a node produces; `None` if its inputs are not constant.
fn made(node: &Node, model: &mut Model, reader: &Reader) -> ParseResult<Option<Tensor>> {
    let op = node.op.as_str();
    if op == "Constant" {
        return Ok(constant(node));
    }
    let Some(input) = node.inputs.first() else { return Ok(None) };
    if op == "ConstantOfShape" {
        return repeated(node, model.ints.get(input));
    }
    if !["Identity", "Cast", "Transpose", "Reshape", "Flatten", "Unsqueeze", "Squeeze", "Pad"].contains(&op) {
        return Ok(None);
    }
    let Some(number) = model.find(input) else { return Ok(None) };
    // Data in memory would be duplicated; integer lists are not weights.
    let mut tensor = model.tensors[number].clone();
    let parts = match &tensor.storage {
        Storage::Inline(values) => values.len(),
        Storage::Runs(runs) | Storage::Varints(runs) => 4 * runs.len(),
        _ => 4,
    };
    model.room = model.room.checked_sub(parts).ok_or_else(|| format!("its graph repeats {} too often", tensor.name))?;
    match op {
        "Transpose" => transpose(node, tensor, model, reader).map(Some),
        "Pad" => pad(node, tensor, model, reader),
        "Reshape" | "Flatten" | "Unsqueeze" | "Squeeze" => {
            let Some(shape) = reshaped(node, &tensor, model) else { return Ok(None) };
            if let Storage::Strided { .. } = tensor.storage {
                tensor.storage = Storage::Inline(model.read(&tensor, reader)?);
                tensor.dtype = Dtype::F32;
            }
            Ok(Some(Tensor { shape, ..tensor }))
        }
        _ => Ok(Some(tensor)),
    }
}

/// The value of a Constant node.
fn constant(node: &Node) -> Option<Tensor> {
    if let Some((tensor, _)) = node.tensor("value") {
        return Some(tensor.clone());
    }
    let here = |shape, values| Tensor { name: String::new(), shape, dtype: Dtype::F32, storage: Storage::Inline(values) };
    if let Some(float) = node.attribute("value_float").and_then(|attribute| attribute.float) {
        return Some(here(Vec::new(), vec![float]));
    }
    let floats = &node.attribute("value_floats")?.floats;
    Some(here(vec![floats.len()], floats.clone()))
}

/// The value of a ConstantOfShape node.
fn repeated(node: &Node, dimensions: Option<&Vec<i64>>) -> ParseResult<Option<Tensor>> {
    let Some(dimensions) = dimensions else { return Ok(None) };
    let name = node.outputs.first().cloned().unwrap_or_default();
    let shape = dimensions.iter().map(|&n| usize::try_from(n).map_err(|_| format!("{name} has a dimension {n}")));
    let shape = shape.collect::<ParseResult<Vec<_>>>()?;
    let value = match node.tensor("value").map(|(tensor, _)| &tensor.storage) {
        Some(Storage::Inline(values)) => values.first().copied().unwrap_or_default(),
        // Integers are not weights.
        Some(_) => return Ok(None),
        None => 0.0,
    };
    Ok(Some(Tensor { name, shape, dtype: Dtype::F32, storage: Storage::Fill(value) }))
}

/// Permutes axes: the same bytes with other strides, if they form a single run.
fn transpose(node: &Node, tensor: Tensor, model: &mut Model, reader: &Reader) -> ParseResult<Tensor> {
    let axes = tensor.shape.len();
    let order: Vec<usize> = match node.ints("perm") {
        [] => (0..axes).rev().collect(),
        order => order.iter().map(|&axis| usize::try_from(axis).unwrap_or(usize::MAX)).collect(),
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..axes) {
        return Err(format!("its Transpose of {} has invalid axes {order:?} for {axes} axes", tensor.name));
    }
    let beyond = || format!("{}: the shape {:?} overflows", tensor.name, tensor.shape);
    let strides = match &tensor.storage {
        Storage::Strided { strides, .. } => strides.clone(),
        _ => row_major(&tensor.shape).ok_or_else(beyond)?,
    };
    let shape: Vec<usize> = order.iter().map(|&axis| tensor.shape[axis]).collect();
    let strides: Vec<usize> = order.iter().map(|&axis| strides[axis]).collect();
    let storage = match &tensor.storage {
        Storage::Fill(value) => Storage::Fill(*value),
        Storage::Runs(runs) if runs.len() == 1 => {
            let (start, length) = runs[0];
            Storage::Strided { file: None, start, length, strides }
        }
        Storage::External { file, start, length } => {
            Storage::Strided { file: Some(file.clone()), start: *start, length: *length, strides }
        }
        Storage::Strided { file, start, length, .. } => {
            Storage::Strided { file: file.clone(), start: *start, length: *length, strides }
        }
        _ => {
            let values = model.read(&tensor, reader)?;
            let picked = super::super::tensor::pick(&values, &shape, &strides);
            let values = picked.ok_or_else(|| format!("{}: too few values for its shape", tensor.name))?;
            return Ok(Tensor { shape, dtype: Dtype::F32, storage: Storage::Inline(values), ..tensor });
        }
    };
    Ok(Tensor { shape, storage, ..tensor })
}

/// Row-major strides.
pub(super) fn row_major(shape: &[usize]) -> Option<Vec<usize>> {
    let mut strides = vec![1usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].checked_mul(shape[axis])?;
    }
    Some(strides)
}

/// The shape of a constant after a reshaping node, if known.
fn reshaped(node: &Node, tensor: &Tensor, model: &Model) -> Option<Vec<usize>> {
    // Axes were an attribute before opset 13.
    let given = || node.inputs.get(1).filter(|name| !name.is_empty());
    let list = |name: &str| match node.ints(name) {
        [] => given().map_or(Some(&[][..]), |name| model.ints.get(name).map(Vec::as_slice)),
        list => Some(list),
    };
    let place = |axis: i64, axes: usize| usize::try_from(if axis < 0 { axis + axes as i64 } else { axis }).ok();
    let shape = match node.op.as_str() {
        "Flatten" => {
            let axis = place(node.int("axis", 1), tensor.shape.len())?;
            let (rows, columns) = tensor.shape.split_at_checked(axis)?;
            let product = |part: &[usize]| part.iter().try_fold(1usize, |product, &n| product.checked_mul(n));
            vec![product(rows)?, product(columns)?]
        }
        "Reshape" => {
            let target = list("shape")?;
            let known = |(i, &n): (usize, &i64)| match n {
                0 => tensor.shape.get(i).copied(),
                -1 => Some(1),
                n => usize::try_from(n).ok(),
            };
            let mut shape = target.iter().enumerate().map(known).collect::<Option<Vec<_>>>()?;
            if let Some(open) = target.iter().position(|&n| n == -1) {
                let known_len = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n))?;
                shape[open] = tensor.count()?.checked_div(known_len)?;
            }
            shape
        }
        "Unsqueeze" => {
            let axes = list("axes")?;
            let total = tensor.shape.len() + axes.len();
            let places = axes.iter().map(|&axis| place(axis, total)).collect::<Option<Vec<_>>>()?;
            let mut rest = tensor.shape.iter().copied();
            (0..total).map(|axis| if places.contains(&axis) { Some(1) } else { rest.next() }).collect::<Option<Vec<_>>>()?
        }
        _ => {
            let axes = tensor.shape.len();
            let places = list("axes")?.iter().map(|&axis| place(axis, axes)).collect::<Option<Vec<_>>>()?;
            let gone = |axis: usize, n: usize| if places.is_empty() { n == 1 } else { places.contains(&axis) };
            tensor.shape.iter().enumerate().filter(|&(axis, &n)| !gone(axis, n)).map(|(_, &n)| n).collect()
        }
    };
    let len = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n));
    (shape.len() <= LONGEST_LIST && len.is_some() && len == tensor.count()).then_some(shape)
}

/// A padded constant.
fn pad(node: &Node, tensor: Tensor, model: &mut Model, reader: &Reader) -> ParseResult<Option<Tensor>> {
    let Some((before, after, value)) = padding(node, tensor.shape.len(), model, reader) else { return Ok(None) };
    let wide = |axis: usize| tensor.shape[axis].checked_add(before[axis])?.checked_add(after[axis]);
    let shape = (0..tensor.shape.len()).map(wide).collect::<Option<Vec<_>>>();
    let padded = shape.map(|shape| Tensor { shape, storage: Storage::Fill(value), ..tensor.clone() });
    let Some((padded, (len, strides))) = padded.and_then(|p| Some((p.clone(), (p.count()?, row_major(&p.shape)?)))) else {
        return Err(format!("the padded size of {} overflows", tensor.name));
    };
    if len > 0 && tensor.count() == Some(0) || model.room < len {
        return Err(format!("its graph pads {} to {:?}: too large", tensor.name, padded.shape));
    }
    let inner = model.read(&tensor, reader)?;
    let mut values = model.read(&padded, reader)?;
    let mut index = vec![0; tensor.shape.len()];
    for number in inner {
        let place: usize = index.iter().zip(&before).zip(&strides).map(|((i, before), stride)| (i + before) * stride).sum();
        values[place] = number;
        for axis in (0..index.len()).rev() {
            index[axis] += 1;
            if index[axis] < tensor.shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    Ok(Some(Tensor { dtype: Dtype::F32, storage: Storage::Inline(values), ..padded }))
}

/// Padding before and after each axis, and the fill value; `None` if they are not constant.
pub(super) fn padding(node: &Node, axes: usize, model: &Model, reader: &Reader) -> Option<(Vec<usize>, Vec<usize>, f32)> {
    if !matches!(node.text("mode"), "" | "constant") {
        return None;
    }
    let list =
        |attribute: &str, input: usize| match (node.ints(attribute), node.inputs.get(input).filter(|name| !name.is_empty())) {
            ([], Some(name)) => model.ints.get(name).cloned(),
            (list, _) => Some(list.to_vec()),
        };
    let number = |name: &String| {
        let tensor = model.find(name).map(|found| &model.tensors[found]).filter(|tensor| tensor.count() == Some(1))?;
        tensor.values(reader).ok()?.first().copied()
    };
    let value = match node.inputs.get(2).filter(|name| !name.is_empty()) {
        Some(name) => number(name)?,
        None => node.float("value", 0.0),
    };
    let (pads, mut places) = (list("pads", 1)?, list("axes", 3)?);
    if places.is_empty() {
        places = (0..axes as i64).collect();
    }
    if pads.len() != 2 * places.len() {
        return None;
    }
    let (mut before, mut after) = (vec![0; axes], vec![0; axes]);
    for (i, axis) in places.iter().enumerate() {
        let axis = usize::try_from(if *axis < 0 { axis + axes as i64 } else { *axis }).ok().filter(|axis| *axis < axes)?;
        before[axis] = usize::try_from(pads[i]).ok()?;
        after[axis] = usize::try_from(pads[i + places.len()]).ok()?;
    }
    Some((before, after, value))
}

#[cfg(test)]
mod tests;
