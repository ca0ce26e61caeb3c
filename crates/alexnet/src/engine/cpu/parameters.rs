//! Weights, biases and optimizer state.
//!
//! Weights are given in file order and packed layer by layer when an operation needs them packed: a convolution,
//! training, or a batch of more than a few images. Inference on a single image can therefore start from a mapped file
//! without first copying 234 MB.

use alexnet_kernels::buffer::Buffer;
use alexnet_kernels::context::{Context, FactorType};
use alexnet_kernels::executor::Serial;
use alexnet_kernels::linear;
use alexnet_kernels::optim::Optimizer;
use alexnet_kernels::weight_layout::Filters;

use super::average::Average;
use super::held_gradient::HeldGradient;
use super::plan::parameter_shapes;
use crate::formats::TensorData;
use crate::net::{Net, Op};
use crate::{Error, Result};

/// The parameters of one layer.
pub(super) struct Parameter {
    /// The layer's name.
    pub(super) name: String,
    /// Shape and layout of the weights.
    pub(super) filters: Filters,
    /// Weights in file order, as given. `None` if never set (all zero), changed by training, or packed where keeping
    /// both would only cost memory (a mapped file costs none).
    file_order: Option<TensorData>,
    /// Whether inference uses file order for every batch size, so that the summation order never changes.
    pub(super) steady: bool,
    /// Whether a run trains them; inference then uses packed weights for every batch size, as it does after a
    /// training step.
    pub(super) trains: bool,
    /// Packed weights; empty until needed.
    pub(super) weights: Buffer,
    /// Biases.
    pub(super) biases: Vec<f32>,
    /// Running statistics of a batch norm, whose weights and biases are stored above; `None` for other layers.
    running: Option<Running>,
    /// Weights in the layout that inference needs, created lazily after each change; empty until then.
    pub(super) prepared: Buffer,
    /// Optimizer state, one entry per slot in the optimizer's order; empty before the first step.
    state: Vec<Slot>,
    /// Gradients held until a step is complete.
    pub(super) held: HeldGradient,
    /// Running average of the parameters, if one is kept.
    pub(super) average: Option<Average>,
}

/// One named slot of a layer's optimizer state.
struct Slot {
    name: String,
    /// State of each weight, packed.
    weights: Buffer,
    /// State of each bias.
    biases: Vec<f32>,
}

/// Weights or biases with the values of each state slot.
pub(super) type WithState<'a> = (&'a mut [f32], Vec<&'a mut [f32]>);

/// A batch norm's running mean and variance, and their momentum.
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
    /// Zero-initialised parameters of a net.
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

    /// Zero-initialised parameters of one layer.
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
            held: HeldGradient::default(),
            average: None,
        }
    }

    /// The weights in file order, if available and preferred for `n` images: for a few images it is faster, even
    /// after a larger batch has packed the weights of a mapped file; in steady mode it is used for any number. In
    /// bf16, prepared weights halve the bytes to read.
    pub(super) fn in_file_order(&self, context: &Context<'_>, n: usize) -> Option<&TensorData> {
        let wanted = (n <= linear::FEW || self.steady) && !self.trains && context.factors == FactorType::F32;
        self.file_order.as_ref().filter(|_| wanted)
    }

    /// Packs the weights if they are not packed yet.
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

    /// Prepares weights for inference if not done yet: `make` converts packed weights to `len` floats.
    pub(super) fn ready_to_infer(&mut self, context: &Context<'_>, len: usize, make: impl FnOnce(&[f32], &mut [f32])) {
        if len > 0 && self.prepared.len() == len {
            return;
        }
        self.pack(context);
        self.prepared = Buffer::zeros(len);
        if len > 0 {
            make(&self.weights, &mut self.prepared);
            // A mapped file can provide them again; until then the packed copy would only take memory.
            if self.file_order.is_some() {
                self.weights = Buffer::default();
            }
        }
    }

    /// Frees packed weights of a layer whose inference always reads file order, such as the 214 MB of torchvision's
    /// linear layers that a gradient had packed.
    pub(super) fn release_packed(&mut self) {
        if self.steady && self.file_order.is_some() {
            self.weights = Buffer::default();
        }
    }

    /// Allocates zeroed optimizer state if there is none, and invalidates what a step makes stale. The weights must
    /// be packed.
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

    /// As [`ready_to_train`](Self::ready_to_train) for a frozen layer: it needs no state, and weights prepared for
    /// inference stay valid. Packed weights serve every batch size, so results do not depend on it.
    pub(super) fn ready_frozen(&mut self) {
        debug_assert!(!self.weights.is_empty(), "{}: not packed", self.name);
        self.file_order = None;
    }

    /// The packed weights and their state, for an update.
    pub(super) fn weights_with_state(&mut self) -> WithState<'_> {
        (&mut self.weights, self.state.iter_mut().map(|slot| &mut slot.weights[..]).collect())
    }

    /// The biases and their state, for an update.
    pub(super) fn biases_with_state(&mut self) -> WithState<'_> {
        (&mut self.biases, self.state.iter_mut().map(|slot| &mut slot.biases[..]).collect())
    }

    /// A slot of the optimizer state, created if missing.
    fn slot_mut(&mut self, name: &str) -> &mut Slot {
        let at = self.state.iter().position(|slot| slot.name == name).unwrap_or_else(|| {
            let (weights, biases) = (Buffer::zeros(self.filters.packed_len()), vec![0.0; self.filters.k]);
            self.state.push(Slot { name: name.into(), weights, biases });
            self.state.len() - 1
        });
        &mut self.state[at]
    }

    /// Whether this is a batch norm.
    pub(super) fn is_norm(&self) -> bool {
        self.running.is_some()
    }

    /// A batch norm's running mean (0) or variance (1); empty for other layers.
    pub(super) fn running_of(&self, which: usize) -> &[f32] {
        self.running.as_ref().map_or(&[], |running| &running.values[which])
    }

    /// Moves a running mean (0) or variance (1) towards the batch's, given their difference `away`.
    pub(super) fn follow(&mut self, which: usize, away: &[f32]) {
        let Some(Running { values, momentum }) = &mut self.running else { return };
        values[which].iter_mut().zip(away).for_each(|(running, away)| *running -= *momentum * away);
    }

    /// Exchanges the parameters, which must be packed, with other values of the same shapes.
    pub(super) fn swap(&mut self, other: &mut Average) {
        debug_assert!(!self.weights.is_empty(), "{}: not packed", self.name);
        self.file_order = None;
        self.prepared = Buffer::default();
        std::mem::swap(&mut self.weights, &mut other.weights);
        std::mem::swap(&mut self.biases, &mut other.biases);
        if let Some(running) = &mut self.running {
            std::mem::swap(&mut running.values, &mut other.running);
        }
    }

    fn packed(&self, packed: &[f32]) -> Vec<f32> {
        let mut values = vec![0.0; self.filters.len()];
        if !packed.is_empty() {
            self.filters.unpack(&Serial, packed, &mut values);
        }
        values
    }
}

/// Resolves a name such as `conv1.weight` to a layer and a part.
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
    Err(Error::Net(format!("{name}: expected {len} values, got {}", values.len())))
}

/// Reads a parameter in canonical order.
pub(super) fn read(parameters: &[Parameter], name: &str) -> Result<Vec<f32>> {
    let (i, part) = find(parameters, name)?;
    Ok(match (part, &parameters[i].file_order) {
        (Part::Weight, Some(values)) => values.to_vec(),
        (Part::Weight, None) => parameters[i].packed(&parameters[i].weights),
        (Part::Bias, _) => parameters[i].biases.clone(),
        (Part::Running(which), _) => parameters[i].running_of(which).to_vec(),
    })
}

/// Reads a slot of the optimizer state in canonical order; zeros before the first step.
pub(super) fn read_state(parameters: &[Parameter], name: &str, slot: &str) -> Result<Vec<f32>> {
    let (i, part) = find(parameters, name)?;
    let parameter = &parameters[i];
    let slot = parameter.state.iter().find(|known| known.name == slot);
    Ok(match part {
        Part::Weight => parameter.packed(slot.map_or(&[], |slot| &slot.weights)),
        Part::Bias => slot.map_or_else(|| vec![0.0; parameter.filters.k], |slot| slot.biases.clone()),
        // Running statistics have no optimizer state.
        Part::Running(_) => vec![0.0; parameter.filters.k],
    })
}

/// Writes a parameter given in canonical order.
pub(super) fn write(parameters: &mut [Parameter], name: &str, values: &[f32]) -> Result<()> {
    match find(parameters, name)? {
        // While the weights are packed (in training), the file-order copy need not be kept.
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

/// As [`write`], from values that may be used in place.
pub(super) fn share(parameters: &mut [Parameter], name: &str, values: &TensorData) -> Result<()> {
    let (i, Part::Weight) = find(parameters, name)? else { return write(parameters, name, values) };
    let parameter = &mut parameters[i];
    check(name, values, parameter.filters.len())?;
    parameter.file_order = Some(values.clone());
    parameter.weights = Buffer::default();
    parameter.prepared = Buffer::default();
    Ok(())
}

/// Writes a slot of the optimizer state given in canonical order.
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
