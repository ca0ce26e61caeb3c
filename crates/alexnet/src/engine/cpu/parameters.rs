//! Weights and biases with their optimizer's state.
//!
//! Weights come in file order and are packed, layer by layer, when something needs them packed: a convolution, training, a
//! batch of more than a few images. So one image is answered from a mapped file without copying 234 MB first.

use alexnet_kernels::buffer::Buffer;
use alexnet_kernels::context::{Context, FactorType};
use alexnet_kernels::executor::Serial;
use alexnet_kernels::linear;
use alexnet_kernels::optim::Optimizer;
use alexnet_kernels::weight_layout::Filters;

use super::plan::parameter_shapes;
use crate::formats::TensorData;
use crate::net::{Net, Op};
use crate::{Error, Result};

/// The parameters of one layer.
pub(super) struct Parameter {
    /// The layer's name.
    pub(super) name: String,
    /// Shape and order of the weights.
    pub(super) filters: Filters,
    /// Weights in file order, as they were given: unless there are none yet (all are zero), or they were packed and would
    /// only take memory (a mapped file takes none), or training has changed them since.
    file_order: Option<TensorData>,
    /// Whether inference uses file order for any number of images, so that this does not change its sums.
    pub(super) steady: bool,
    /// Whether a run trains them, so that inference uses packed weights for any number of images, as after a step.
    pub(super) trains: bool,
    /// Packed weights; empty until needed.
    pub(super) weights: Buffer,
    /// Biases.
    pub(super) biases: Vec<f32>,
    /// What a batch norm, whose weights and biases are those above, remembers of batches; none for other layers.
    running: Option<Running>,
    /// Weights as inference wants them, made when first needed after a change; empty when they are not made.
    pub(super) prepared: Buffer,
    /// What the optimizer keeps, a slot each in its order; empty before the first step.
    state: Vec<Slot>,
}

/// What an optimizer keeps of a layer under one name.
struct Slot {
    name: String,
    /// For each weight, packed.
    weights: Buffer,
    /// For each bias.
    biases: Vec<f32>,
}

/// Weights or biases, with the values of each slot of their state.
pub(super) type WithState<'a> = (&'a mut [f32], Vec<&'a mut [f32]>);

/// A batch norm's running mean and variance, and the share by which they follow those of a batch.
#[derive(Debug, Clone)]
struct Running {
    values: [Vec<f32>; 2],
    momentum: f32,
}

/// Weights, biases, or a batch norm's running mean (0) or variance (1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Weight,
    Bias,
    Running(usize),
}

impl Parameter {
    /// All zeros.
    pub(super) fn zeros(net: &Net) -> Result<Vec<Parameter>> {
        let make = |(layer, filters): (usize, Filters)| {
            let running = match net.layers[layer].op {
                Op::BatchNorm { momentum, .. } => {
                    Some(Running { values: [vec![0.0; filters.k], vec![0.0; filters.k]], momentum })
                }
                _ => None,
            };
            Parameter { running, ..Parameter::of(&net.layers[layer].name, filters) }
        };
        Ok(parameter_shapes(net)?.into_iter().map(make).collect())
    }

    /// All zeros, of one layer.
    pub(super) fn of(layer: &str, filters: Filters) -> Parameter {
        Parameter {
            name: layer.into(),
            filters,
            file_order: None,
            steady: false,
            trains: false,
            weights: Buffer::default(),
            biases: vec![0.0; filters.k],
            running: None,
            prepared: Buffer::default(),
            state: Vec::new(),
        }
    }

    /// The weights in file order, if there are and that is the faster way for `n` images, or is to be the same for all numbers: it is for a few, and for those
    /// it stays the way when a larger batch has packed the weights of a mapped file in between. In bf16 prepared weights are half as much to read.
    pub(super) fn in_file_order(&self, context: &Context<'_>, n: usize) -> Option<&TensorData> {
        let wanted = (n <= linear::FEW || self.steady) && !self.trains && context.factors == FactorType::F32;
        self.file_order.as_ref().filter(|_| wanted)
    }

    /// Packs the weights, unless they are.
    pub(super) fn pack(&mut self, context: &Context<'_>) {
        if !self.weights.is_empty() {
            return;
        }
        self.weights = Buffer::zeros(self.filters.packed_len());
        if let Some(values) = &self.file_order {
            self.filters.pack(context.threads, values, &mut self.weights);
        }
        let keep = self.steady && context.factors == FactorType::F32;
        self.file_order = self.file_order.take().filter(|values| keep || values.is_mapped());
    }

    /// Prepares weights for inference, unless they are: `len` floats that `make` makes of packed weights.
    pub(super) fn ready_to_infer(&mut self, context: &Context<'_>, len: usize, make: impl FnOnce(&[f32], &mut [f32])) {
        if len > 0 && self.prepared.len() == len {
            return;
        }
        self.pack(context);
        self.prepared = Buffer::zeros(len);
        if len > 0 {
            make(&self.weights, &mut self.prepared);
            // A mapped file can give them again; until then they would only take memory.
            if self.file_order.is_some() {
                self.weights = Buffer::default();
            }
        }
    }

    /// Frees packed weights of a layer whose inference reads file order for any number of images: 214 MB of torchvision's linear layers, which
    /// a gradient had packed beside them.
    pub(super) fn release_packed(&mut self) {
        if self.steady && self.file_order.is_some() {
            self.weights = Buffer::default();
        }
    }

    /// Makes room for the optimizer's state, all zeros, unless there is some, and forgets what a step will make stale. The weights
    /// must be packed.
    pub(super) fn ready_to_train(&mut self, optimizer: &Optimizer) {
        debug_assert!(!self.weights.is_empty(), "{}: not packed", self.name);
        self.prepared = Buffer::default();
        self.file_order = None;
        let slots = optimizer.slots();
        if self.state.iter().map(|slot| slot.name.as_str()).ne(slots.iter().copied()) {
            for slot in slots {
                self.slot_mut(slot);
            }
            self.state.retain(|slot| slots.contains(&slot.name.as_str()));
            self.state.sort_by_key(|slot| slots.iter().position(|name| *name == slot.name));
        }
    }

    /// As [`ready_to_train`](Self::ready_to_train) for a layer that keeps its bits: it needs no state, and what is prepared
    /// for inference stays good. Packed weights serve batches of every size, so that these do not change a bit.
    pub(super) fn ready_frozen(&mut self) {
        debug_assert!(!self.weights.is_empty(), "{}: not packed", self.name);
        self.file_order = None;
    }

    /// The packed weights and their state, to move them.
    pub(super) fn weights_with_state(&mut self) -> WithState<'_> {
        (&mut self.weights, self.state.iter_mut().map(|slot| &mut slot.weights[..]).collect())
    }

    /// The biases and their state, to move them.
    pub(super) fn biases_with_state(&mut self) -> WithState<'_> {
        (&mut self.biases, self.state.iter_mut().map(|slot| &mut slot.biases[..]).collect())
    }

    /// A slot of the optimizer's state, made now if there is none.
    fn slot_mut(&mut self, name: &str) -> &mut Slot {
        let at = self.state.iter().position(|slot| slot.name == name).unwrap_or_else(|| {
            let (weights, biases) = (Buffer::zeros(self.filters.packed_len()), vec![0.0; self.filters.k]);
            self.state.push(Slot { name: name.into(), weights, biases });
            self.state.len() - 1
        });
        &mut self.state[at]
    }

    /// Whether it is a batch norm's.
    pub(super) fn is_norm(&self) -> bool {
        self.running.is_some()
    }

    /// A batch norm's running mean (0) or variance (1); nothing where there is none.
    pub(super) fn running_of(&self, which: usize) -> &[f32] {
        self.running.as_ref().map_or(&[], |running| &running.values[which])
    }

    /// Moves a running mean (0) or variance (1) by a share of how far it is from a batch's.
    pub(super) fn follow(&mut self, which: usize, away: &[f32]) {
        let Some(Running { values, momentum }) = &mut self.running else { return };
        values[which].iter_mut().zip(away).for_each(|(running, away)| *running -= *momentum * away);
    }

    fn packed(&self, packed: &[f32]) -> Vec<f32> {
        let mut values = vec![0.0; self.filters.len()];
        if !packed.is_empty() {
            self.filters.unpack(&Serial, packed, &mut values);
        }
        values
    }
}

/// Finds the layer and the part that a name such as `conv1.weight` means.
pub(super) fn find(parameters: &[Parameter], name: &str) -> Result<(usize, Part)> {
    let split = name.rsplit_once('.').and_then(|(layer, part)| {
        let part = match part {
            "weight" => Part::Weight,
            "bias" => Part::Bias,
            "running_mean" => Part::Running(0),
            "running_var" => Part::Running(1),
            _ => return None,
        };
        let at = parameters.iter().position(|p| p.name == layer)?;
        (!matches!(part, Part::Running(_)) || parameters[at].is_norm()).then_some((at, part))
    });
    split.ok_or_else(|| Error::Net(format!("the net has no parameter named {name}")))
}

pub(super) fn check(name: &str, values: &[f32], len: usize) -> Result<()> {
    if values.len() == len {
        return Ok(());
    }
    Err(Error::Net(format!("{name} has {len} values, not {}", values.len())))
}

/// A parameter in canonical order.
pub(super) fn read(parameters: &[Parameter], name: &str) -> Result<Vec<f32>> {
    let (i, part) = find(parameters, name)?;
    Ok(match (part, &parameters[i].file_order) {
        (Part::Weight, Some(values)) => values.to_vec(),
        (Part::Weight, None) => parameters[i].packed(&parameters[i].weights),
        (Part::Bias, _) => parameters[i].biases.clone(),
        (Part::Running(which), _) => parameters[i].running_of(which).to_vec(),
    })
}

/// A slot of the optimizer's state in canonical order; zeros before the first step.
pub(super) fn read_state(parameters: &[Parameter], name: &str, slot: &str) -> Result<Vec<f32>> {
    let (i, part) = find(parameters, name)?;
    let parameter = &parameters[i];
    let slot = parameter.state.iter().find(|known| known.name == slot);
    Ok(match part {
        Part::Weight => parameter.packed(slot.map_or(&[], |slot| &slot.weights)),
        Part::Bias => slot.map_or_else(|| vec![0.0; parameter.filters.k], |slot| slot.biases.clone()),
        // They have none.
        Part::Running(_) => vec![0.0; parameter.filters.k],
    })
}

/// Writes a parameter given in canonical order.
pub(super) fn write(parameters: &mut [Parameter], name: &str, values: &[f32]) -> Result<()> {
    match find(parameters, name)? {
        // While it is packed (in training), one change need not be kept in another order.
        (i, Part::Weight) if !parameters[i].weights.is_empty() && parameters[i].file_order.is_none() => {
            let Parameter { filters, weights, prepared, .. } = &mut parameters[i];
            check(name, values, filters.len())?;
            *prepared = Buffer::default();
            filters.pack(&Serial, values, weights);
            Ok(())
        }
        (i, Part::Weight) => {
            check(name, values, parameters[i].filters.len())?;
            share(parameters, name, &values.to_vec().into())
        }
        (i, Part::Bias) => {
            check(name, values, parameters[i].filters.k)?;
            parameters[i].biases.copy_from_slice(values);
            Ok(())
        }
        (i, Part::Running(which)) => {
            check(name, values, parameters[i].filters.k)?;
            if let Some(running) = &mut parameters[i].running {
                running.values[which].copy_from_slice(values);
            }
            Ok(())
        }
    }
}

/// As [`write`], from values that may be used where they lie.
pub(super) fn share(parameters: &mut [Parameter], name: &str, values: &TensorData) -> Result<()> {
    let (i, Part::Weight) = find(parameters, name)? else { return write(parameters, name, values) };
    let parameter = &mut parameters[i];
    check(name, values, parameter.filters.len())?;
    parameter.file_order = Some(values.clone());
    parameter.weights = Buffer::default();
    parameter.prepared = Buffer::default();
    Ok(())
}

/// Writes a slot of the optimizer's state given in canonical order.
pub(super) fn write_state(parameters: &mut [Parameter], name: &str, slot: &str, values: &[f32]) -> Result<()> {
    let (i, part) = find(parameters, name)?;
    let filters = parameters[i].filters;
    check(name, values, if part == Part::Weight { filters.len() } else { filters.k })?;
    let slot = parameters[i].slot_mut(slot);
    match part {
        Part::Weight => filters.pack(&Serial, values, &mut slot.weights),
        Part::Bias => slot.biases.copy_from_slice(values),
        Part::Running(_) => {}
    }
    Ok(())
}
