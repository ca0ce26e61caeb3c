//! Open Inference Protocol requests: the length of the JSON head in two bytes (0xffff: no such header), then the body.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((length, body)) = bytes.split_first_chunk::<2>() else { return };
    let head = match u16::from_le_bytes(*length) {
        u16::MAX => None,
        length => Some(length.to_string()),
    };
    if let Ok(asked) = alexnet_serve::check_body(body, head.as_deref(), 2) {
        match asked.input {
            alexnet_serve::Input::Tensor(values) => assert!(values.len() % 12 == 0 && values.iter().all(|v| v.is_finite())),
            alexnet_serve::Input::Binary(range) => assert!(range.len() % 48 == 0 && body.get(range).is_some()),
            alexnet_serve::Input::ImageFiles(files) => assert!(files.iter().map(Vec::len).sum::<usize>() <= body.len()),
        }
    }
});
