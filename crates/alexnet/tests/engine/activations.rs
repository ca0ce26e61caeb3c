//! Layer activations: several at once, and for images that are not square.

use super::*;

#[test]
fn several_layers_are_returned_in_one_pass_also_before_a_fused_relu() {
    let images = images(5);
    for net in all_wirings() {
        let mut engine = engine(&net, 2, 2);
        let names: Vec<&str> = net.layers.iter().map(|layer| layer.name.as_str()).collect();
        let size = [net.image_size; 2];
        // Twice, as the second call reuses the program of the first; five images through an engine for two.
        for _ in 0..2 {
            let all = engine.feature_maps(&images, size, &names).expect("the net's layers");
            for (i, name) in names.iter().enumerate() {
                let alone = engine.activation(&images, name).expect("a layer");
                assert_eq!(all[i].values, alone, "{} {name}", net.name);
                let shape = net.shapes().expect("shapes")[i].output;
                assert_eq!((all[i].channels, all[i].height, all[i].width), (shape.channels, shape.size, shape.size));
                if matches!(net.layers[i].op, Op::Activation { function: Activation::Relu }) {
                    let clipped: Vec<f32> = all[i - 1].values.iter().map(|v| v.max(0.0)).collect();
                    assert_eq!(all[i].values, clipped, "{} {name}", net.name);
                }
            }
        }
        assert!(
            engine.feature_maps(&images, size, &[]).is_err() && engine.feature_maps(&images[1..], size, &names[..1]).is_err()
        );
    }
}

#[test]
fn oblong_images_are_supported_up_to_the_first_linear_layer() {
    let net = &wirings()[0];
    let mut engine = engine(net, 2, 2);
    let last = net.layers.iter().position(|layer| matches!(layer.op, Op::Linear { .. })).expect("a linear layer");
    let (height, width) = (net.image_size, net.image_size + 6);
    let wide = uniform(5, 3 * height * width, 1.0);
    let names: Vec<&str> = net.layers[..last].iter().map(|layer| layer.name.as_str()).collect();
    let maps = engine.feature_maps(&wide, [height, width], &names).expect("the layers before it");
    let wider = net.clone().with_image_size(width);
    let wider = Net { layers: wider.layers[..last].to_vec(), ..wider }.shapes().expect("shapes");
    for ((maps, rows), columns) in maps.iter().zip(net.shapes().expect("shapes")).zip(wider) {
        assert_eq!((maps.height, maps.width), (rows.output.size, columns.output.size), "{}", rows.name);
    }
    // Transposed images with transposed kernels give transposed activations.
    for name in engine.net().layers.iter().map(|layer| layer.name.clone()).collect::<Vec<_>>() {
        let Ok(weights) = engine.parameter(&format!("{name}.weight")) else { continue };
        let Some(Op::Conv { kernel, .. }) = net.layers.iter().find(|l| l.name == name).map(|l| l.op.clone()) else { continue };
        let turned: Vec<f32> = weights.chunks(kernel * kernel).flat_map(|w| transposed(w, kernel, kernel)).collect();
        let even: Vec<f32> = weights.iter().zip(&turned).map(|(a, b)| a + b).collect();
        engine.set_parameter(&format!("{name}.weight"), &even).expect("the same shape");
    }
    let tall: Vec<f32> = wide.chunks(height * width).flat_map(|plane| transposed(plane, height, width)).collect();
    let flat = engine.feature_maps(&wide, [height, width], &names).expect("wide");
    let upright = engine.feature_maps(&tall, [width, height], &names).expect("tall");
    for ((a, b), name) in flat.iter().zip(&upright).zip(&names) {
        let turned: Vec<f32> = a.values.chunks(a.height * a.width).flat_map(|map| transposed(map, a.height, a.width)).collect();
        let largest = a.values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let off = turned.iter().zip(&b.values).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(largest > 0.0 && off <= 1e-5 * largest, "{name}: {off} of {largest}");
    }
    let beyond = net.layers[last].name.as_str();
    let message = engine.feature_maps(&wide, [height, width], &[beyond]).expect_err("a linear layer").to_string();
    assert!(message.contains(beyond) && message.contains("own size"), "{message}");
}

/// Exchanges rows and columns.
fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..rows * columns).map(|i| values[i % rows * columns + i / rows]).collect()
}
