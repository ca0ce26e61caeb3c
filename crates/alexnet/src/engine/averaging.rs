//! Running averages of an engine's parameters, kept beside them.

use std::collections::BTreeMap;

use super::ParameterStore;
use crate::formats;
use crate::{Error, Result};

/// Engine that keeps a running average of its parameters, of running statistics of batch normalisation too.
pub trait WeightAveraging {
    /// Moves the average towards the parameters: it keeps a share of `decay`. Without an average, it begins as a copy.
    ///
    /// # Errors
    /// A net whose parameters cannot be read.
    fn update_average(&mut self, decay: f64) -> Result<()>;

    /// Exchanges the parameters with their average.
    ///
    /// # Errors
    /// There is no average.
    fn swap_average(&mut self) -> Result<()>;

    /// Reads a parameter's average in canonical order.
    ///
    /// # Errors
    /// An unknown parameter, or no average.
    fn average(&self, name: &str) -> Result<Vec<f32>>;

    /// Writes a parameter's average.
    ///
    /// # Errors
    /// An unknown parameter, or another number of values.
    fn set_average(&mut self, name: &str, values: &[f32]) -> Result<()>;
}

/// Average of the parameters of an engine that keeps none itself. Every update reads all parameters, which is slow on devices.
#[derive(Debug, Default)]
pub struct HostAverage {
    values: BTreeMap<String, Vec<f32>>,
}

impl HostAverage {
    /// As [`WeightAveraging::update_average`].
    ///
    /// # Errors
    /// Those of [`ParameterStore::parameter`].
    pub fn update(&mut self, engine: &dyn ParameterStore, decay: f64) -> Result<()> {
        let share = (1.0 - decay) as f32;
        for (name, _) in formats::parameters(engine.net())? {
            let values = engine.parameter(&name)?;
            match self.values.get_mut(&name) {
                // As `alexnet_kernels::optim::average`.
                Some(average) if share < 0.5 => average.iter_mut().zip(&values).for_each(|(a, v)| *a += (v - *a) * share),
                Some(average) => average.iter_mut().zip(&values).for_each(|(a, v)| *a = v - (v - *a) * (1.0 - share)),
                None => drop(self.values.insert(name, values)),
            }
        }
        Ok(())
    }

    /// As [`WeightAveraging::swap_average`].
    ///
    /// # Errors
    /// Those of [`ParameterStore`].
    pub fn swap(&mut self, engine: &mut dyn ParameterStore) -> Result<()> {
        for (name, average) in &mut self.values {
            let values = engine.parameter(name)?;
            engine.set_parameter(name, average)?;
            *average = values;
        }
        Ok(())
    }

    /// As [`WeightAveraging::average`].
    ///
    /// # Errors
    /// Those of [`WeightAveraging::average`].
    pub fn read(&self, name: &str) -> Result<Vec<f32>> {
        self.values.get(name).cloned().ok_or_else(|| Error::Net(format!("{name} has no average")))
    }

    /// As [`WeightAveraging::set_average`].
    pub fn write(&mut self, name: &str, values: &[f32]) {
        self.values.insert(name.to_string(), values.to_vec());
    }
}
