//! From a model file to an engine.

use super::ParameterStore;
use crate::Result;
use crate::formats::Model;

/// Gives all parameters of a model to an engine that runs the same net; where it can, it uses them where they lie.
///
/// # Errors
/// From the engine, when the nets differ.
pub fn load_model(model: &Model, engine: &mut dyn ParameterStore) -> Result<()> {
    model.tensors.iter().try_for_each(|(name, values)| engine.share_parameter(name, values))
}
