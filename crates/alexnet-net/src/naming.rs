//! Parameter naming schemes: each framework's names for AlexNet's weights and biases.

/// Names of the parameters of a net's eight layers.
#[derive(Debug, PartialEq, Eq)]
pub struct ParamNaming {
    /// Value of `convert --names`. Several naming schemes may belong to one framework.
    pub framework: &'static str,
    /// Human-readable description.
    pub about: &'static str,
    /// Module names of conv1 to conv5 and fc6 to fc8.
    pub layers: [&'static str; 8],
    /// Whether linear weights are [in, out].
    pub linear_in_out: bool,
    /// Whether the linear layers are indexed in an `nn.Sequential`, where dropouts shift the indices.
    pub counted_classifier: bool,
    /// A preset with another naming scheme whose weights can also be written under these names.
    pub also_for: Option<&'static str>,
}

/// Our layer names, which are Caffe's.
const LAYERS: [&str; 8] = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"];

impl ParamNaming {
    /// This program's own scheme, and Caffe's: `conv1.weight` ... `fc8.bias`.
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

    /// The name of one of our parameters (`fc6.weight`) under this scheme, if it has one.
    pub fn of(&self, own: &str) -> Option<String> {
        if self.is_own() {
            return Some(own.into());
        }
        let (layer, part) = own.split_once('.')?;
        let at = LAYERS.iter().position(|known| *known == layer)?;
        Some(format!("{}.{part}", self.layers[at]))
    }

    /// Our name and the scheme's name of every weight and bias, first layer to last.
    pub fn parameters(&self) -> Vec<(String, String)> {
        let row =
            |(own, theirs): (&&str, &&str)| ["weight", "bias"].map(|part| (format!("{own}.{part}"), format!("{theirs}.{part}")));
        LAYERS.iter().zip(&self.layers).flat_map(row).collect()
    }
}
