//! Images of every format, with resizing.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = alexnet::image::decode::header(bytes);
    if let Ok(image) = alexnet::image::decode::decode(bytes) {
        assert_eq!(image.rgb.len(), image.width * image.height * 3);
        assert_eq!(image.resized_as(alexnet::image::Resize::Square(32)).rgb.len(), 32 * 32 * 3);
    }
});
