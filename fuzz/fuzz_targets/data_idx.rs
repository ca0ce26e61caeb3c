//! MNIST's files: a 16-bit length, the images, and the labels.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((length, rest)) = bytes.split_at_checked(2) else { return };
    let (images, labels) = rest.split_at(usize::from(u16::from_le_bytes([length[0], length[1]])).min(rest.len()));
    let files = [("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels)];
    alexnet_fuzz::data_set(&alexnet_fuzz::folder("idx", &files));
});
