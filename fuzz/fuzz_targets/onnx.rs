//! ONNX's ModelProto, prefixed with a version so that it is not recognised as Caffe's.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    alexnet_fuzz::model_after(&[8, 7], bytes, "m.onnx");
});
