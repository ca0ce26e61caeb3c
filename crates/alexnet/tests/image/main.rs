//! Images: normalisation and its inverse, and the headers of encoded files.

use alexnet::data::{Split, synthetic};
use alexnet::image::crop::{Area, Window};
use alexnet::image::decode::{Header, header};
use alexnet::image::{Image, Mean, Preprocess};
use alexnet::net::presets;
use alexnet_testkit::images::{self, ColorType};
use std::sync::Arc;

#[test]
fn a_tensor_converts_back_to_its_crop() {
    let image = synthetic(Split::Test, 0).image(7).expect("an image");
    for name in ["torchvision", "bvlc", "paper"] {
        let mut preprocess = Preprocess::for_net(&presets::by_name(name).expect("a preset").with_image_size(64));
        if name == "paper" {
            let values = (0..3 * 90 * 90).map(|i| (i % 251) as f32).collect();
            preprocess.mean = Mean::Image { size: 90, values: Arc::new(values), centre: true };
        }
        let mut tensor = vec![0.0; 3 * 64 * 64];
        image.tensor(&preprocess, Window { top: 5, left: 20, mirror: false }, None, &mut tensor);
        let expected = image.crop(Area { top: 5, left: 20, height: 64, width: 64 });
        assert_eq!(Image::from_tensor(&preprocess, &tensor), expected, "{name}");
    }
}

#[test]
fn headers_report_the_encoded_size() {
    let png = images::png(300, 200, ColorType::Rgba, &[7; 300 * 200 * 4]);
    assert_eq!(header(&png), Some(Header { width: 300, height: 200, bytes_per_pixel: 7 }));
    let pixels = &[7; 300 * 200 * 3];
    let bmp = images::bmp(300, 200, pixels);
    assert_eq!(header(&bmp).map(|header| header.pixels()), Some(60_000));
    let webp = images::webp(300, 200, pixels);
    assert_eq!(header(&webp).map(|header| (header.width, header.height)), Some((300, 200)));
    let gif = images::gif(300, 200, pixels);
    assert_eq!(header(&gif).map(|header| (header.width, header.height)), Some((300, 200)));
    for file in [png, bmp, webp, gif] {
        (0..30).for_each(|end| assert!(header(&file[..end]).is_none_or(|header| header.pixels() < 1 << 40)));
    }
}
