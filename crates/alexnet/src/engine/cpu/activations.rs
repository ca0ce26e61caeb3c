//! Layer activations for feature extraction, perceptual distances and tests.

use alexnet_kernels::layout;

use super::plan::{Part, Plan, Work, batch};
use super::program::{Program, Purpose};
use super::{Cpu, run};
use crate::engine::{Activations, FeatureMaps};
use crate::{Error, Result};

/// Number of programs cached for later calls. It is limited because a folder of images of many sizes would fill the
/// memory.
const KEPT: usize = 4;

/// The layers and image size whose activations a program computes.
#[derive(Debug, PartialEq)]
pub(super) struct Wanted {
    layers: Vec<usize>,
    size: [usize; 2],
}

impl FeatureMaps for Cpu {
    /// The program for these layers and this size is cached, so the next call only runs it.
    fn feature_maps(&mut self, images: &[f32], [height, width]: [usize; 2], layers: &[&str]) -> Result<Vec<Activations>> {
        let len = 3 * height * width;
        if images.is_empty() || len == 0 || !images.len().is_multiple_of(len) {
            return Err(Error::Net(format!("expected a multiple of 3 x {height} x {width} values, got {}", images.len())));
        }
        let n = images.len() / len;
        let wanted =
            Wanted { layers: layers.iter().map(|layer| self.net.layer(layer)).collect::<Result<_>>()?, size: [height, width] };
        let mut program = self.program_showing(&wanted)?;
        let (pool, capacity) = (self.pool.clone(), self.capacity);
        let context = self.context(&pool);
        run::prepare(&context, &program, &mut self.parameters, n.min(capacity));

        let places: Vec<(usize, usize)> = wanted.layers.iter().map(|&layer| program.plan.after[layer]).collect();
        let mut all: Vec<Activations> = places.iter().map(|&(_, value)| empty(&program.plan, value, n)).collect();
        for (part, images) in images.chunks(len * capacity).enumerate() {
            let n = images.len() / len;
            // Later steps may overwrite a value, in place or because it is no longer needed.
            let mut look = |program: &Program, steps: usize| {
                for (maps, &(after, value)) in all.iter_mut().zip(&places).filter(|(_, place)| place.0 == steps) {
                    let map = batch(program.plan.values[value].map, n);
                    let start = part * capacity * maps.channels * maps.height * maps.width;
                    debug_assert_eq!(after, steps);
                    layout::to_planes(&context, map, program.memory.read(value), &mut maps.values[start..]);
                }
            };
            run::forward_watched(&context, &mut program, &self.parameters, images, n, None, &mut look);
            look(&program, program.plan.steps.len());
        }
        self.shown.push((wanted, program));
        Ok(all)
    }
}

impl Cpu {
    /// Takes the program from the cache or compiles it.
    fn program_showing(&mut self, wanted: &Wanted) -> Result<Program> {
        if let Some(at) = self.shown.iter().position(|(known, _)| known == wanted) {
            return Ok(self.shown.remove(at).1);
        }
        if self.shown.len() == KEPT {
            self.shown.remove(0);
        }
        let last = wanted.layers.iter().max().ok_or_else(|| Error::Invalid("no layers given".into()))?;
        let plan = Plan::of_part(&self.net, Part { layers: 0..last + 1, size: wanted.size, shown: &wanted.layers })?;
        for step in &plan.steps {
            if let Work::Linear { inputs, parameter, .. } = step.work
                && inputs != self.parameters[parameter].filters.depth()
            {
                let name = &self.parameters[parameter].name;
                return Err(Error::Net(format!("layer {name}: a linear layer requires images of the net's own size")));
            }
        }
        Ok(Program::of_plan(plan, Purpose::Infer, self.capacity))
    }
}

/// Zeroed activations for a value of `n` images.
fn empty(plan: &Plan, value: usize, n: usize) -> Activations {
    let map = plan.values[value].map;
    Activations { channels: map.c, height: map.h, width: map.w, values: vec![0.0; n * map.c * map.h * map.w] }
}
