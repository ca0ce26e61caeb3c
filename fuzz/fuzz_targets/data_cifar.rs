//! CIFAR's files: by the first byte the training file of one of the forms, or a tar.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((form, rest)) = bytes.split_first() else { return };
    let names = b"\x80\x02}(U\x10fine_label_names](U\x01aU\x01beu.";
    let path = match form % 4 {
        0 => alexnet_fuzz::folder("python", &[("train", rest), ("test", rest), ("meta", names)]),
        1 => alexnet_fuzz::folder("meta", &[("train", rest), ("test", rest), ("meta", rest)]),
        2 => alexnet_fuzz::folder("binary", &[("train.bin", rest), ("test.bin", rest), ("fine_label_names.txt", b"a\nb\n")]),
        _ => alexnet_fuzz::file(rest, "cifar.tar"),
    };
    alexnet_fuzz::data_set(&path);
});
