//! Compilation of layers into steps: fixed shapes, fused or in-place activations, and zero borders where readers need
//! them.

use std::ops::Range;

use alexnet_kernels::activation::Function;
use alexnet_kernels::conv;
use alexnet_kernels::feature_map::{FeatureMap, Sides};
use alexnet_kernels::weight_layout::Filters;
use alexnet_kernels::{local_conv, lrn, pool, spatial_norm};

use crate::net::{Activation, DropoutStyle, Layer, LayerShape, Net, Op, Pad};
use crate::{Error, Result};

/// Steps of a net's forward pass. Backward walks them in reverse.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Values that steps read and write. Value 0 is the batch of images; maps are those of one image (n = 1).
    pub(super) values: Vec<Value>,
    /// Steps, first to last.
    pub(super) steps: Vec<Step>,
    /// Index of the last step's output.
    pub(super) output: usize,
    /// Number of winners per image of each max pool.
    pub(super) winners: Vec<usize>,
    /// Number of channels of each batch norm.
    pub(super) norms: Vec<usize>,
    /// For each layer: the number of steps up to and including it, and the value that holds its output.
    pub(super) after: Vec<(usize, usize)>,
}

/// Part of a net to compile.
#[derive(Debug, Clone)]
pub(super) struct Part<'a> {
    /// Range of layers.
    pub(super) layers: Range<usize>,
    /// Rows and columns of the images.
    pub(super) size: [usize; 2],
    /// Layers whose exact output is requested: nothing is fused into them.
    pub(super) shown: &'a [usize],
}

/// A batch of maps in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value {
    /// Layout of one image's map.
    pub(super) map: FeatureMap,
    /// Whether it is the output of a ReLU, so that its gradient is zero where the value is not positive.
    pub(super) relu: bool,
    /// Whether the step that wrote it reads it again in backward (tanh, sigmoid), so that it must not be overwritten.
    kept: bool,
}

/// One step; in place when `x` and `y` are the same value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Index of the layer in the net.
    pub(super) layer: usize,
    /// Operation.
    pub(super) work: Work,
    /// Index of the value read.
    pub(super) x: usize,
    /// Index of the value written.
    pub(super) y: usize,
}

/// Operation of a step, for one image (n = 1; see [`Plan`]'s users for whole batches).
#[derive(Debug, Clone, Copy)]
pub(super) enum Work {
    /// Convolution, with an optional fused ReLU.
    Conv { shape: conv::Shape, parameter: usize, relu: bool },
    /// Locally connected layer, with an optional fused ReLU.
    LocalConv { shape: local_conv::Shape, parameter: usize, relu: bool },
    /// Linear layer, with an optional fused ReLU.
    Linear { inputs: usize, outputs: usize, parameter: usize, relu: bool },
    /// Max pooling; `winners` is the index of the buffer for the winners' positions.
    MaxPool { shape: pool::Shape, winners: usize },
    /// Average pooling.
    AvgPool { shape: pool::Shape },
    /// Adaptive average pooling.
    AdaptiveAvgPool,
    /// Local response normalisation over channels.
    Lrn { shape: lrn::Shape },
    /// Local response normalisation over channels fused with max pooling; `winners` as above.
    LrnPool { norm: lrn::Shape, pool: pool::Shape, winners: usize },
    /// Local response normalisation within a map.
    SpatialNorm { shape: spatial_norm::Shape },
    /// Batch normalisation, with an optional fused ReLU; `norm` is the index of the buffer for the batch's
    /// statistics.
    BatchNorm { eps: f32, parameter: usize, norm: usize, relu: bool },
    /// Elementwise activation, in place or not.
    Activation { function: Function },
    /// Dropout, in place or not.
    Dropout { rate: f32, style: DropoutStyle },
}

/// Shapes of the weights of each layer that has any, with the layer's index, first to last.
pub(super) fn parameter_shapes(net: &Net) -> Result<Vec<(usize, Filters)>> {
    let shapes = net.shapes()?;
    let filters = |(i, (layer, shape)): (usize, (&Layer, &LayerShape))| match layer.op {
        Op::Conv { out, kernel, groups, .. } => {
            Some((i, Filters { k: out, c: shape.input.channels / groups, r: kernel, s: kernel, groups }))
        }
        Op::LocalConv { out, kernel, .. } => {
            let places = shape.output.size * shape.output.size;
            Some((i, Filters { k: places * out, c: shape.input.channels, r: kernel, s: kernel, groups: places }))
        }
        Op::Linear { out, .. } => {
            Some((i, Filters::linear_on_map(out, shape.input.size, shape.input.size, shape.input.channels)))
        }
        // One weight per channel.
        Op::BatchNorm { .. } => Some((i, Filters::linear(shape.input.channels, 1))),
        _ => None,
    };
    Ok(net.layers.iter().zip(&shapes).enumerate().filter_map(filters).collect())
}

impl Plan {
    /// Plan of a contiguous range of a net's layers.
    pub(super) fn new(net: &Net, layers: Range<usize>) -> Result<Plan> {
        Plan::of_part(net, Part { layers, size: [net.image_size; 2], shown: &[] })
    }

    /// Plan of a part of a net. Value 0 is the output of the layer before it, or the images. Images of a different
    /// size than the net's can be used up to its first linear layer.
    pub(super) fn of_part(net: &Net, part: Part<'_>) -> Result<Plan> {
        let layers = &net.layers[..part.layers.end];
        let shapes = |size: usize| Net { name: net.name.clone(), image_size: size, layers: layers.to_vec() }.shapes();
        let [height, width] = part.size;
        let (rows, columns) = (shapes(height)?, shapes(width)?);
        let images = FeatureMap::plain(1, height, width, 3);
        let map = part
            .layers
            .start
            .checked_sub(1)
            .map_or(images, |i| FeatureMap::plain(1, rows[i].output.size, columns[i].output.size, rows[i].output.channels));
        let mut plan = Plan {
            values: vec![Value { map, relu: false, kept: false }],
            steps: Vec::new(),
            output: 0,
            winners: Vec::new(),
            norms: Vec::new(),
            after: Vec::with_capacity(part.layers.len()),
        };
        let mut parameter = parameter_shapes(net)?.iter().filter(|(layer, _)| *layer < part.layers.start).count();
        for i in part.layers {
            plan.add(i, &layers[i].op, &rows[i], columns[i].output.size, part.shown, &mut parameter)?;
            plan.after.push((plan.steps.len(), plan.output));
        }
        // Borders are known once all readers are.
        for step in &mut plan.steps {
            let map = plan.values[step.x].map;
            match &mut step.work {
                Work::Conv { shape, .. } => shape.x = map,
                Work::LocalConv { shape, .. } => shape.x = map,
                Work::MaxPool { shape, .. } | Work::AvgPool { shape } => shape.x = map,
                Work::Lrn { shape } => shape.x = map,
                Work::LrnPool { norm, .. } => norm.x = map,
                Work::SpatialNorm { shape } => shape.x = map,
                Work::Linear { .. }
                | Work::AdaptiveAvgPool
                | Work::BatchNorm { .. }
                | Work::Activation { .. }
                | Work::Dropout { .. } => {}
            }
        }
        Ok(plan)
    }

    /// Adds the step of one layer, or fuses the layer into the previous step. `shape` is that of a square map with
    /// the same number of rows; `width` is the number of columns.
    fn add(
        &mut self,
        layer: usize,
        op: &Op,
        shape: &LayerShape,
        width: usize,
        shown: &[usize],
        parameter: &mut usize,
    ) -> Result<()> {
        let x = self.output;
        let x_map = self.values[x].map;
        let out = FeatureMap::plain(1, shape.output.size, width, shape.output.channels);
        let work = match *op {
            Op::Conv { out: k, kernel, stride, pad, groups, .. } => {
                let (p, q) = (out.h, out.w);
                let shape = conv::Shape { x: x_map, k, r: kernel, s: kernel, stride, pad: sides(pad), p, q, groups };
                self.widen(x, shape.input_border());
                *parameter += 1;
                Work::Conv { shape, parameter: *parameter - 1, relu: false }
            }
            Op::LocalConv { out: k, kernel, stride, pad, .. } => {
                if (x_map.h, x_map.w) != (shape.input.size, shape.input.size) {
                    return Err(Error::Net(format!(
                        "layer {}: a locally connected layer requires images of the net's own size",
                        shape.name
                    )));
                }
                let (p, q) = (out.h, out.w);
                let shape = local_conv::Shape { x: x_map, k, r: kernel, s: kernel, stride, pad: sides(pad), p, q };
                *parameter += 1;
                Work::LocalConv { shape, parameter: *parameter - 1, relu: false }
            }
            Op::Linear { out: outputs, .. } => {
                if self.values[x].map.border != Sides::default() {
                    return Err(Error::Net(format!(
                        "layer {}: a linear layer cannot share its input with a convolution",
                        shape.name
                    )));
                }
                if (x_map.h, x_map.w) != (shape.input.size, shape.input.size) {
                    return Err(Error::Net(format!(
                        "layer {}: a linear layer requires images of the net's own size",
                        shape.name
                    )));
                }
                *parameter += 1;
                Work::Linear { inputs: shape.input.len(), outputs, parameter: *parameter - 1, relu: false }
            }
            Op::MaxPool { kernel, stride, pad, .. } => {
                if kernel > 15 {
                    return Err(Error::Net(format!("layer {}: a max pool's window can be at most 15 x 15", shape.name)));
                }
                self.winners.push(out.len());
                let (pool, winners) = (windows(x_map, kernel, stride, pad, out), self.winners.len() - 1);
                if self.fuse_pool(layer, pool, winners, shown) {
                    return Ok(());
                }
                Work::MaxPool { shape: pool, winners }
            }
            Op::AvgPool { kernel, stride, pad, .. } => Work::AvgPool { shape: windows(x_map, kernel, stride, pad, out) },
            // Each window holds one pixel: torchvision's layer at 224.
            Op::AdaptiveAvgPool { .. } if (x_map.h, x_map.w) == (out.h, out.w) => return Ok(()),
            Op::AdaptiveAvgPool { .. } => Work::AdaptiveAvgPool,
            Op::Lrn { n, alpha, beta, k, divide_by_n, columns } => {
                let alpha = if divide_by_n { alpha / n as f32 } else { alpha };
                Work::Lrn { shape: lrn::Shape { x: x_map, n, alpha, beta, k, columns } }
            }
            Op::SpatialNorm { n, alpha, beta, k } => {
                Work::SpatialNorm { shape: spatial_norm::Shape { x: x_map, n, alpha: alpha / (n * n) as f32, beta, k } }
            }
            Op::BatchNorm { eps, .. } => {
                self.norms.push(out.c);
                *parameter += 1;
                let (parameter, norm) = (*parameter - 1, self.norms.len() - 1);
                Work::BatchNorm { eps, parameter, norm, relu: false }
            }
            Op::Activation { function: Activation::Relu } if self.fuse_relu(layer, shown) => return Ok(()),
            Op::Activation { function } => {
                let function = match function {
                    Activation::Relu => Function::Relu,
                    Activation::Tanh => Function::Tanh,
                    Activation::Sigmoid => Function::Sigmoid,
                };
                return self.add_in_place(layer, Work::Activation { function });
            }
            Op::Dropout { rate, style } => return self.add_in_place(layer, Work::Dropout { rate, style }),
        };
        self.values.push(Value { map: out, relu: false, kept: false });
        self.output = self.values.len() - 1;
        self.steps.push(Step { layer, work, x, y: self.output });
        Ok(())
    }

    /// Fuses the ReLU into the previous convolution, linear or batch norm step, unless that layer's own output is
    /// requested.
    fn fuse_relu(&mut self, relu_layer: usize, shown: &[usize]) -> bool {
        match self.steps.last_mut() {
            Some(Step {
                layer,
                work:
                    Work::Conv { relu, .. } | Work::LocalConv { relu, .. } | Work::Linear { relu, .. } | Work::BatchNorm { relu, .. },
                y,
                ..
            }) if *y == self.output && !*relu && !shown.iter().any(|seen| (*layer..relu_layer).contains(seen)) => {
                *relu = true;
                self.values[*y].relu = true;
                true
            }
            _ => false,
        }
    }

    /// Fuses max pooling into the previous LRN step, row by row, unless that layer's own output is requested.
    fn fuse_pool(&mut self, pool_layer: usize, pool: pool::Shape, winners: usize, shown: &[usize]) -> bool {
        match self.steps.last_mut() {
            Some(Step { layer, work, y, .. })
                if *y == self.output && !shown.iter().any(|seen| (*layer..pool_layer).contains(seen)) =>
            {
                let Work::Lrn { shape: norm } = *work else { return false };
                *work = Work::LrnPool { norm, pool, winners };
                self.values[*y].map = pool.y(Sides::default());
                true
            }
            _ => false,
        }
    }

    /// Adds a step that changes its input in place, or a copy of it where the previous step reads it again in
    /// backward.
    fn add_in_place(&mut self, layer: usize, work: Work) -> Result<()> {
        let x = self.output;
        if x == 0 || self.values[x].kept {
            self.values.push(Value { kept: false, ..self.values[x] });
        }
        let y = if x == 0 || self.values[x].kept { self.values.len() - 1 } else { x };
        if let Work::Activation { function } = work {
            self.values[y].relu = function == Function::Relu;
            self.values[y].kept = function != Function::Relu;
        }
        self.output = y;
        self.steps.push(Step { layer, work, x, y });
        Ok(())
    }

    /// Grows a value's border to at least this size.
    fn widen(&mut self, value: usize, border: Sides) {
        let have = &mut self.values[value].map.border;
        *have = Sides {
            top: have.top.max(border.top),
            left: have.left.max(border.left),
            bottom: have.bottom.max(border.bottom),
            right: have.right.max(border.right),
        };
    }

    /// The map that stores the gradient of a value.
    ///
    /// A stride-1 convolution that wrote the value needs a border around its gradient. A linear layer writes plain
    /// vectors, and dropout must find a unit at the same index in forward and backward.
    pub(super) fn gradient_map(&self, value: usize) -> FeatureMap {
        let Value { map, .. } = self.values[value];
        if self.steps.iter().any(|step| step.y == value && matches!(step.work, Work::Dropout { .. })) {
            return map;
        }
        let flat = self.steps.iter().any(|step| step.x == value && matches!(step.work, Work::Linear { .. }));
        let wish = self.steps.iter().find_map(|step| match step.work {
            Work::Conv { shape, .. } if step.y == value && step.x != 0 && shape.stride == 1 => Some(shape.gradient_border()),
            _ => None,
        });
        FeatureMap { border: wish.filter(|_| !flat).unwrap_or_default(), ..map }
    }
}

fn sides(pad: Pad) -> Sides {
    Sides { top: pad.top, left: pad.left, bottom: pad.bottom, right: pad.right }
}

fn windows(x: FeatureMap, kernel: usize, stride: usize, pad: Pad, out: FeatureMap) -> pool::Shape {
    pool::Shape { x, kernel, stride, pad: sides(pad), p: out.h, q: out.w }
}

/// The same map for a batch of `n` images.
pub(super) fn batch(map: FeatureMap, n: usize) -> FeatureMap {
    FeatureMap { n, ..map }
}
