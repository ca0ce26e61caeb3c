//! Images of every format, and what training does to them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = alexnet::image::decode::header(bytes);
    if let Ok(picture) = alexnet::image::decode::decode(bytes) {
        assert_eq!(picture.rgb.len(), picture.width * picture.height * 3);
        assert_eq!(picture.resized_as(alexnet::image::Resize::Square(32)).rgb.len(), 32 * 32 * 3);
    }
});
