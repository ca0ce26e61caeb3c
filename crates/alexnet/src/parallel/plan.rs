//! What a step of training takes on machines that are not here, from the net's own counts: a model of time and bytes.
//!
//! Computing: a layer's pass takes as long as its multiply-adds at the device's sustained rate, or as the reading and writing of its
//! weights from memory, whichever is longer. A step is forward, the data gradient (of all layers but the first) and the weight gradient.
//!
//! Sending: what a rank sends takes its bytes over its share of the machine's link, and a latency for each message. In data
//! parallel, gradients are summed as backward finishes layers, the last layer first, one after the other beside the rest of backward.
//! In hybrid parallel only the convolutions' are; what goes in and out of the fully connected layers is waited for. Towers wait for
//! every crossing. Bytes are those that [`data`](super::data), [`hybrid`](super::hybrid) and [`towers`](super::towers) count.
//!
//! Left out: loading pictures, ranks that are slower than others, switches that share what links promise.

use crate::net::{LayerShape, Net, Op};
use crate::{Error, Result};

/// What computes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Device {
    /// Floating-point operations a second that training sustains, two for each multiply-add.
    pub flops: f64,
    /// Bytes a second from and to memory.
    pub memory: f64,
}

/// How devices stand together. Each device is a rank.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cluster {
    /// Machines.
    pub machines: usize,
    /// Devices in each.
    pub devices: usize,
    /// Bytes a second out of a machine, shared by its devices.
    pub link: f64,
    /// Bytes a second out of a device to others of its machine.
    pub inner: f64,
    /// Seconds that a message takes besides.
    pub latency: f64,
}

/// How ranks share the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// All gradients are summed.
    Data,
    /// Convolutions likewise; fully connected layers are shared.
    Hybrid,
    /// Two ranks, half of every layer on each.
    Towers,
}

/// What a step takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// How the work is shared.
    pub way: Way,
    /// Seconds of a step.
    pub seconds: f64,
    /// Of these, seconds in which a device computes.
    pub computing: f64,
    /// Bytes that all ranks together send.
    pub bytes: f64,
    /// How much faster than one device with the whole batch, divided by the number of devices.
    pub efficiency: f64,
}

/// Bytes of a number.
const FLOAT: f64 = 4.0;

impl Cluster {
    fn ranks(&self) -> usize {
        self.machines * self.devices
    }

    /// Seconds in which each rank sends `bytes`, spread evenly over all others, in `messages`.
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

/// Part of a layer's work on one device.
#[derive(Debug, Clone, Copy)]
struct Work {
    /// Pictures.
    pictures: f64,
    /// Share of the layer's outputs.
    share: f64,
}

impl Device {
    /// Seconds of a forward pass or of a data gradient.
    fn pass(&self, layer: &LayerShape, work: Work) -> f64 {
        let operations = 2.0 * layer.macs as f64 * work.share * work.pictures;
        (operations / self.flops).max(layer.parameters as f64 * work.share * FLOAT / self.memory)
    }

    /// Seconds of a weight gradient and the update, which reads and writes weights and velocities.
    fn weights(&self, layer: &LayerShape, work: Work) -> f64 {
        let operations = 2.0 * layer.macs as f64 * work.share * work.pictures;
        (operations / self.flops).max(4.0 * layer.parameters as f64 * work.share * FLOAT / self.memory)
    }

    /// Seconds of a whole step on some layers, without sending.
    fn step<'a>(&self, layers: impl Iterator<Item = &'a LayerShape>, first: &str, work: Work) -> f64 {
        let one = |layer: &LayerShape| {
            let data = if layer.name == first { 0.0 } else { self.pass(layer, work) };
            self.pass(layer, work) + data + self.weights(layer, work)
        };
        layers.map(one).sum()
    }
}

/// The net's layers with parameters, and how many of them come before the first fully connected one.
fn layers(net: &Net) -> Result<(Vec<LayerShape>, usize)> {
    let with = |(shape, is_linear): &(LayerShape, bool)| *is_linear || shape.parameters > 0;
    let linear = net.layers.iter().map(|layer| matches!(layer.op, Op::Linear { .. }));
    let all: Vec<(LayerShape, bool)> = net.shapes()?.into_iter().zip(linear).filter(with).collect();
    let trunk = all.iter().take_while(|(_, is_linear)| !is_linear).count();
    Ok((all.into_iter().map(|(shape, _)| shape).collect(), trunk))
}

/// What a step on `batch` pictures takes in one way of sharing the work.
///
/// # Errors
/// A net that cannot be built, or that the way is not for.
pub fn predict(net: &Net, device: &Device, cluster: &Cluster, batch: usize, way: Way) -> Result<Prediction> {
    let (layers, trunk) = layers(net)?;
    let ranks = cluster.ranks();
    let numbers = [device.flops, device.memory, cluster.link, cluster.inner];
    if ranks == 0
        || batch == 0
        || numbers.iter().any(|n| !(*n > 0.0 && n.is_finite()))
        || cluster.latency.is_nan()
        || cluster.latency < 0.0
    {
        return Err(Error::Invalid("a plan needs machines, devices, pictures, and rates above 0".into()));
    }
    let (p, all) = (ranks as f64, batch as f64);
    let first = layers.first().map_or("", |layer| &layer.name).to_string();
    let alone = device.step(layers.iter(), &first, Work { pictures: all, share: 1.0 });
    // The largest share counts: the others wait for it.
    let own = Work { pictures: batch.div_ceil(ranks) as f64, share: 1.0 };
    let gradients = |layer: &LayerShape| 2.0 * (p - 1.0) / p * layer.parameters as f64 * FLOAT;
    let reduce = |layer: &LayerShape| cluster.sending(gradients(layer), 2.0 * (p - 1.0));
    // Backward over layers, and sums beside it: when both are done.
    let backward = |from: f64, part: &[LayerShape]| {
        let (mut now, mut sent) = (from, from);
        for layer in part.iter().rev() {
            now += if layer.name == first { 0.0 } else { device.pass(layer, own) } + device.weights(layer, own);
            sent = now.max(sent) + reduce(layer);
        }
        now.max(sent)
    };
    let (seconds, computing, bytes) = match way {
        Way::Data => {
            let computing = device.step(layers.iter(), &first, own);
            let forward: f64 = layers.iter().map(|layer| device.pass(layer, own)).sum();
            let bytes: f64 = layers.iter().map(|layer| gradients(layer) * p).sum();
            (backward(forward, &layers), computing, bytes)
        }
        Way::Hybrid => {
            let (convolutions, head) = layers.split_at(trunk);
            let input = head.first().ok_or_else(|| Error::Net(format!("{}: no fully connected layers", net.name)))?.input;
            let shared = Work { pictures: all, share: 1.0 / p };
            // What goes in, to all others and back; each layer's outputs; all but the last's gradients.
            let maps = 2.0 * own.pictures * input.len() as f64 * (p - 1.0);
            let out = |layers: &[LayerShape]| layers.iter().map(|l| all * l.output.len() as f64 * (p - 1.0) / p).sum::<f64>();
            let activations = (maps + out(head) + out(&head[..head.len() - 1])) * FLOAT;
            let messages = (2 * head.len() + 1) as f64 * (p - 1.0);
            let computing = device.step(convolutions.iter(), &first, own) + device.step(head.iter(), &first, shared);
            let forward: f64 = convolutions.iter().map(|layer| device.pass(layer, own)).sum();
            let middle = device.step(head.iter(), &first, shared) + cluster.sending(activations, messages);
            let bytes = (activations + convolutions.iter().map(gradients).sum::<f64>()) * p;
            (backward(forward + middle, convolutions), computing, bytes)
        }
        Way::Towers => {
            if ranks != 2 {
                return Err(Error::Invalid(format!("towers are two devices, not {ranks}")));
            }
            let plan = net.towers()?;
            let crossings = plan.iter().filter(|layer| layer.bytes() > 0).count();
            let bytes = plan.iter().map(|layer| layer.bytes()).sum::<usize>() as f64 * all;
            // The logits are all one tower's; for a thousand classes that is 0.3 % of the work.
            let computing = device.step(layers.iter(), &first, Work { pictures: all, share: 0.5 });
            (computing + cluster.sending(bytes / 2.0, 2.0 * crossings as f64), computing, bytes)
        }
    };
    Ok(Prediction { way, seconds, computing, bytes, efficiency: alone / (p * seconds) })
}

/// Every way that the net and the number of devices allow, the fastest first.
///
/// # Errors
/// As [`predict`], if no way is left.
pub fn ways(net: &Net, device: &Device, cluster: &Cluster, batch: usize) -> Result<Vec<Prediction>> {
    let mut found = vec![predict(net, device, cluster, batch, Way::Data)?];
    // Batch statistics need data parallel; see the engines.
    let plain = !net.has_batch_norm();
    let others = [Way::Hybrid, Way::Towers].into_iter().filter(|_| plain && cluster.ranks() > 1);
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

    const DEVICE: Device = Device { flops: 1e12, memory: 1e30 };

    #[test]
    fn bytes_are_those_that_were_counted() {
        // original-145 for 10 classes at batch 32, from docs/many-machines.md; what ranks say besides is some hundred bytes.
        let net = by_name("original-145").unwrap().with_classes(10);
        for (ranks, way, counted) in [
            (2, Way::Data, 455_273_616.0),
            (2, Way::Hybrid, 23_130_450.0),
            (2, Way::Towers, 15_007_792.0),
            (4, Way::Data, 1_365_821_040.0),
            (4, Way::Hybrid, 69_391_404.0),
        ] {
            let found = predict(&net, &DEVICE, &cluster(1, ranks), 32, way).unwrap().bytes;
            assert!((counted - found).abs() < 2000.0, "{ranks} {way:?}: {found}, counted {counted}");
        }
    }

    #[test]
    fn one_device_computes_three_passes_but_for_the_first_layers() {
        let net = by_name("paper").unwrap();
        let found = predict(&net, &DEVICE, &cluster(1, 1), 100, Way::Data).unwrap();
        // 724,406,816 multiply-adds, three times, less conv1's 105,415,200 once; two operations each, a hundred pictures.
        let expected = 2.0 * 100.0 * (3.0 * 724_406_816.0 - 105_415_200.0) / 1e12;
        assert!((found.seconds - expected).abs() < 1e-9 && found.bytes == 0.0, "{found:?}");
        assert!((found.efficiency - 1.0).abs() < 1e-12);
    }

    #[test]
    fn sums_hide_behind_backward_or_last_as_long_as_the_link_needs() {
        let net = by_name("paper").unwrap();
        // So fast a device that only the link counts: each of two ranks sends half of its gradients and half of the sums.
        let fast = Device { flops: 1e30, memory: 1e30 };
        let found = predict(&net, &fast, &cluster(2, 1), 100, Way::Data).unwrap();
        assert!((found.seconds - 60_965_224.0 * 4.0 / 1e9).abs() < 1e-6, "{found:?}");
        // A link so fast that only computing counts.
        let wide = Cluster { link: 1e30, ..cluster(2, 1) };
        let found = predict(&net, &DEVICE, &wide, 100, Way::Data).unwrap();
        assert!((found.seconds - found.computing).abs() < 1e-9 && (found.efficiency - 1.0).abs() < 1e-9, "{found:?}");
        // Four devices of a machine share its link: of 7 others, 4 are outside.
        let shared = predict(&net, &fast, &Cluster { inner: 1e30, ..cluster(2, 4) }, 800, Way::Data).unwrap();
        let each = 2.0 * 7.0 / 8.0 * 60_965_224.0 * 4.0;
        assert!((shared.seconds - each * 4.0 / 7.0 * 4.0 / 1e9).abs() < 1e-6, "{shared:?}");
        // Latency: eight layers, each in two rounds of one message.
        let late = Cluster { link: 1e30, latency: 0.01, ..cluster(2, 1) };
        assert!((predict(&net, &fast, &late, 100, Way::Data).unwrap().seconds - 0.16).abs() < 1e-9);
    }

    #[test]
    fn small_shares_are_bound_by_the_memory_that_holds_the_weights() {
        let net = by_name("paper").unwrap();
        let device = Device { flops: 1e30, memory: 1e9 };
        let found = predict(&net, &device, &cluster(1, 1), 1, Way::Data).unwrap();
        // Weights are read twice, once less conv1's, and with velocities read and written.
        let expected = 4.0 * (6.0 * 60_965_224.0 - 34_944.0) / 1e9;
        assert!((found.seconds - expected).abs() < 1e-9, "{found:?}, not {expected}");
    }

    #[test]
    fn the_fastest_way_is_first_and_nonsense_is_refused() {
        let net = by_name("paper").unwrap();
        let slow = Cluster { link: 1e8, ..cluster(2, 1) };
        let all = ways(&net, &DEVICE, &slow, 128).unwrap();
        assert_eq!(all.len(), 3);
        assert!(all[0].way != Way::Data && all.windows(2).all(|pair| pair[0].seconds <= pair[1].seconds));
        assert_eq!(ways(&net, &DEVICE, &cluster(4, 1), 128).unwrap().len(), 2);
        assert!(predict(&net, &DEVICE, &cluster(0, 1), 128, Way::Data).is_err());
        assert!(predict(&net, &DEVICE, &Cluster { link: f64::NAN, ..slow }, 128, Way::Data).is_err());
    }
}
