//! From a model file to an engine.

use super::ParameterStore;
use crate::Result;
use crate::formats::Model;

/// Loads all parameters of a model, and its activation ranges, into an engine that runs the same net. An engine that can uses the values where they lie.
///
/// # Errors
/// From the engine, when the nets differ.
pub fn load_model(model: &Model, engine: &mut dyn ParameterStore) -> Result<()> {
    engine.set_ranges(&model.ranges);
    model.tensors.iter().try_for_each(|(name, values)| engine.share_parameter(name, values))
}
