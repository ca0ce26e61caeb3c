//! Caffe's NetParameter and mean image.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    alexnet_fuzz::model(bytes, "m.caffemodel");
    let _ = alexnet::formats::read_mean(alexnet_fuzz::file(bytes, "mean.binaryproto"));
});
