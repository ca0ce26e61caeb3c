//! WebDataset shards: raw bytes, or members with valid headers, by a pattern, so that this reader is always reached.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&form, bytes)) = bytes.split_first() else { return };
    let folder = alexnet_fuzz::empty_folder("shards");
    let shard = if form % 2 == 0 { alexnet_fuzz::tar_of(&alexnet_fuzz::members(bytes)) } else { bytes.to_vec() };
    std::fs::write(folder.join("set-0.tar"), shard).expect("write the shard");
    alexnet_fuzz::data_set(&folder.join("set-{0..0}.tar"));
    // Recognised by its content, or not.
    alexnet_fuzz::data_set(&folder);
});
