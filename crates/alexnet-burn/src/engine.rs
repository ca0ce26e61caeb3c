//! Implementation of the engine traits on Burn.

use super::gradient;
use super::parameter::{Kind, Of, Parameter, read, squares, write};
use super::tower::{ForwardMode, ForwardTape, PerDevice, Towers};
use alexnet::engine::{
    Batch, BatchShard, Gradients, Inference, Inspection, LayerGradient, OptimizerStep, ParameterStore, Precision, ReluGradient,
    StepStats, Training, input,
};
use alexnet::net::{Net, Op};
use alexnet::{Error, Result};
use alexnet_kernels::context::Context;
use alexnet_kernels::isa::Isa;
use alexnet_kernels::loss;
use burn::tensor::{DType, Device, Tensor};
use std::collections::BTreeMap;

/// Loss scale in half precision. The smallest number is 6e-8; the mean loss of 128 images has gradients of 1 / 128 at
/// the logits, and a thousandth of that far below. The largest number, 65,504, leaves as much room above. A power of
/// two, so that scaling does not round.
const SCALE: f32 = 1024.0;

/// Burn engine: runs a [`Net`] on one device, or as two towers on two.
pub struct Gpu {
    towers: Towers,
    classes: usize,
    capacity: usize,
}

impl Gpu {
    /// Creates an engine for batches of up to `capacity` images; all parameters are zero. With two devices, each
    /// holds one tower.
    ///
    /// # Errors
    /// Inconsistent layers, a last layer that is not linear, a net that cannot be split into two towers, a capacity
    /// of 0, or a device that does not support the precision.
    pub fn new(net: &Net, capacity: usize, devices: Vec<Device>, precision: Precision) -> Result<Gpu> {
        if !matches!(net.layers.last().map(|layer| &layer.op), Some(Op::Linear { .. })) {
            return Err(Error::Net(format!("{}: the last layer must be linear, because its outputs are the classes", net.name)));
        }
        if let Some(layer) = net.local_layer() {
            let message = format!("{}: layer {layer}: locally connected layers are only supported on the CPU", net.name);
            return Err(Error::Net(message));
        }
        if capacity == 0 {
            return Err(Error::Invalid("the batch size must be at least 1".into()));
        }
        let wanted = match precision {
            Precision::F32 => DType::F32,
            Precision::Bf16 => DType::BF16,
            Precision::F16 => DType::F16,
            Precision::Int8 | Precision::Int4 => {
                let message = format!("precision {precision} is only supported on the CPU; use f32, bf16 or f16");
                return Err(Error::Invalid(message));
            }
        };
        if let Some(device) = devices.iter().find(|device| !device.supports_dtype(wanted)) {
            let name = super::device::describe(device);
            return Err(Error::Invalid(format!("{name} does not support {wanted:?}; use --precision f32")));
        }
        Ok(Gpu { towers: Towers::new(net, devices, precision)?, classes: net.classes(), capacity })
    }

    /// Bytes transferred between the two towers so far, gradients included.
    pub fn crossed(&self) -> u64 {
        self.towers.crossed
    }

    /// Warning for the user if one of the devices computes wrong matrix products.
    pub fn warning(&self) -> Option<String> {
        let wrong = self.towers.all.iter().find(|tower| !tower.products.matrices)?;
        let name = super::device::describe(&wrong.device);
        Some(format!(
            "{name} computes wrong matrix products (Burn's kernels require VK_KHR_workgroup_memory_explicit_layout on Vulkan), \
             so linear layers run as slower convolutions; check the other operations with `alexnet selftest`"
        ))
    }

    /// Precision of the matrix products and convolutions, the same on all towers.
    fn precision(&self) -> Precision {
        self.towers.all[0].products.precision
    }

    /// Number of images in `images`.
    fn count(&self, images: &[f32]) -> Result<usize> {
        input::image_count(&self.towers.net, images)
    }

    /// Output of the layers up to and including index `last`, as one tensor.
    fn up_to(&mut self, images: &[f32], last: usize) -> Result<Tensor<4>> {
        let n = self.count(images)?;
        let x = self.towers.images(images, n);
        let held = self.towers.forward(0..last + 1, x, ForwardMode::Infer, &mut ForwardTape::default());
        self.towers.joined(held).ok_or_else(|| Error::Net("no tower holds this layer".into()))
    }

    /// Forward, loss and backward; returns the gradients of parameters for which `learns` is true.
    fn learn(&mut self, batch: &Batch<'_>, learns: &dyn Fn(&str) -> bool) -> Result<(StepStats, Vec<Of>)> {
        let (n, classes) = (self.count(batch.images)?, self.classes);
        input::check_batch(n, batch.labels, classes, self.capacity)?;
        batch.objective.check(n, classes)?;
        let x = self.towers.images(batch.images, n);
        let way = ForwardMode::Learn { learns, dropout: batch.dropout };
        let mut tape = ForwardTape::default();
        let held = self.towers.forward(0..self.towers.net.layers.len(), x, way, &mut tape);
        let logits = read(self.logits(&held)?.without_autodiff())?;
        let mut upstream = vec![0.0; n * classes];
        let context = Context::serial(Isa::Portable);
        let scale = if self.precision() == Precision::F16 { SCALE } else { 1.0 };
        let step = batch.objective.evaluate(&context, classes, &logits, batch.labels, scale, &mut upstream);
        let upstream = write(&upstream, [n, classes, 1, 1], &self.towers.all[0].device);
        let gradients = gradient::of_parameters(&held, upstream, scale, tape);
        Ok((step, gradients))
    }

    /// The logits, which the first tower holds.
    fn logits(&self, held: &PerDevice) -> Result<Tensor<4>> {
        held[0].clone().ok_or_else(|| Error::Net("no tower holds the logits".into()))
    }

    /// Length of the parameter `name`, summed over both towers if it is split.
    fn length(&self, name: &str) -> Result<usize> {
        match self.towers.parts(name).map(|part| part.range.end).max() {
            Some(len) => Ok(len),
            None => Err(Error::Net(format!("the net has no parameter named {name}"))),
        }
    }

    /// Applies gradients to parameters.
    fn move_by(&mut self, gradients: Vec<Of>, step: &OptimizerStep) -> Result<()> {
        // LARS requires the norms of whole layers, over both towers.
        let mut norms: BTreeMap<String, [f64; 2]> = BTreeMap::new();
        if step.optimizer.lars_trust().is_some() {
            for Of { tower, parameter, tensor } in &gradients {
                let parameter = &self.towers.all[*tower].parameters[*parameter];
                if parameter.kind == Kind::Weights {
                    let sums = norms.entry(parameter.name.clone()).or_default();
                    *sums = [sums[0] + squares(&parameter.value)?, sums[1] + squares(tensor)?];
                }
            }
        }
        for Of { tower, parameter, tensor } in gradients {
            let parameter = &mut self.towers.all[tower].parameters[parameter];
            let norms = norms.get(&parameter.name).map(|sums| sums.map(f64::sqrt));
            parameter.learn(tensor, step, norms);
        }
        Ok(())
    }

    fn check(&self, name: &str, values: &[f32]) -> Result<()> {
        let len = self.length(name)?;
        let wrong = || Error::Net(format!("{name}: expected {len} values, got {}", values.len()));
        if values.len() == len { Ok(()) } else { Err(wrong()) }
    }
}

impl ParameterStore for Gpu {
    fn net(&self) -> &Net {
        &self.towers.net
    }

    fn parameter(&self, name: &str) -> Result<Vec<f32>> {
        let mut values = vec![0.0; self.length(name)?];
        for part in self.towers.parts(name) {
            values[part.range.clone()].copy_from_slice(&read(part.value.clone())?);
        }
        Ok(values)
    }

    fn set_parameter(&mut self, name: &str, values: &[f32]) -> Result<()> {
        self.check(name, values)?;
        for tower in &mut self.towers.all {
            for parameter in tower.parameters.iter_mut().filter(|p| p.name == name) {
                parameter.value = write(&values[parameter.range.clone()], [parameter.range.len()], &tower.device);
            }
        }
        Ok(())
    }
}

impl Inference for Gpu {
    fn infer(&mut self, images: &[f32], logits: &mut Vec<f32>) -> Result<()> {
        let len = images.len() / self.count(images)?;
        logits.clear();
        for part in images.chunks(len * self.capacity) {
            let last = self.towers.net.layers.len() - 1;
            logits.extend(read(self.up_to(part, last)?)?);
        }
        Ok(())
    }
}

impl Inspection for Gpu {
    fn activation(&mut self, images: &[f32], layer: &str) -> Result<Vec<f32>> {
        let (last, len) = (self.towers.net.layer(layer)?, images.len() / self.count(images)?);
        let mut values = Vec::new();
        for part in images.chunks(len * self.capacity) {
            values.extend(read(self.up_to(part, last)?)?);
        }
        Ok(values)
    }

    fn layer_gradient(
        &mut self,
        images: &[f32],
        layer: Option<&str>,
        weights: &[f32],
        relu: ReluGradient,
    ) -> Result<LayerGradient> {
        let n = self.count(images)?;
        input::check_logit_weights(n, self.classes, weights)?;
        gradient::of_layer(&mut self.towers, images, n, layer, weights, relu)
    }

    fn input_gradient(&mut self, images: &[f32], labels: &[u32]) -> Result<Vec<f32>> {
        let (n, classes) = (self.count(images)?, self.classes);
        input::check_batch(n, labels, classes, self.capacity)?;
        let mut logits = Vec::new();
        self.infer(images, &mut logits)?;
        let mut upstream = vec![0.0; n * classes];
        let context = Context::serial(Isa::Portable);
        loss::softmax_cross_entropy(&context, n, classes, &logits, labels, 1.0 / n as f32, Some(&mut upstream));
        Ok(gradient::of_layer(&mut self.towers, images, n, None, &upstream, ReluGradient::Plain)?.gradient)
    }
}

impl Training for Gpu {
    fn train_shard(&mut self, shard: &BatchShard<'_>, step: &OptimizerStep) -> Result<StepStats> {
        self.train_step(&shard.batch(), step)
    }

    fn state(&self, name: &str, slot: &str) -> Result<Vec<f32>> {
        let mut values = vec![0.0; self.length(name)?];
        for part in self.towers.parts(name) {
            values[part.range.clone()].copy_from_slice(&part.state(slot)?);
        }
        Ok(values)
    }

    fn set_state(&mut self, name: &str, slot: &str, values: &[f32]) -> Result<()> {
        self.check(name, values)?;
        for tower in &mut self.towers.all {
            for parameter in tower.parameters.iter_mut().filter(|p| p.name == name) {
                let part = write(&values[parameter.range.clone()], [parameter.range.len()], &tower.device);
                parameter.set_state(slot, part);
            }
        }
        Ok(())
    }
}

impl Gradients for Gpu {
    fn train_step(&mut self, batch: &Batch<'_>, step: &OptimizerStep) -> Result<StepStats> {
        let (stats, gradients) = self.learn(batch, &|name| step.rates(name).is_some())?;
        // A gradient overflow beyond 65,504 would ruin the parameters, so the step is skipped, as in PyTorch's
        // GradScaler.
        if self.precision() != Precision::F16 || gradient::are_finite(&gradients)? {
            self.move_by(gradients, step)?;
        }
        Ok(stats)
    }

    fn gradients(&mut self, batch: &Batch<'_>, visit: &mut (dyn FnMut(&str, &[f32]) + Send)) -> Result<StepStats> {
        let (step, gradients) = self.learn(batch, &|_| true)?;
        let of = |gradient: &Of| -> &Parameter { &self.towers.all[gradient.tower].parameters[gradient.parameter] };
        let mut names: Vec<&str> = Vec::new();
        for gradient in gradients.iter().rev() {
            if !names.contains(&of(gradient).name.as_str()) {
                names.push(&of(gradient).name);
            }
        }
        for name in names {
            let mut whole = vec![0.0; self.length(name)?];
            for gradient in gradients.iter().filter(|gradient| of(gradient).name == name) {
                whole[of(gradient).range.clone()].copy_from_slice(&read(gradient.tensor.clone())?);
            }
            visit(name, &whole);
        }
        Ok(step)
    }

    fn apply(&mut self, name: &str, gradient: &[f32], step: &OptimizerStep) -> Result<()> {
        self.check(name, gradient)?;
        let mut parts = Vec::new();
        for (t, tower) in self.towers.all.iter().enumerate() {
            for (i, parameter) in tower.parameters.iter().enumerate().filter(|(_, parameter)| parameter.name == name) {
                let tensor = write(&gradient[parameter.range.clone()], [parameter.range.len()], &tower.device);
                parts.push(Of { tower: t, parameter: i, tensor });
            }
        }
        self.move_by(parts, step)
    }
}
