//! `POST /explain` and `GET /filters`: visual explanations, as JSON or as an image.

use std::sync::Arc;

use alexnet::draw::encode;
use alexnet::engine::{Engine, ReluGradient};
use alexnet::explain::cam::{self, Method};
use alexnet::explain::saliency::{self, Options as Saliency};
use alexnet::explain::{Heatmap, View, class};
use alexnet::image::Image;
use alexnet::net::Op;
use alexnet::predict::top_k;
use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::images::{Job, Slice, decoded, files, only, within, within_time};
use super::reply::{Content, reply};
use crate::Shared;
use crate::admission::{Grant, INPUT, Need};
use crate::api_error::ApiError;
use crate::batcher::{finite, finite_logits, not_finite};
use crate::model::ServedModel;
use crate::peers::Peer;
use crate::tensors::{AsDoubles, DIGITS};

/// Query parameters of `/explain`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    model: Option<String>,
    #[serde(default)]
    kind: Kind,
    /// A class by name or number; by default the most probable.
    class: Option<String>,
    layer: Option<String>,
    #[serde(default = "layer_cam")]
    method: Method,
    #[serde(default)]
    format: Format,
}

fn layer_cam() -> Method {
    Method::LayerCam
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// Class activation map.
    #[default]
    Cam,
    /// Guided gradient of a class with respect to the pixels.
    Saliency,
    /// Activations of a layer.
    Maps,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Png,
}

/// Opacity of the heatmap's maximum over the image.
const STRENGTH: f32 = 0.65;

/// Part of the upright image that the network sees, as fractions of its width and height.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Area {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

/// Header with the [`Area`] if the answer is an image.
const AREA: HeaderName = HeaderName::from_static("picture-area");

pub(super) async fn explain(
    State(shared): State<Arc<Shared>>,
    options: Result<Query<Options>, QueryRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let Query(options) = options.map_err(|e| ApiError::bad(e.body_text()))?;
    let model = shared.registry.find(options.model.as_deref())?;
    model.single("/explain")?;
    let bad = |error: alexnet::Error| ApiError::bad(error.to_string());
    let layer = match &options.layer {
        Some(name) => model.net.layer(name).map_err(bad)?,
        None if options.kind == Kind::Maps => 0,
        None => cam::default_layer(&model.net).and_then(|name| model.net.layer(&name)).map_err(bad)?,
    };
    let class = options.class.as_deref().map(|name| class(name, &model.classes)).transpose().map_err(bad)?;
    let size = model.net.shapes().map_err(bad)?[layer].output.size;
    if options.kind == Kind::Cam && size == 1 {
        return Err(ApiError::bad(format!(
            "layer {} has no spatial activations; choose a layer such as conv5",
            options.layer.unwrap_or_default()
        )));
    }
    let name = model.net.layers[layer].name.clone();
    let (shared, model) = (&shared, &model);
    within(shared, request, |headers, whole| async move {
        let files = files(&headers, &whole)?;
        let (peer, whole) = (whole.peer.clone(), Arc::new(whole));
        let slice = Slice::new(&whole, only(&files, "  to explain")?);
        let job = Job::of_images(shared, &whole, &[&slice], INPUTS)?;
        drop(whole);
        let preprocess = model.preprocess.clone();
        let look = move |image: &Image| {
            let view = View::centre(image, &preprocess);
            let area = share(&view, image);
            Ok((view, area))
        };
        let ((view, area), room) = decoded(&job, slice, INPUTS, None, look).await?;
        let (kind, method, format, name) = (options.kind, options.method, options.format, name);
        if kind == Kind::Maps {
            return maps(&job, &peer, model, layer, view, area, format, room).await;
        }
        let (seen, asked) = (view.image, name.clone());
        let task = move |engine: &mut dyn Engine| {
            let _room = room;
            heat(engine, &view.tensor, class, kind, &asked, method)
        };
        let (class, heat) = model.lane.ask(task).await?.ok_or_else(not_finite)?;
        finite(&heat.values)?;
        let size = match format {
            Format::Json => heat.values.len() * DIGITS + model.longest_class() * 6 + 1024,
            // Pixels in colour, the overlay, and the encoded file.
            Format::Png => seen.width * seen.height * 12,
        };
        let model = model.clone();
        let build = move || match format {
            Format::Json => Content::json(&HeatAnswer {
                model: &model.name,
                kind,
                class: ClassName { index: class, label: &model.classes[class] },
                area,
                rows: heat.rows,
                columns: heat.columns,
                values: AsDoubles(&heat.values),
                layer: (kind == Kind::Cam).then_some(&name),
                method: (kind == Kind::Cam).then_some(method),
            }),
            Format::Png => Ok(with_area(encode::png(&heat.over(&seen, STRENGTH)), &area)),
        };
        reply(&job, &peer, size, build).await
    })
    .await
}

/// Cost of an explanation, in network inputs of equal time.
pub(super) const INPUTS: usize = 8;

#[derive(Serialize)]
struct HeatAnswer<'a> {
    model: &'a str,
    kind: Kind,
    class: ClassName<'a>,
    area: Area,
    rows: usize,
    columns: usize,
    values: AsDoubles<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layer: Option<&'a String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<Method>,
}

#[derive(Serialize)]
struct ClassName<'a> {
    index: usize,
    label: &'a str,
}

#[derive(Serialize)]
struct MapsAnswer<'a> {
    model: &'a str,
    kind: Kind,
    layer: &'a str,
    area: Area,
    channels: usize,
    rows: usize,
    columns: usize,
    values: AsDoubles<'a>,
}

/// The class, by default the most probable, with its explanation; `None` if the network's output is not finite, in which case the
/// explanation could still look like numbers.
fn heat(
    engine: &mut dyn Engine,
    tensor: &[f32],
    class: Option<usize>,
    kind: Kind,
    layer: &str,
    method: Method,
) -> alexnet::Result<Option<(usize, Heatmap)>> {
    let Some(logits) = finite_logits(engine, tensor)? else { return Ok(None) };
    let class = class.unwrap_or_else(|| top_k(&logits, logits.len(), 1)[0].index);
    if kind == Kind::Cam {
        return Ok(Some((class, cam::cam(engine, tensor, class, layer, method)?)));
    }
    let size = engine.net().image_size;
    let gradient = saliency::gradient(engine, tensor, class, &Saliency { relu: ReluGradient::Guided, smooth: None })?;
    Ok(Some((class, saliency::heat(&gradient, size))))
}

/// Part of the image that the view shows.
fn share(view: &View, image: &Image) -> Area {
    let (w, h, area) = (image.width as f64, image.height as f64, view.area);
    Area { left: area.left as f64 / w, top: area.top as f64 / h, width: area.width as f64 / w, height: area.height as f64 / h }
}

/// All activations of a layer.
#[allow(clippy::too_many_arguments)] // all properties of the request
async fn maps(
    job: &Job,
    peer: &Arc<Peer>,
    model: &Arc<ServedModel>,
    layer: usize,
    view: View,
    area: Area,
    format: Format,
    room: Grant,
) -> Result<Response, ApiError> {
    let shapes = model.net.shapes().map_err(|e| ApiError::ours(e.to_string()))?;
    let (name, shape) = (model.net.layers[layer].name.clone(), shapes[layer].output);
    let count = shape.channels * shape.size * shape.size;
    // As JSON; or pixels in colour, the contact sheet, and the encoded file. Both in addition to the values.
    let size = count * (4 + if format == Format::Json { DIGITS } else { 9 }) + 1024;
    job.shared.admission.answers.check(size)?;
    let task = move |engine: &mut dyn Engine| {
        let _room = room;
        let fine = finite_logits(engine, &view.tensor)?.is_some();
        engine.activation(&view.tensor, &name).map(|values| fine.then_some(values))
    };
    let values = model.lane.ask(task).await?.ok_or_else(not_finite)?;
    finite(&values)?;
    let model = model.clone();
    let build = move || match format {
        Format::Json => Content::json(&MapsAnswer {
            model: &model.name,
            kind: Kind::Maps,
            layer: &model.net.layers[layer].name,
            area,
            channels: shape.channels,
            rows: shape.size,
            columns: shape.size,
            values: AsDoubles(&values),
        }),
        Format::Png => {
            let level = levels(&values);
            let tiles: Vec<u8> = values.iter().flat_map(|&value| [level(value); 3]).collect();
            Ok(with_area(encode::png(&sheet(&tiles, shape.size)), &area))
        }
    };
    reply(job, peer, size, build).await
}

/// Grey levels from the minimum to the maximum of all values.
fn levels(values: &[f32]) -> impl Fn(f32) -> u8 + use<> {
    let (least, most) = values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(least, most), &v| (least.min(v), most.max(v)));
    move |value| ((value - least) / (most - least).max(f32::MIN_POSITIVE) * 255.0).round() as u8
}

/// Query parameters of `/filters`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filters {
    model: Option<String>,
    layer: Option<String>,
    unit: Option<usize>,
}

/// Kernels of the first layer in colour, or of one unit of a later layer with one tile per input.
pub(super) async fn filters(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Arc<Peer>>,
    options: Result<Query<Filters>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(options) = options.map_err(|e| ApiError::bad(e.body_text()))?;
    let model = shared.registry.find(options.model.as_deref())?;
    model.single("/filters")?;
    let index = match &options.layer {
        Some(name) => model.net.layer(name).map_err(|e| ApiError::bad(e.to_string()))?,
        None => 0,
    };
    let shapes = model.net.shapes().map_err(|e| ApiError::ours(e.to_string()))?;
    let (layer, weight) = (&model.net.layers[index], &shapes[index].weight);
    let (&[units, inputs, size, _], Op::Conv { .. }) = (weight.as_slice(), &layer.op) else {
        return Err(ApiError::bad(format!("layer {} has no filters; choose a convolution, such as conv1", layer.name)));
    };
    let unit = options.unit.unwrap_or(0);
    if unit >= units {
        return Err(ApiError::bad(format!("no unit {unit} in layer {}, which has {units}", layer.name)));
    }
    let name = format!("{}.weight", layer.name);
    let pixels = size * size;
    let shown = if inputs == 3 { units } else { inputs };
    let bytes = shown * pixels * 16 + 1024;
    // Keep only the displayed ones: a layer has as many kernels as inputs times units.
    let range = if inputs == 3 { 0..units * 3 * pixels } else { unit * inputs * pixels..(unit + 1) * inputs * pixels };
    let bgr = model.preprocess.channels == alexnet::image::Channels::Bgr;
    within_time(&shared, &peer, INPUT, async |job| {
        let room = job.ticket.turn(Need { inputs: 1, ..Need::default() }, INPUT).await?;
        let task = move |engine: &mut dyn Engine| {
            let _room = room;
            engine.parameter(&name).map(|weights| weights[range].to_vec())
        };
        let kernels = model.lane.ask(task).await?;
        reply(job, &peer, bytes, move || Ok(Content::png(encode::png(&drawn(&kernels, inputs, size, bgr))))).await
    })
    .await
}

/// Kernels as tiles; grey is zero, so positive and negative weights are distinguishable.
fn drawn(kernels: &[f32], inputs: usize, size: usize, bgr: bool) -> Image {
    let pixels = size * size;
    let most = kernels.iter().fold(f32::MIN_POSITIVE, |most, v| most.max(v.abs()));
    let level = |value: f32| (127.5 + 127.5 * value / most).round() as u8;
    let tiles: Vec<u8> = if inputs == 3 {
        let order = if bgr { [2, 1, 0] } else { [0, 1, 2] };
        let pixel = |kernel: &[f32], at: usize| order.map(|c| level(kernel[c * pixels + at]));
        kernels
            .chunks_exact(3 * pixels)
            .flat_map(|kernel| (0..pixels).flat_map(|at| pixel(kernel, at)).collect::<Vec<_>>())
            .collect()
    } else {
        kernels.iter().flat_map(|&value| [level(value); 3]).collect()
    };
    sheet(&tiles, size)
}

/// Arranges square tiles in about as many rows as columns; unused space is black.
fn sheet(tiles: &[u8], size: usize) -> Image {
    let count = tiles.len() / (size * size * 3);
    let columns = (count as f64).sqrt().ceil() as usize;
    let (width, height) = (columns * size, count.div_ceil(columns.max(1)) * size);
    let mut rgb = vec![0; width * height * 3];
    for (i, tile) in tiles.chunks_exact(size * size * 3).enumerate() {
        let (row, column) = (i / columns, i % columns);
        for (y, line) in tile.chunks_exact(size * 3).enumerate() {
            let at = ((row * size + y) * width + column * size) * 3;
            rgb[at..at + line.len()].copy_from_slice(line);
        }
    }
    Image { width, height, rgb }
}

fn with_area(png: Vec<u8>, area: &Area) -> Content {
    let area: Value = json!(area);
    let header = HeaderValue::from_str(&area.to_string()).ok().map(|area| (AREA, area));
    Content { header, ..Content::png(png) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_arranged_in_rows() {
        let tiles: Vec<u8> = (1..=3).flat_map(|tile| [tile; 12]).collect();
        let Image { width, height, rgb } = sheet(&tiles, 2);
        assert_eq!((width, height), (4, 4));
        let first: Vec<u8> = rgb.iter().step_by(3).copied().collect();
        assert_eq!(first, [1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 0, 0, 3, 3, 0, 0]);
    }
}
