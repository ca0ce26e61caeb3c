//! What happens inside a network: activations, and gradients with respect to them.

use super::{Inference, ParameterStore};
use crate::Result;

/// Activations and gradients of layers and of the input, for explanations and tests.
pub trait Inspection: Inference {
    /// What a layer gives for `images`, dropout off, `[n, channels, size, size]` row-major.
    ///
    /// # Errors
    /// An unknown layer, or not the net's images.
    fn activation(&mut self, images: &[f32], layer: &str) -> Result<Vec<f32>>;

    /// What a layer gives for `images` and the gradient with respect to it of `sum(weights * logits)`, dropout off; `weights`
    /// are `[n, classes]`, such as 1 for one class of each image. `layer` `None` means the images themselves.
    ///
    /// # Errors
    /// An unknown layer, slices of other lengths, or a precision without gradients.
    fn layer_gradient(
        &mut self,
        images: &[f32],
        layer: Option<&str>,
        weights: &[f32],
        relu: ReluGradient,
    ) -> Result<LayerGradient>;

    /// The gradient of the mean loss with respect to the images, `[n, 3, size, size]`, dropout off.
    ///
    /// # Errors
    /// Images or labels that do not fit the net or the engine.
    fn input_gradient(&mut self, images: &[f32], labels: &[u32]) -> Result<Vec<f32>>;

    /// Frees what gradients needed and inference does not. A server calls it after an explanation, so that one request does not
    /// leave hundreds of megabytes behind; the next gradient allocates them again.
    fn release_gradient_memory(&mut self) {}
}

/// Activations at any image size, for distances between images.
pub trait FeatureMaps: ParameterStore {
    /// What `layers` give for images of `height` rows and `width` columns, `[n, 3, height, width]`, dropout off, in one pass up to
    /// the last of them. Images of another size than the net's can be followed up to its first linear layer.
    ///
    /// # Errors
    /// A layer that the net does not have, no layers, values that are no such images, images too small for the layers.
    fn feature_maps(&mut self, images: &[f32], size: [usize; 2], layers: &[&str]) -> Result<Vec<Activations>>;
}

/// What a layer gives for a batch of images.
#[derive(Debug, Clone, PartialEq)]
pub struct Activations {
    /// Channels of an image's maps, or features.
    pub channels: usize,
    /// Rows of a map.
    pub height: usize,
    /// Columns of a map.
    pub width: usize,
    /// `[n, channels, height, width]`, row-major.
    pub values: Vec<f32>,
}

/// What a ReLU lets through on the way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReluGradient {
    /// The gradient where the unit was above zero: the derivative.
    Plain,
    /// Of that, only what is above zero: guided backpropagation (Springenberg et al. 2014, section 3.4). A picture for the eye,
    /// no derivative.
    Guided,
}

/// A layer's values and the gradient with respect to them, both `[n, channels, size, size]` row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerGradient {
    /// What the layer gives, as [`Inspection::activation`] returns it.
    pub activation: Vec<f32>,
    /// The gradient.
    pub gradient: Vec<f32>,
}
