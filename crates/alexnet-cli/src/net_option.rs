//! `--net` and the options that modify a preset, shared by all commands.

use crate::numbers;
use alexnet::net::presets::{self, ALL};
use alexnet::net::{Activation, Net};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// Options that select a net.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct NetOption {
    /// Network
    #[arg(long, value_name = "NAME", default_value = "torchvision", value_parser = names(), hide_possible_values = true)]
    pub(crate) net: String,
    /// Image size in pixels (rows and columns) [default: the network's own]
    #[arg(long, value_name = "N", value_parser = numbers::pixels)]
    pub(crate) image_size: Option<usize>,
    /// Activation function after every hidden layer [default: the network's own, relu]
    #[arg(long, value_name = "NAME", value_parser = activations())]
    pub(crate) activation: Option<Activation>,
}

impl NetOption {
    /// Builds the net and checks its image size.
    pub(crate) fn net(&self, classes: Option<usize>) -> alexnet::Result<Net> {
        let mut net = presets::by_name(&self.net)?;
        if let Some(size) = self.image_size {
            net = net.with_image_size(size);
        }
        if let Some(activation) = self.activation {
            net = net.with_activation(activation);
        }
        if let Some(classes) = classes {
            net = net.with_classes(classes);
        }
        net.check_image_size().map(|()| net)
    }
}

/// Parser of preset names, with shell completion and suggestions for typos. Old names are accepted as aliases.
pub(crate) fn names() -> impl TypedValueParser<Value = String> {
    let value = |p: &presets::Preset| PossibleValue::new(p.name).help(p.about).aliases(presets::former_names(p.name));
    PossibleValuesParser::new(ALL.iter().map(value)).map(|name| presets::current_name(&name).to_string())
}

/// Parser of activation functions.
pub(crate) fn activations() -> impl TypedValueParser<Value = Activation> {
    const ALL: [Activation; 3] = [Activation::Relu, Activation::Tanh, Activation::Sigmoid];
    PossibleValuesParser::new(ALL.map(Activation::name))
        .map(|name| ALL.into_iter().find(|a| a.name() == name).unwrap_or(Activation::Relu))
}
