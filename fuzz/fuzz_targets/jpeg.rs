//! JPEG: the fast path against libjpeg alone, at every scale.
#![no_main]

use alexnet::image::decode::{self, DecodeLimits, Scale};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let limits = DecodeLimits { max_pixels: 1 << 18, deadline: None };
    for scale in [Scale::Full, Scale::Half, Scale::Quarter, Scale::Eighth] {
        let file = [&[0xFF, 0xD8], bytes].concat();
        let fast = decode::draft(&file, &limits, &|_, _| scale).map(|draft| draft.image).map_err(|error| error.to_string());
        let libjpeg = decode::jpeg_by_libjpeg(&file, scale, &limits).map_err(|error| error.to_string());
        assert!(fast == libjpeg, "{scale:?}: {:?}, {:?}", fast.err(), libjpeg.err());
    }
});
