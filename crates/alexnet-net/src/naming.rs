//! Parameter names: what a framework calls AlexNet's weights and biases.

/// Naming of the parameters of a net's eight layers.
#[derive(Debug, PartialEq, Eq)]
pub struct ParamNaming {
    /// What `convert --names` takes. Several namings may belong to one framework.
    pub framework: &'static str,
    /// What it is, in words.
    pub about: &'static str,
    /// Modules of conv1 to conv5 and fc6 to fc8.
    pub layers: [&'static str; 8],
    /// Whether linear weights are [in, out].
    pub linear_in_out: bool,
    /// Whether the linear layers are counted in an `nn.Sequential`, whose numbers change with its dropouts.
    pub counted_classifier: bool,
    /// A preset of another naming whose weights are written under these names as well.
    pub also_for: Option<&'static str>,
}

/// Our names of the layers, which are Caffe's.
const LAYERS: [&str; 8] = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"];

impl ParamNaming {
    /// This program's, and Caffe's: `conv1.weight` ... `fc8.bias`.
    pub const OWN: ParamNaming = ParamNaming {
        framework: "own",
        about: "this program's names (conv1.weight ... fc8.bias)",
        layers: LAYERS,
        linear_in_out: false,
        counted_classifier: false,
        also_for: None,
    };

    /// Whether it is this program's own.
    pub fn is_own(&self) -> bool {
        *self == Self::OWN
    }

    /// The name of one of our parameters (`fc6.weight`), if this naming has it.
    pub fn of(&self, own: &str) -> Option<String> {
        if self.is_own() {
            return Some(own.into());
        }
        let (layer, part) = own.split_once('.')?;
        let at = LAYERS.iter().position(|known| *known == layer)?;
        Some(format!("{}.{part}", self.layers[at]))
    }

    /// Our name and theirs of every weight and bias, first layer to last.
    pub fn parameters(&self) -> Vec<(String, String)> {
        let row =
            |(own, theirs): (&&str, &&str)| ["weight", "bias"].map(|part| (format!("{own}.{part}"), format!("{theirs}.{part}")));
        LAYERS.iter().zip(&self.layers).flat_map(row).collect()
    }
}
