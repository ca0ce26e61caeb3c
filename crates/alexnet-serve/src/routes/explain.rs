//! `POST /explain` and `GET /filters`: what the network looks at, as numbers or as a picture.

use std::sync::Arc;

use alexnet::engine::Engine;
use alexnet::image::{Picture, Preprocess, Resize};
use alexnet::net::Op;
use alexnet::predict;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::pictures::{Slice, decoded, files, within};
use crate::Shared;
use crate::model::Loaded;
use crate::problem::{Problem, bytes, json as json_answer};

/// What the address may say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    model: Option<String>,
    #[serde(default)]
    kind: Kind,
    layer: Option<String>,
    #[serde(default)]
    format: Format,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Maps,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Png,
}

/// Where the network's crop lies in the upright picture, as shares of its width and height.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Area {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

/// The header that tells the [`Area`] where the answer is a picture.
const AREA: HeaderName = HeaderName::from_static("picture-area");

/// Maps of a layer, `[channels, size, size]`.
struct Maps {
    channels: usize,
    size: usize,
    values: Vec<f32>,
}

pub(super) async fn explain(
    State(shared): State<Arc<Shared>>,
    options: Result<Query<Options>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Query(options) = options.map_err(|e| Problem::bad(e.body_text()))?;
    let model = shared.registry.find(options.model.as_deref())?;
    let layer = match &options.layer {
        Some(name) => layer(&model, name)?,
        None => 0,
    };
    let (shared, model) = (&shared, &model);
    within(shared, request, |headers, whole| async move {
        let files = files(&headers, &whole)?;
        let [file] = files.as_slice() else {
            return Err(Problem::bad(format!("{} pictures; send one to be explained", files.len())));
        };
        let slice = Slice::new(&Arc::new(whole), file);
        let preprocess = model.preprocess.clone();
        let _room = shared.admission.inputs(1).await?;
        let (images, area) = decoded(shared, slice, move |picture| {
            let mut images = Vec::new();
            predict::inputs(picture, &preprocess, 1, &mut images).map_err(|e| e.to_string())?;
            Ok((images, area(&preprocess, picture)))
        })
        .await?;
        let maps = maps(model, layer, images).await?;
        let name = &model.net.layers[layer].name;
        match options.format {
            Format::Json => Ok(json_answer(
                StatusCode::OK,
                &json!({
                    "model": model.name, "kind": options.kind, "layer": name, "area": area,
                    "channels": maps.channels, "rows": maps.size, "columns": maps.size, "values": maps.values,
                }),
            )),
            Format::Png => {
                let (least, most) = range(&maps.values);
                let level = |value: f32| ((value - least) / (most - least).max(f32::MIN_POSITIVE) * 255.0).round() as u8;
                let tiles: Vec<u8> = maps.values.iter().map(|&value| level(value)).collect();
                let mut response = png(&sheet(&tiles, maps.size, 1), 1)?;
                let area = serde_json::to_string(&area).unwrap_or_default();
                if let Ok(area) = HeaderValue::from_str(&area) {
                    response.headers_mut().insert(AREA, area);
                }
                Ok(response)
            }
        }
    })
    .await
}

/// The number of a layer, of which the names are told when there is none.
fn layer(model: &Loaded, name: &str) -> Result<usize, Problem> {
    model.net.layers.iter().position(|layer| layer.name == name).ok_or_else(|| {
        let names: Vec<&str> = model.net.layers.iter().map(|layer| layer.name.as_str()).collect();
        Problem::bad(format!("no layer {name:?}; there is {}", names.join(", ")))
    })
}

async fn maps(model: &Loaded, layer: usize, images: Vec<f32>) -> Result<Maps, Problem> {
    let shapes = model.net.shapes().map_err(|e| Problem::ours(e.to_string()))?;
    let (name, shape) = (model.net.layers[layer].name.clone(), shapes[layer].output);
    let values = model.lane.ask(move |engine| engine.activation(&images, &name)).await?;
    Ok(Maps { channels: shape.channels, size: shape.size, values })
}

/// Where the centre crop lies in the picture.
fn area(preprocess: &Preprocess, picture: &Picture) -> Area {
    let (w, h, crop) = (picture.width as f64, picture.height as f64, preprocess.crop as f64);
    let (width, height) = match preprocess.resize {
        Resize::ShortSide(side) | Resize::Square(side) => {
            let scale = side as f64 / w.min(h);
            (crop / (w * scale), crop / (h * scale))
        }
        Resize::Warp(side) => (crop / side as f64, crop / side as f64),
    };
    Area { left: (1.0 - width) / 2.0, top: (1.0 - height) / 2.0, width, height }
}

fn range(values: &[f32]) -> (f32, f32) {
    values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(least, most), &v| (least.min(v), most.max(v)))
}

/// What the address may say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filters {
    model: Option<String>,
    layer: Option<String>,
    unit: Option<usize>,
}

/// The kernels of the first layer in colour, or those of one unit of a further one: a tile for each of its inputs.
pub(super) async fn filters(
    State(shared): State<Arc<Shared>>,
    options: Result<Query<Filters>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(options) = options.map_err(|e| Problem::bad(e.body_text()))?;
    let model = shared.registry.find(options.model.as_deref())?;
    let index = match &options.layer {
        Some(name) => layer(&model, name)?,
        None => 0,
    };
    let shapes = model.net.shapes().map_err(|e| Problem::ours(e.to_string()))?;
    let (layer, weight) = (&model.net.layers[index], &shapes[index].weight);
    let (&[units, inputs, size, _], Op::Conv { .. }) = (weight.as_slice(), &layer.op) else {
        return Err(Problem::bad(format!("layer {} has no filters; choose a convolution, such as conv1", layer.name)));
    };
    let unit = options.unit.unwrap_or(0);
    if unit >= units {
        return Err(Problem::bad(format!("unit {unit} of the {units} in {}", layer.name)));
    }
    let name = format!("{}.weight", layer.name);
    let weights = model.lane.ask(move |engine| engine.parameter(&name)).await?;
    let pixels = size * size;
    // Grey is zero, so that one sees what adds and what takes away.
    let largest = |values: &[f32]| values.iter().fold(f32::MIN_POSITIVE, |most, v| most.max(v.abs()));
    let level = |value: f32, most: f32| (127.5 + 127.5 * value / most).round() as u8;
    if inputs == 3 {
        let most = largest(&weights);
        let pixel = |kernel: &[f32], at: usize| [0, 1, 2].map(|c| level(kernel[c * pixels + at], most));
        let tiles: Vec<u8> =
            weights.chunks_exact(3 * pixels).flat_map(|kernel| (0..pixels).flat_map(|at| pixel(kernel, at))).collect();
        return png(&sheet(&tiles, size, 3), 3);
    }
    let kernels = &weights[unit * inputs * pixels..(unit + 1) * inputs * pixels];
    let most = largest(kernels);
    let tiles: Vec<u8> = kernels.iter().map(|&value| level(value, most)).collect();
    png(&sheet(&tiles, size, 1), 1)
}

/// A picture of bytes.
struct Sheet {
    width: usize,
    height: usize,
    bytes: Vec<u8>,
}

/// Square tiles in rows, about as many as there are in a row; what is left over is black. `colours` bytes a pixel.
fn sheet(tiles: &[u8], size: usize, colours: usize) -> Sheet {
    let count = tiles.len() / (size * size * colours);
    let columns = (count as f64).sqrt().ceil() as usize;
    let (width, height) = (columns * size, count.div_ceil(columns.max(1)) * size);
    let mut bytes = vec![0; width * height * colours];
    for (i, tile) in tiles.chunks_exact(size * size * colours).enumerate() {
        let (row, column) = (i / columns, i % columns);
        for (y, line) in tile.chunks_exact(size * colours).enumerate() {
            let at = ((row * size + y) * width + column * size) * colours;
            bytes[at..at + line.len()].copy_from_slice(line);
        }
    }
    Sheet { width, height, bytes }
}

fn png(sheet: &Sheet, colours: usize) -> Result<Response, Problem> {
    let mut file = Vec::new();
    let kind = if colours == 3 { ExtendedColorType::Rgb8 } else { ExtendedColorType::L8 };
    PngEncoder::new(&mut file)
        .write_image(&sheet.bytes, sheet.width as u32, sheet.height as u32, kind)
        .map_err(|e| Problem::ours(format!("the picture cannot be written: {e}")))?;
    Ok(bytes(StatusCode::OK, "image/png", file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_stand_in_rows() {
        let tiles: Vec<u8> = (1..=3).flat_map(|tile| [tile; 4]).collect();
        let Sheet { width, height, bytes } = sheet(&tiles, 2, 1);
        assert_eq!((width, height), (4, 4));
        assert_eq!(bytes, [1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 0, 0, 3, 3, 0, 0]);
    }

    #[test]
    fn the_crop_lies_where_preprocessing_takes_it() {
        let net = alexnet::net::presets::by_name("torchvision").unwrap();
        let picture = Picture { width: 512, height: 256, rgb: Vec::new() };
        let area = area(&Preprocess::for_net(&net), &picture);
        // 224 of 256 rows, and of 512 columns.
        assert_eq!(area, Area { left: 0.28125, top: 0.0625, width: 0.4375, height: 0.875 });
    }
}
