//! Stages of a net's diagram: its input, convolutions and linear layers, with notes on the layers in between.

use super::boxes::Window;
use crate::layer::Op;
use crate::net::Net;
use alexnet_files::Result;

/// A box, or an upper and a lower one.
pub(super) struct Stage {
    pub(super) name: String,
    /// Channels or features of both towers together.
    pub(super) channels: usize,
    /// 2 if the halves are drawn above each other.
    pub(super) towers: usize,
    pub(super) kind: Kind,
    /// Notes on the layers before the next stage, one per line.
    pub(super) notes: Vec<String>,
    /// The window of the next stage's convolution.
    pub(super) next_window: Option<Window>,
}

pub(super) enum Kind {
    /// Maps of `size` x `size` pixels.
    Maps { size: usize, read: Option<Read> },
    /// Features.
    Bar,
}

/// How a convolution reads the previous stage.
pub(super) struct Read {
    pub(super) kernel: usize,
    /// Rows of the map that the window slides over, after pooling.
    pub(super) map: usize,
    /// Whether each half reads only its own half.
    pub(super) own_half: bool,
}

impl Read {
    pub(super) fn window(&self) -> Window {
        Window { pixels: self.kernel, share: (self.kernel as f64 / self.map as f64).min(1.0) }
    }
}

/// The stages of a net, input first.
pub(super) fn of(net: &Net) -> Result<Vec<Stage>> {
    let input = Kind::Maps { size: net.image_size, read: None };
    let mut stages = vec![Stage::new("", 3, input)];
    for (layer, shape) in net.layers.iter().zip(net.shapes()?) {
        let last = stages.len() - 1;
        let pooled = format!("to {0} × {0}", shape.output.size);
        let notes = &mut stages[last].notes;
        match layer.op {
            Op::Conv { out, kernel, stride, groups, .. } => {
                if stride != 1 {
                    notes.push(format!("Stride of {stride}"));
                }
                let read = Read { kernel, map: shape.input.size, own_half: groups == 2 };
                stages[last].next_window = Some(read.window());
                stages.push(Stage::new(&layer.name, out, Kind::Maps { size: shape.output.size, read: Some(read) }));
            }
            Op::LocalConv { out, kernel, stride, .. } => {
                notes.push(if stride == 1 { "Unshared weights".into() } else { format!("Unshared weights, stride of {stride}") });
                let read = Read { kernel, map: shape.input.size, own_half: false };
                stages[last].next_window = Some(read.window());
                stages.push(Stage::new(&layer.name, out, Kind::Maps { size: shape.output.size, read: Some(read) }));
            }
            Op::Linear { out, .. } => stages.push(Stage::new(&layer.name, out, Kind::Bar)),
            Op::MaxPool { .. } => notes.extend(["Max pooling".into(), pooled]),
            Op::AvgPool { .. } => notes.extend(["Mean pooling".into(), pooled]),
            Op::AdaptiveAvgPool { .. } if shape.input != shape.output => notes.extend(["Mean pooling".into(), pooled]),
            Op::AdaptiveAvgPool { .. } | Op::Activation { .. } | Op::Lrn { .. } | Op::SpatialNorm { .. } | Op::Dropout { .. } => {
            }
            Op::BatchNorm { .. } => {}
        }
    }
    // Both towers read the image, and the classes depend on both: these are drawn once.
    let single = |i: usize, stage: &Stage, all: usize| i == 0 || (i + 1 == all && matches!(stage.kind, Kind::Bar));
    let all = stages.len();
    let groups = net.layers.iter().filter_map(|l| if let Op::Conv { groups, .. } = l.op { Some(groups) } else { None });
    let two_towers = groups.max() == Some(2) && stages.iter().enumerate().all(|(i, s)| single(i, s, all) || s.channels % 2 == 0);
    for (i, stage) in stages.iter_mut().enumerate() {
        stage.towers = if two_towers && !single(i, stage, all) { 2 } else { 1 };
    }
    Ok(stages)
}

impl Stage {
    fn new(name: &str, channels: usize, kind: Kind) -> Self {
        Stage { name: name.into(), channels, towers: 1, kind, notes: Vec::new(), next_window: None }
    }
}
