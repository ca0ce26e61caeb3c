//! Loading a model into an engine.

use super::ParameterStore;
use crate::Result;
use crate::formats::Model;

/// Loads all parameters of a model, and its activation ranges, into an engine for the same net. Engines that support
/// it use the values in place.
///
/// # Errors
/// Errors of the engine if the nets differ.
pub fn load_model(model: &Model, engine: &mut dyn ParameterStore) -> Result<()> {
    engine.set_ranges(&model.ranges);
    model.tensors.iter().try_for_each(|(name, values)| engine.share_parameter(name, values))
}
