//! Benchmark of every operator except convolutions and linear layers on AlexNet's shapes, on one thread, in GB/s of the data that
//! must be read and written once. `cargo run --release -p alexnet-kernels --example ops [batch]`; ALEXNET_ISA selects the
//! instruction set.

use std::time::Instant;

use alexnet_kernels::activation::{self, Function};
use alexnet_kernels::buffer::Buffer;
use alexnet_kernels::context::Context;
use alexnet_kernels::feature_map::{FeatureMap, Sides};
use alexnet_kernels::isa::Isa;
use alexnet_kernels::optim::{self, Optimizer, Rates};
use alexnet_kernels::random::Key;
use alexnet_kernels::weight_layout::Filters;
use alexnet_kernels::{dropout, layout, loss, lrn, pool, spatial_norm};

fn main() -> Result<(), String> {
    let batch = std::env::args().nth(1).map_or(Ok(32), |n| n.parse()).map_err(|e| format!("batch: {e}"))?;
    let isa = Isa::from_env()?;
    let context = Context::serial(isa);
    println!("{isa}, batch {batch}, one thread; best of 7 runs");

    let len = batch * 55 * 55 * 96;
    let (a, mut b) = (filled(len), Buffer::zeros(len));
    time("copy of 55x55x96, for comparison", 8 * len, || b.copy_from_slice(&a));
    norms(&context, batch);
    for (h, c, kernel, stride) in [(55, 96, 3, 2), (27, 256, 3, 2), (55, 96, 2, 2), (13, 256, 3, 2)] {
        pools(&context, batch, h, c, kernel, stride);
    }
    others(&context, batch);
    Ok(())
}

/// Prints the rate at which `work` processes `bytes`.
fn time(name: &str, bytes: usize, mut work: impl FnMut()) {
    let seconds = (0..7)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min);
    println!("{name:40} {:8.2} ms {:7.2} GB/s", seconds * 1e3, bytes as f64 / seconds / 1e9);
}

fn filled(len: usize) -> Buffer {
    let mut buffer = Buffer::zeros(len);
    for (i, value) in buffer.iter_mut().enumerate() {
        *value = (Key(1).uniform(i as u64) - 0.3) * 30.0;
    }
    buffer
}

fn norms(context: &Context<'_>, batch: usize) {
    for (h, c) in [(55, 96), (27, 256)] {
        let map = FeatureMap::plain(batch, h, h, c);
        let (x, dy, mut y) = (filled(map.len()), filled(map.len()), Buffer::zeros(map.len()));
        let shape = lrn::Shape { x: map, n: 5, alpha: 1e-4, beta: 0.75, k: 2.0, columns: 1 };
        time(&format!("lrn forward {h}x{h}x{c}"), 8 * map.len(), || lrn::forward(context, &shape, &x, map, &mut y));
        time(&format!("lrn backward {h}x{h}x{c}"), 12 * map.len(), || {
            lrn::backward(context, &shape, &x, map, &dy, true, map, &mut y);
        });
    }
    let map = FeatureMap::plain(batch, 27, 27, 256);
    let (x, dy, mut y) = (filled(map.len()), filled(map.len()), Buffer::zeros(map.len()));
    let shape = spatial_norm::Shape { x: map, n: 5, alpha: 1e-4, beta: 0.75, k: 1.0 };
    time("spatial norm forward 27x27x256", 8 * map.len(), || spatial_norm::forward(context, &shape, &x, map, &mut y));
    time("spatial norm backward 27x27x256", 12 * map.len(), || {
        spatial_norm::backward(context, &shape, &x, map, &dy, true, map, &mut y);
    });
}

fn pools(context: &Context<'_>, batch: usize, h: usize, c: usize, kernel: usize, stride: usize) {
    let p = (h - kernel) / stride + 1;
    let x_map = FeatureMap::plain(batch, h, h, c);
    let shape = pool::Shape { x: x_map, kernel, stride, pad: Sides::default(), p, q: p };
    let y_map = shape.y(Sides { top: 2, left: 2, bottom: 2, right: 2 });
    let (x, dy) = (filled(x_map.len()), filled(y_map.len()));
    let (mut y, mut dx, mut winners) = (Buffer::zeros(y_map.len()), Buffer::zeros(x_map.len()), vec![0; batch * p * p * c]);
    let name = |what| format!("{what} {kernel}/{stride} of {h}x{h}x{c}");
    let (big, small, bytes) = (4 * x_map.len(), 4 * y_map.len(), winners.len());
    time(&name("max pool, inference"), big + small, || pool::max::forward(context, &shape, &x, y_map, &mut y, None));
    time(&name("max pool"), big + small + bytes, || {
        pool::max::forward(context, &shape, &x, y_map, &mut y, Some(&mut winners));
    });
    time(&name("max pool backward, masked"), 2 * big + small + bytes, || {
        pool::max::backward(context, &shape, y_map, &dy, &winners, Some((x_map, &x)), x_map, &mut dx);
    });
    if h == 13 {
        time(&name("average pool"), big + small, || pool::average::forward(context, &shape, &x, y_map, &mut y));
        time(&name("average pool backward"), big + small, || {
            pool::average::backward(context, &shape, y_map, &dy, None, x_map, &mut dx);
        });
        let out = FeatureMap::plain(batch, 6, 6, c);
        time("adaptive pool 13 to 6", big + 4 * out.len(), || pool::adaptive::forward(context, x_map, &x, out, &mut y));
        time("adaptive pool backward 6 to 13", big + 4 * out.len(), || {
            pool::adaptive::backward(context, x_map, out, &dy, None, x_map, &mut dx);
        });
    }
}

fn others(context: &Context<'_>, batch: usize) {
    let map = FeatureMap::plain(batch, 55, 55, 96);
    let (mut x, mut dy) = (filled(map.len()), filled(map.len()));
    for function in [Function::Relu, Function::Tanh, Function::Sigmoid] {
        time(&format!("{function:?} 55x55x96"), 8 * map.len(), || activation::forward(context, function, map, &mut x));
        time(&format!("{function:?} backward"), 12 * map.len(), || {
            activation::backward(context, function, map, &x, map, &mut dy);
        });
    }

    let shape = dropout::Shape { n: batch, features: 9216, rate: 0.5, scale: 2.0 };
    time("dropout of 9216 features", 8 * batch * 9216, || dropout::apply(context, &shape, Key(1), 0, &mut x));

    let (logits, mut dlogits, labels) = (filled(batch * 1000), Buffer::zeros(batch * 1000), vec![3; batch]);
    time("cross-entropy, 1000 classes", 8 * batch * 1000, || {
        loss::softmax_cross_entropy(context, batch, 1000, &logits, &labels, 1.0, Some(&mut dlogits));
    });
    time("softmax, 1000 classes", 8 * batch * 1000, || loss::softmax(context, batch, 1000, &logits, &mut dlogits));

    let len = 4096 * 4096;
    let (mut w, g) = (filled(len), filled(len));
    let rates = Rates { lr: 1e-6, weight_decay: 5e-4 };
    for optimizer in Optimizer::NAMES.iter().filter_map(|name| Optimizer::named(name)) {
        let mut state: Vec<Buffer> = optimizer.slots().iter().map(|_| Buffer::zeros(len)).collect();
        // Weights and state are read and written, gradients read.
        time(&format!("{} of 4096x4096 weights", optimizer.name()), (12 + 8 * state.len()) * len, || {
            let state = state.iter_mut().map(|slot| &mut slot[..]).collect();
            optim::update(context, &optim::Step { optimizer, rates, number: 1 }, &mut w, state, &g);
        });
    }

    let filters = Filters::linear_on_map(4096, 6, 6, 256);
    let (mut file, mut packed) = (filled(filters.len()), Buffer::zeros(filters.packed_len()));
    time("fc6's weights packed", 8 * file.len(), || filters.pack(context.threads, &file, &mut packed));
    time("fc6's weights unpacked", 8 * file.len(), || filters.unpack(context.threads, &packed, &mut file));

    let map = FeatureMap { n: batch, h: 224, w: 224, c: 3, border: Sides { top: 2, left: 2, bottom: 2, right: 2 } };
    let (mut planes, mut image) = (filled(batch * 224 * 224 * 3), Buffer::zeros(map.len()));
    time("from planes 224x224x3", 8 * planes.len(), || layout::from_planes(context, &planes, map, &mut image));
    time("to planes 224x224x3", 8 * planes.len(), || layout::to_planes(context, map, &image, &mut planes));
    let map = FeatureMap::plain(batch, 13, 13, 256);
    let (mut planes, mut maps) = (filled(map.len()), Buffer::zeros(map.len()));
    time("from planes 13x13x256", 8 * map.len(), || layout::from_planes(context, &planes, map, &mut maps));
    time("to planes 13x13x256", 8 * map.len(), || layout::to_planes(context, map, &maps, &mut planes));
}
