//! Cost model of a training step on hypothetical clusters, derived from the net's layer sizes.
//!
//! Computation: a layer's pass takes the longer of two times: its multiply-adds at the device's sustained rate, or
//! reading and writing its weights from memory. A step is forward, the data gradient (of all layers but the first)
//! and the weight gradient. A single device fuses gradients into the update without storing them. Loading images
//! costs the device's time if it has to do that itself.
//!
//! Copying: data that is sent is also copied, and sums are stored, added and read again. The same device does this
//! and computes nothing meanwhile: a rank has no spare processor. The passes over memory are counted from the code of
//! [`data_parallel`](super::data_parallel) and `tree_reduce`.
//!
//! Communication: a rank's messages take their bytes over its share of the machine's link, plus a latency for each
//! message. In data parallel, gradients are summed as backward finishes layers, last layer first, one after the other
//! and overlapped with the rest of backward; then the weights are updated. In hybrid parallel this applies only to
//! the convolutions; the inputs and outputs of the fully connected layers are exchanged synchronously. Towers wait
//! for every crossing. Bytes are those that [`data_parallel`](super::data_parallel), [`hybrid`](super::hybrid) and
//! [`towers`](super::towers) count.
//!
//! Not modelled: ranks of different speed, and switches that do not sustain the full rate of all links. Devices that
//! share a memory must each be given a part of its rate.

use super::tree_reduce;
use crate::formats;
use crate::net::{LayerShape, Net, Op};
use crate::{Error, Result};

/// Compute device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Device {
    /// Sustained floating-point operations per second in training, two for each multiply-add.
    pub flops: f64,
    /// Memory bandwidth in bytes per second.
    pub memory: f64,
    /// Seconds of the device's time to load an image; 0 if the host does it.
    pub loading: f64,
}

/// Topology of a cluster. Each device is a rank.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cluster {
    /// Number of machines.
    pub machines: usize,
    /// Number of devices in each machine.
    pub devices: usize,
    /// Bytes per second out of a machine, shared by its devices.
    pub link: f64,
    /// Bytes per second between devices of one machine.
    pub inner: f64,
    /// Latency of a message in seconds.
    pub latency: f64,
}

/// Distribution of the work over ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Data parallel: all gradients are summed.
    Data,
    /// Data-parallel convolutions, model-parallel fully connected layers.
    Hybrid,
    /// Two ranks, each with half of every layer.
    Towers,
}

/// Predicted time and traffic of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Distribution of the work.
    pub way: Strategy,
    /// Seconds per step.
    pub seconds: f64,
    /// Seconds of computation and image loading per step.
    pub computing: f64,
    /// Seconds of copying and adding for communication per step.
    pub copying: f64,
    /// Bytes sent by all ranks together.
    pub bytes: f64,
    /// Speed-up over one device with the whole batch, divided by the number of devices.
    pub efficiency: f64,
}

/// Bytes per value.
const FLOAT: f64 = 4.0;

/// Memory passes of a copy: one to read and two to write, since a cache line is read before it is written.
const COPY: f64 = 3.0;

/// Memory passes over data that a rank sends: packed, handed to the network, received (as many bytes as sent),
/// unpacked.
const SENT: f64 = 4.0 * COPY;

/// Memory passes over a gradient that is not fused into the update: written (2), converted to file order, and
/// weighted.
const KEPT: f64 = 2.0 + 2.0 * COPY;

/// Memory passes over a sum until it is applied: converted to the kernels' layout and read, along with reading and
/// writing weights and velocities.
const APPLIED: f64 = COPY + 1.0 + UPDATED;

/// Memory passes of an update: weights and velocities, each read and written.
const UPDATED: f64 = 4.0;

/// Memory passes over a gradient that `p` ranks sum, besides those over messages. A rank's own part is copied five
/// times: packed and unpacked for the reduce-scatter and for the all-gather, and once to start the sum. Adding the
/// other ranks' parts is offset where incoming sums are already in place.
fn summed(p: f64) -> f64 {
    5.0 * COPY / p
}

impl Cluster {
    fn ranks(&self) -> usize {
        self.machines * self.devices
    }

    /// Seconds for each rank to send `bytes`, spread evenly over all others, in `messages` messages.
    fn sending(&self, bytes: f64, messages: f64) -> f64 {
        let others = (self.ranks() - 1) as f64;
        if others == 0.0 {
            return 0.0;
        }
        let outside = (self.ranks() - self.devices) as f64 / others;
        let out = bytes * outside * self.devices as f64 / self.link;
        out.max(bytes * (1.0 - outside) / self.inner) + messages * self.latency
    }
}

/// Fraction of a layer's work on one device.
#[derive(Debug, Clone, Copy)]
struct Work {
    /// Number of images.
    images: f64,
    /// Fraction of the layer's outputs.
    share: f64,
}

/// A layer, and the number of reduction rounds for its parameters.
#[derive(Debug, Clone)]
struct Summed {
    shape: LayerShape,
    rounds: usize,
}

impl Device {
    /// Seconds of one pass: the longer of its multiply-adds and `passes` memory passes over its weights.
    fn pass(&self, layer: &LayerShape, work: Work, passes: f64) -> f64 {
        let operations = 2.0 * layer.macs as f64 * work.share * work.images;
        (operations / self.flops).max(passes * layer.parameters as f64 * work.share * FLOAT / self.memory)
    }

    /// Seconds of `passes` memory passes over `bytes`.
    fn passes(&self, passes: f64, bytes: f64) -> f64 {
        passes * bytes / self.memory
    }

    /// Seconds of a full step on some layers, without communication.
    fn step(&self, layers: &[Summed], first: &str, work: Work) -> f64 {
        let one = |Summed { shape, .. }: &Summed| {
            let data = if shape.name == first { 0.0 } else { self.pass(shape, work, 1.0) };
            self.pass(shape, work, 1.0) + data + self.pass(shape, work, UPDATED)
        };
        layers.iter().map(one).sum()
    }
}

/// The net's layers with parameters, and the number of them before the first fully connected one.
fn layers(net: &Net, ranks: usize) -> Result<(Vec<Summed>, usize)> {
    let round = tree_reduce::round(ranks);
    let all = formats::parameters(net)?;
    let mut found = Vec::new();
    let mut trunk = None;
    for (shape, layer) in net.shapes()?.into_iter().zip(&net.layers) {
        if matches!(layer.op, Op::Linear { .. }) {
            trunk.get_or_insert(found.len());
        }
        let own = all.iter().filter(|(name, _)| super::model_parallel::layer_of(name) == shape.name);
        let rounds = own.map(|(_, shape)| shape.iter().product::<usize>().div_ceil(round)).sum();
        if shape.parameters > 0 {
            found.push(Summed { shape, rounds });
        }
    }
    let trunk = trunk.unwrap_or(found.len());
    Ok((found, trunk))
}

/// Predicts a step on `batch` images with one parallel strategy.
///
/// # Errors
/// A net that cannot be built or that the strategy does not support.
pub fn predict(net: &Net, device: &Device, cluster: &Cluster, batch: usize, way: Strategy) -> Result<Prediction> {
    let ranks = cluster.ranks();
    let rates = [device.flops, device.memory, cluster.link, cluster.inner];
    let is_wrong = |times: &[f64]| times.iter().any(|n| !(*n >= 0.0 && n.is_finite()));
    if ranks == 0 || batch == 0 || is_wrong(&rates) || rates.contains(&0.0) || is_wrong(&[cluster.latency, device.loading]) {
        return Err(Error::Invalid("machines, devices, batch and rates must be positive, and times must not be negative".into()));
    }
    let (layers, trunk) = layers(net, ranks)?;
    let (p, all) = (ranks as f64, batch as f64);
    let first = layers.first().map_or("", |layer| &layer.shape.name).to_string();
    let alone = all * device.loading + device.step(&layers, &first, Work { images: all, share: 1.0 });
    // The largest shard determines the time, because the others wait for it.
    let own = Work { images: batch.div_ceil(ranks) as f64, share: 1.0 };
    let loading = own.images * device.loading;
    let forward = |part: &[Summed]| part.iter().map(|layer| device.pass(&layer.shape, own, 1.0)).sum::<f64>();
    let gradients = |layer: &Summed| 2.0 * (p - 1.0) / p * layer.shape.parameters as f64 * FLOAT;
    let size = |layer: &Summed| layer.shape.parameters as f64 * FLOAT;
    // The processor's part of a sum: everything except the link.
    let hands = |layer: &Summed| device.passes(KEPT + summed(p), size(layer)) + device.passes(SENT, gradients(layer));
    let apply = |layer: &Summed| device.passes(APPLIED, size(layer));
    // Backward over layers, with overlapped sums and an update after each sum. Returns the time when all is done, and
    // the time spent copying.
    let backward = |from: f64, part: &[Summed]| {
        let (mut now, mut sent, mut there) = (from, from, Vec::new());
        for layer in part.iter().rev() {
            let gradient = device.pass(&layer.shape, own, if ranks > 1 { 0.0 } else { UPDATED });
            now += gradient + if layer.shape.name == first { 0.0 } else { device.pass(&layer.shape, own, 1.0) };
            if ranks > 1 {
                now += hands(layer);
                sent = now.max(sent) + cluster.sending(gradients(layer), 2.0 * (p - 1.0) * layer.rounds as f64);
                there.push((sent, layer));
            }
        }
        let copying = there.iter().fold(0.0, |sum, (_, layer)| sum + hands(layer) + apply(layer));
        (there.iter().fold(now, |now, (sent, layer)| now.max(*sent) + apply(layer)), copying)
    };
    let (seconds, computing, copying, bytes) = match way {
        Strategy::Data => {
            let computing = loading + device.step(&layers, &first, own);
            let (seconds, copying) = backward(loading + forward(&layers), &layers);
            (seconds, computing, copying, layers.iter().map(gradients).sum::<f64>() * p)
        }
        Strategy::Hybrid => {
            let (convolutions, head) = layers.split_at(trunk);
            let none = || Error::Net(format!("{}: no fully connected layers", net.name));
            let input = head.first().ok_or_else(none)?.shape.input;
            let shared = device.step(head, &first, Work { images: all, share: 1.0 / p });
            // Layer inputs, sent to all others, and their gradients, sent back; each layer's outputs; the output
            // gradients of all layers but the last.
            let maps = 2.0 * own.images * input.len() as f64 * (p - 1.0);
            let out = |layers: &[Summed]| layers.iter().map(|l| all * l.shape.output.len() as f64 * (p - 1.0) / p).sum::<f64>();
            let activations = (maps + out(head) + out(&head[..head.len() - 1])) * FLOAT;
            let messages = (2 * head.len() + 1) as f64 * (p - 1.0);
            let middle = device.passes(SENT, activations);
            let begun = loading + forward(convolutions) + shared + middle + cluster.sending(activations, messages);
            let (seconds, copying) = backward(begun, convolutions);
            let computing = loading + device.step(convolutions, &first, own) + shared;
            let bytes = (activations + convolutions.iter().map(gradients).sum::<f64>()) * p;
            (seconds, computing, middle + copying, bytes)
        }
        Strategy::Towers => {
            if ranks != 2 {
                return Err(Error::Invalid(format!("towers require 2 devices, got {ranks}")));
            }
            let plan = net.towers()?;
            let crossings = plan.iter().filter(|layer| layer.bytes() > 0).count();
            let bytes = plan.iter().map(|layer| layer.bytes()).sum::<usize>() as f64 * all;
            // Both ranks load all images. One tower computes all logits; for a thousand classes that is 0.3 % of the
            // work.
            let computing = all * device.loading + device.step(&layers, &first, Work { images: all, share: 0.5 });
            let copying = device.passes(SENT, bytes / 2.0);
            (computing + copying + cluster.sending(bytes / 2.0, 2.0 * crossings as f64), computing, copying, bytes)
        }
    };
    Ok(Prediction { way, seconds, computing, copying, bytes, efficiency: alone / (p * seconds) })
}

/// Predictions for every strategy that the net and the number of devices allow, fastest first.
///
/// # Errors
/// Those of [`predict`], if no strategy is left.
pub fn ways(net: &Net, device: &Device, cluster: &Cluster, batch: usize) -> Result<Vec<Prediction>> {
    let mut found = vec![predict(net, device, cluster, batch, Strategy::Data)?];
    // Batch statistics require data parallel; see the engines.
    let plain = !net.has_batch_norm();
    let others = [Strategy::Hybrid, Strategy::Towers].into_iter().filter(|_| plain && cluster.ranks() > 1);
    found.extend(others.filter_map(|way| predict(net, device, cluster, batch, way).ok()));
    found.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::presets::by_name;

    fn cluster(machines: usize, devices: usize) -> Cluster {
        Cluster { machines, devices, link: 1e9, inner: 1e10, latency: 0.0 }
    }

    const DEVICE: Device = Device { flops: 1e12, memory: 1e30, loading: 0.0 };

    #[test]
    fn bytes_match_the_measured_counts() {
        // original-145 with 10 classes at batch 32, from docs/guide/cluster.md; status messages between ranks add
        // some hundred bytes.
        let net = by_name("original-145").unwrap().with_classes(10);
        for (ranks, way, counted) in [
            (2, Strategy::Data, 455_273_616.0),
            (2, Strategy::Hybrid, 23_130_450.0),
            (2, Strategy::Towers, 15_007_792.0),
            (4, Strategy::Data, 1_365_821_040.0),
            (4, Strategy::Hybrid, 69_391_404.0),
        ] {
            let found = predict(&net, &DEVICE, &cluster(1, ranks), 32, way).unwrap().bytes;
            assert!((counted - found).abs() < 2000.0, "{ranks} {way:?}: {found}, counted {counted}");
        }
    }

    #[test]
    fn one_device_computes_three_passes_but_for_the_first_layers() {
        let net = by_name("paper").unwrap();
        let found = predict(&net, &DEVICE, &cluster(1, 1), 100, Strategy::Data).unwrap();
        // 724,406,816 multiply-adds, three times, less conv1's 105,415,200 once; two operations each, a hundred images.
        let expected = 2.0 * 100.0 * (3.0 * 724_406_816.0 - 105_415_200.0) / 1e12;
        assert!((found.seconds - expected).abs() < 1e-9 && found.bytes == 0.0, "{found:?}");
        assert!((found.efficiency - 1.0).abs() < 1e-12);
    }

    #[test]
    fn sums_hide_behind_backward_or_last_as_long_as_the_link_needs() {
        let net = by_name("paper").unwrap();
        // A device so fast that only the link matters: each of two ranks sends half of its gradients and half of the
        // sums.
        let fast = Device { flops: 1e30, ..DEVICE };
        let found = predict(&net, &fast, &cluster(2, 1), 100, Strategy::Data).unwrap();
        assert!((found.seconds - 60_965_224.0 * 4.0 / 1e9).abs() < 1e-6, "{found:?}");
        // A link so fast that only computation matters.
        let wide = Cluster { link: 1e30, ..cluster(2, 1) };
        let found = predict(&net, &DEVICE, &wide, 100, Strategy::Data).unwrap();
        assert!((found.seconds - found.computing).abs() < 1e-9 && (found.efficiency - 1.0).abs() < 1e-9, "{found:?}");
        // Four devices of a machine share its link; of each rank's 7 peers, 4 are outside.
        let shared = predict(&net, &fast, &Cluster { inner: 1e30, ..cluster(2, 4) }, 800, Strategy::Data).unwrap();
        let each = 2.0 * 7.0 / 8.0 * 60_965_224.0 * 4.0;
        assert!((shared.seconds - each * 4.0 / 7.0 * 4.0 / 1e9).abs() < 1e-6, "{shared:?}");
        // Latency: each parameter takes several rounds, and each round takes two exchanges of one message.
        let late = Cluster { link: 1e30, latency: 1e-3, ..cluster(2, 1) };
        let rounds = |(_, shape): &(String, Vec<usize>)| shape.iter().product::<usize>().div_ceil(tree_reduce::round(2));
        let rounds = formats::parameters(&net).unwrap().iter().map(rounds).sum::<usize>() as f64;
        let found = predict(&net, &fast, &late, 100, Strategy::Data).unwrap().seconds;
        assert!((found - rounds * 2e-3).abs() < 1e-6, "{found}");
    }

    #[test]
    fn small_shares_are_bound_by_the_memory_that_holds_the_weights() {
        let net = by_name("paper").unwrap();
        let device = Device { flops: 1e30, memory: 1e9, loading: 0.0 };
        let found = predict(&net, &device, &cluster(1, 1), 1, Strategy::Data).unwrap();
        // Weights are read twice (once without conv1's), then read and written with their velocities.
        let expected = 4.0 * (6.0 * 60_965_224.0 - 34_944.0) / 1e9;
        assert!((found.seconds - expected).abs() < 1e-9, "{found:?}, not {expected}");
    }

    #[test]
    fn sums_are_also_copied_and_wait_only_for_the_link() {
        let net = by_name("paper").unwrap();
        let device = Device { flops: 1e30, memory: 1e9, loading: 0.0 };
        let wide = Cluster { link: 1e30, ..cluster(2, 1) };
        let found = predict(&net, &device, &wide, 100, Strategy::Data).unwrap();
        // 8 passes for storing, 15 / 2 for summing, 12 for sending, 8 for the update; weights are read twice, once
        // without conv1's.
        let expected = 4.0 * ((8.0 + 7.5 + 12.0 + 8.0) * 60_965_224.0 + 2.0 * 60_965_224.0 - 34_944.0) / 1e9;
        assert!((found.seconds - expected).abs() < 1e-6, "{found:?}, not {expected}");
        assert!((found.copying - 4.0 * 35.5 * 60_965_224.0 / 1e9).abs() < 1e-6);
        // A slow link hides the copies, except those of the last layer, which it waits for, and fc8's before it.
        let slow = Cluster { link: 1e6, ..cluster(2, 1) };
        let slow = predict(&net, &device, &slow, 100, Strategy::Data).unwrap().seconds;
        assert!((slow / (60_965_224.0 * 4.0 / 1e6) - 1.0).abs() < 0.01, "{slow}");
        // Crossing maps of the towers, and images that both load.
        let busy = Device { flops: 1e30, memory: 1e9, loading: 1e-3 };
        let towers = predict(&net, &busy, &wide, 100, Strategy::Towers).unwrap();
        assert!((towers.copying - 12.0 * towers.bytes / 2.0 / 1e9).abs() < 1e-9);
        assert!(
            towers.computing > 0.1 && predict(&net, &busy, &wide, 100, Strategy::Data).unwrap().seconds - found.seconds < 0.0501
        );
    }

    #[test]
    fn the_fastest_strategy_is_first_and_invalid_input_is_rejected() {
        let net = by_name("paper").unwrap();
        let slow = Cluster { link: 1e8, ..cluster(2, 1) };
        let all = ways(&net, &DEVICE, &slow, 128).unwrap();
        assert_eq!(all.len(), 3);
        assert!(all[0].way != Strategy::Data && all.windows(2).all(|pair| pair[0].seconds <= pair[1].seconds));
        assert_eq!(ways(&net, &DEVICE, &cluster(4, 1), 128).unwrap().len(), 2);
        assert!(predict(&net, &DEVICE, &cluster(0, 1), 128, Strategy::Data).is_err());
        assert!(predict(&net, &DEVICE, &Cluster { link: f64::NAN, ..slow }, 128, Strategy::Data).is_err());
    }
}
