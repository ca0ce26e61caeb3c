//! ILSVRC 2012 as downloaded: the tar of tars, and the files with the labels of the validation images.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&form, bytes)) = bytes.split_first() else { return };
    let folder = alexnet_fuzz::empty_folder("ilsvrc");
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).expect("write the file");
    let members = || alexnet_fuzz::tar_of(&alexnet_fuzz::members(bytes));
    let val = alexnet_fuzz::tar_of(&[
        (&b"ILSVRC2012_val_00000001.JPEG"[..], &b"1"[..]),
        (&b"ILSVRC2012_val_00000002.JPEG"[..], &b"2"[..]),
    ]);
    match form % 7 {
        0 => write("ILSVRC2012_img_train.tar", bytes),
        1 => write("ILSVRC2012_img_train.tar", &members()),
        2 => write(
            "ILSVRC2012_img_train.tar",
            &alexnet_fuzz::tar_of(&[(&b"n01440764.tar"[..], &members()), (&b"n01443537.tar"[..], bytes)]),
        ),
        3 => write("ILSVRC2012_img_val.tar", &members()),
        _ => write("ILSVRC2012_img_val.tar", &val),
    }
    match form % 7 {
        3 => write("ILSVRC2012_validation_ground_truth.txt", b"1\n2\n"),
        4 => write("ILSVRC2012_devkit_t12.tar.gz", bytes),
        5 => write("LOC_val_solution.csv", bytes),
        6 => write("val.txt", bytes),
        _ => {}
    }
    alexnet_fuzz::data_set(&folder);
});
