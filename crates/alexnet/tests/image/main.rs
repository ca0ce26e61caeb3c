//! Normalisation and its inverse, on an image of the synthetic set.

use alexnet::data::{Split, synthetic};
use alexnet::image::crop::{Area, Window};
use alexnet::image::{Image, Mean, Preprocess};
use alexnet::net::presets;
use std::sync::Arc;

#[test]
fn a_tensor_converts_back_to_its_crop() {
    let image = synthetic(Split::Test, 0).picture(7).expect("an image");
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
