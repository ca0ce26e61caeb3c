//! Inspection of a network: activations and their gradients.

use super::{Inference, ParameterStore};
use crate::Result;

/// Activations and gradients of layers and of the input, for explanations and tests.
pub trait Inspection: Inference {
    /// Output of a layer for `images`, dropout off, `[n, channels, size, size]` row-major.
    ///
    /// # Errors
    /// An unknown layer, or images of another size.
    fn activation(&mut self, images: &[f32], layer: &str) -> Result<Vec<f32>>;

    /// Output of a layer for `images`, and the gradient of `sum(weights * logits)` with respect to it, dropout off.
    /// `weights` are `[n, classes]`, for example one-hot for one class of each image. `layer` `None` means the images
    /// themselves.
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

    /// Frees memory that only gradients need. A server calls it after an explanation, so that one request does not
    /// hold hundreds of megabytes; the next gradient allocates them again.
    fn release_gradient_memory(&mut self) {}
}

/// Activations at any image size, for distances between images.
pub trait FeatureMaps: ParameterStore {
    /// Outputs of `layers` for images of `height` rows and `width` columns, `[n, 3, height, width]`, dropout off, in
    /// one pass up to the last of them. For images of another size than the net's, the layers before its first linear
    /// layer are available.
    ///
    /// # Errors
    /// An unknown layer, no layers, values that do not match the size, or images too small for the layers.
    fn feature_maps(&mut self, images: &[f32], size: [usize; 2], layers: &[&str]) -> Result<Vec<Activations>>;
}

/// Output of a layer for a batch of images.
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

/// Backward rule of ReLUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReluGradient {
    /// The derivative: passes the gradient where the unit was positive.
    Plain,
    /// Guided backpropagation (Springenberg et al. 2014, section 3.4): passes only positive gradients of those. For
    /// visualization; not a derivative.
    Guided,
}

/// A layer's values and the gradient with respect to them, both `[n, channels, size, size]` row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerGradient {
    /// Output of the layer, as [`Inspection::activation`] returns it.
    pub activation: Vec<f32>,
    /// The gradient.
    pub gradient: Vec<f32>,
}
