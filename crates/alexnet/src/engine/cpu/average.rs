//! Running average of the parameters, packed as they are, so that an update is one pass over memory and an exchange moves nothing.

use alexnet_kernels::buffer::Buffer;
use alexnet_kernels::context::Context;
use alexnet_kernels::executor::Serial;
use alexnet_kernels::optim;

use super::Cpu;
use super::parameters::{self, Parameter, Part};
use crate::engine::WeightAveraging;
use crate::{Error, Result};

/// The average of one layer's parameters.
pub(super) struct Average {
    /// Packed weights.
    pub(super) weights: Buffer,
    pub(super) biases: Vec<f32>,
    /// Running mean and variance of a batch norm; empty for other layers.
    pub(super) running: [Vec<f32>; 2],
}

impl Average {
    fn zeros(parameter: &Parameter) -> Average {
        Average {
            weights: Buffer::zeros(parameter.filters.packed_len()),
            biases: vec![0.0; parameter.filters.k],
            running: [0, 1].map(|which| vec![0.0; parameter.running_of(which).len()]),
        }
    }

    /// Moves towards the parameters by a share of the difference.
    fn update(&mut self, context: &Context<'_>, parameter: &Parameter, share: f32) {
        optim::average(context, &mut self.weights, &parameter.weights, share);
        optim::average(context, &mut self.biases, &parameter.biases, share);
        for (which, average) in self.running.iter_mut().enumerate() {
            optim::average(context, average, parameter.running_of(which), share);
        }
    }
}

fn missing(name: &str) -> Error {
    Error::Net(format!("{name} has no average"))
}

impl WeightAveraging for Cpu {
    fn update_average(&mut self, decay: f64) -> Result<()> {
        let pool = self.pool.clone();
        let context = self.context(&pool);
        for parameter in &mut self.parameters {
            parameter.pack(&context);
            match parameter.average.take() {
                Some(mut average) => {
                    average.update(&context, parameter, (1.0 - decay) as f32);
                    parameter.average = Some(average);
                }
                None => {
                    let mut average = Average::zeros(parameter);
                    average.update(&context, parameter, 1.0);
                    parameter.average = Some(average);
                }
            }
        }
        Ok(())
    }

    fn swap_average(&mut self) -> Result<()> {
        self.bytes = None;
        let pool = self.pool.clone();
        let context = self.context(&pool);
        for parameter in &mut self.parameters {
            parameter.pack(&context);
            let mut average = parameter.average.take().ok_or_else(|| missing(&parameter.name))?;
            parameter.swap(&mut average);
            parameter.average = Some(average);
        }
        Ok(())
    }

    fn average(&self, name: &str) -> Result<Vec<f32>> {
        let (i, part) = parameters::find(&self.parameters, name)?;
        let parameter = &self.parameters[i];
        let average = parameter.average.as_ref().ok_or_else(|| missing(name))?;
        Ok(match part {
            Part::Weight => {
                let mut values = vec![0.0; parameter.filters.len()];
                parameter.filters.unpack(&Serial, &average.weights, &mut values);
                values
            }
            Part::Bias => average.biases.clone(),
            Part::Running(which) => average.running[which].clone(),
        })
    }

    fn set_average(&mut self, name: &str, values: &[f32]) -> Result<()> {
        let (i, part) = parameters::find(&self.parameters, name)?;
        let parameter = &mut self.parameters[i];
        let filters = parameter.filters;
        parameters::check(name, values, if part == Part::Weight { filters.len() } else { filters.k })?;
        let mut average = parameter.average.take().unwrap_or_else(|| Average::zeros(parameter));
        match part {
            Part::Weight => filters.pack(&Serial, values, &mut average.weights),
            Part::Bias => average.biases.copy_from_slice(values),
            Part::Running(which) => average.running[which].copy_from_slice(values),
        }
        parameter.average = Some(average);
        Ok(())
    }
}
