//! The moving average of a run's weights: kept by the engine or, for engines that cannot, on the host.

use super::recipe;
use crate::engine::Training;
use crate::engine::averaging::HostAverage;
use crate::formats::{self, Entry, Model};
use crate::{Error, Result};

/// Prefix of the average's tensors in a state file.
const PREFIX: &str = "ema.";

/// Moving average of a run's weights.
pub(super) struct Ema {
    settings: recipe::Ema,
    /// The average, if the engine does not keep it.
    host: HostAverage,
}

impl Ema {
    /// A new average, equal to the engine's parameters.
    ///
    /// # Errors
    /// An engine whose parameters are sharded over ranks.
    pub(super) fn new(settings: recipe::Ema, engine: &mut dyn Training) -> Result<Ema> {
        let mut ema = Ema { settings, host: HostAverage::default() };
        ema.update(engine, 0.0)?;
        Ok(ema)
    }

    /// Follows the parameters after `step` steps, if an update is due.
    pub(super) fn after_step(&mut self, engine: &mut dyn Training, step: u64) -> Result<()> {
        self.settings.decay_after(step).map_or(Ok(()), |decay| self.update(engine, decay))
    }

    fn update(&mut self, engine: &mut dyn Training, decay: f64) -> Result<()> {
        match engine.averaging() {
            Some(averaging) => averaging.update_average(decay),
            None => self.host.update(engine, decay),
        }
    }

    fn swap(&mut self, engine: &mut dyn Training) -> Result<()> {
        match engine.averaging() {
            Some(averaging) => averaging.swap_average(),
            None => self.host.swap(engine),
        }
    }

    /// The tensors in a state file.
    pub(super) fn entries(model: &Model) -> Result<Vec<Entry>> {
        let parameters = formats::parameters(&model.net)?.into_iter();
        Ok(parameters.map(|(name, shape)| Entry { name: format!("{PREFIX}{name}"), shape }).collect())
    }

    /// The parameter of a tensor in a state file.
    pub(super) fn parameter_of(tensor: &str) -> Option<&str> {
        tensor.strip_prefix(PREFIX)
    }

    /// Name in a state file of a parameter's average.
    pub(super) fn tensor_of(parameter: &str) -> String {
        format!("{PREFIX}{parameter}")
    }

    /// Reads a parameter's average.
    pub(super) fn read(&self, engine: &mut dyn Training, parameter: &str) -> Result<Vec<f32>> {
        match engine.averaging() {
            Some(averaging) => averaging.average(parameter),
            None => self.host.read(parameter),
        }
    }

    /// Writes a parameter's average.
    pub(super) fn write(&mut self, engine: &mut dyn Training, parameter: &str, values: &[f32]) -> Result<()> {
        match engine.averaging() {
            Some(averaging) => averaging.set_average(parameter, values),
            None => {
                self.host.write(parameter, values);
                Ok(())
            }
        }
    }
}

/// Runs `work` on an engine that has the average in place of its parameters, if there is one.
pub(super) fn with_average<T>(
    engine: &mut dyn Training,
    ema: &mut Option<Ema>,
    work: impl FnOnce(&mut dyn Training) -> Result<T>,
) -> Result<T> {
    let Some(ema) = ema else { return work(engine) };
    ema.swap(engine)?;
    let result = work(engine);
    ema.swap(engine)?;
    result
}

/// Checks that an engine can train by a recipe.
///
/// # Errors
/// A setting that the engine does not support.
pub(super) fn check(engine: &mut dyn Training, recipe: &recipe::Recipe) -> Result<()> {
    let unable = |what: &str, why: &str| Err(Error::Invalid(format!("{what}: not supported {why}")));
    if recipe.ema.is_some() && !engine.holds_whole_net() {
        return unable("ema", "with layers sharded over ranks; use --parallel data");
    }
    if engine.accumulation().is_some() {
        return Ok(());
    }
    let why = if engine.holds_whole_net() {
        "on this device; use --device cpu"
    } else {
        "with layers sharded over ranks; use --parallel data"
    };
    match recipe.clip_norm {
        Some(_) => unable("clip_norm", why),
        None if recipe.accumulate > 1 => unable("accumulate", why),
        None => Ok(()),
    }
}
