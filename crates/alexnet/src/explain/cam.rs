//! Class activation maps: image regions that support a class.

use super::{Heatmap, one_class};
use crate::engine::{Inspection, ReluGradient};
use crate::net::{Net, Op};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Weighting of the maps. A is the layer's output, G the gradient of the class's logit with respect to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Each map weighted by its mean gradient, `relu(sum over maps of mean(G) A)`: Selvaraju et al. 2017.
    GradCam,
    /// Each position weighted by its own gradient, `relu(sum over maps of relu(G) A)`: Jiang et al. 2021 (LayerCAM). Sharper,
    /// also works in early layers.
    LayerCam,
}

impl Method {
    /// `grad-cam` or `layer-cam`.
    pub const fn name(self) -> &'static str {
        match self {
            Method::GradCam => "grad-cam",
            Method::LayerCam => "layer-cam",
        }
    }
}

/// The default layer, the most semantic one that still has positions: the last convolution with its ReLU.
///
/// # Errors
/// The net has no convolutions.
pub fn default_layer(net: &Net) -> Result<String> {
    let Some(last) = net.layers.iter().rposition(|layer| matches!(layer.op, Op::Conv { .. })) else {
        return Err(Error::Net(format!("{}: no convolutions, so no layer has spatial activations", net.name)));
    };
    let shapes = net.shapes()?;
    let same = |i: &usize| shapes[*i].output == shapes[last].output;
    let after = (last + 1..net.layers.len()).take_while(same).find(|&i| matches!(net.layers[i].op, Op::Activation { .. }));
    Ok(net.layers[after.unwrap_or(last)].name.clone())
}

/// Computes the class activation map of `class` in `layer` for one tensor `[3, size, size]`: non-negative, of the size of the
/// layer's maps. All zero without positive evidence for the class.
///
/// # Errors
/// An engine error, or a layer without spatial activations.
pub fn cam(engine: &mut dyn Inspection, tensor: &[f32], class: usize, layer: &str, method: Method) -> Result<Heatmap> {
    let shape = engine.net().shapes()?[engine.net().layer(layer)?].output;
    if shape.size == 1 {
        let better = default_layer(engine.net())?;
        return Err(Error::Invalid(format!("{layer} has no spatial activations; choose a layer such as {better}")));
    }
    let weights = one_class(class, engine.net().classes(), 1)?;
    let found = engine.layer_gradient(tensor, Some(layer), &weights, ReluGradient::Plain)?;
    let pixels = shape.size * shape.size;
    let mut sum = vec![0.0f32; pixels];
    for (map, gradient) in found.activation.chunks_exact(pixels).zip(found.gradient.chunks_exact(pixels)) {
        match method {
            Method::GradCam => {
                let weight = gradient.iter().sum::<f32>() / pixels as f32;
                sum.iter_mut().zip(map).for_each(|(sum, &a)| *sum += weight * a);
            }
            Method::LayerCam => {
                sum.iter_mut().zip(map).zip(gradient).for_each(|((sum, &a), &g)| *sum += g.max(0.0) * a);
            }
        }
    }
    sum.iter_mut().for_each(|sum| *sum = sum.max(0.0));
    Ok(Heatmap { rows: shape.size, columns: shape.size, values: sum })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::tests::{image, stripes};
    use crate::net::presets;

    #[test]
    fn the_map_follows_the_requested_class() {
        let mut engine = stripes();
        let both = image(true, true);
        for layer in ["relu1", "pool1", "relu2"] {
            for method in [Method::GradCam, Method::LayerCam] {
                let [upright, lying] = [0, 1].map(|class| cam(&mut engine, &both, class, layer, method).unwrap());
                // Vertical stripes are in the upper left quarter, horizontal ones in the lower right.
                let inside = |heat: &Heatmap, low: bool| {
                    let half = heat.rows / 2;
                    let cells = (0..heat.values.len()).filter(|i| {
                        let (y, x) = (i / heat.columns, i % heat.columns);
                        if low { y >= half && x >= half } else { y < half && x < half }
                    });
                    cells.map(|i| heat.values[i]).sum::<f32>() / heat.values.iter().sum::<f32>()
                };
                assert!(inside(&upright, false) > 0.8, "{layer} {method:?}: {}", inside(&upright, false));
                assert!(inside(&lying, true) > 0.8, "{layer} {method:?}: {}", inside(&lying, true));
                let (row, column) = upright.hottest();
                assert!(row < upright.rows / 2 && column < upright.columns / 2);
            }
        }
        let error = cam(&mut engine, &both, 0, "fc3", Method::GradCam).unwrap_err().to_string();
        assert!(error.contains("fc3 has no spatial activations") && error.contains("relu2"), "{error}");
        assert!(cam(&mut engine, &both, 2, "relu2", Method::GradCam).is_err());
    }

    #[test]
    fn an_absent_class_has_no_evidence() {
        let heat = cam(&mut stripes(), &image(false, false), 0, "relu2", Method::LayerCam).unwrap();
        assert!(heat.values.iter().all(|&v| v == 0.0));
    }

    #[test]
    fn the_default_is_the_last_convolution_with_its_relu() {
        let layer = |name: &str| default_layer(&presets::by_name(name).unwrap()).unwrap();
        assert_eq!((layer("torchvision").as_str(), layer("paper").as_str()), ("relu5", "relu5"));
        for net in presets::ALL {
            let layer = default_layer(&presets::by_name(net.name).unwrap()).unwrap();
            assert!(layer.starts_with("relu") || layer.starts_with("conv"), "{}: {layer}", net.name);
        }
    }
}
