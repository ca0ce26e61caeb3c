//! Caffe messages of three generations, encoded field by field after caffe.proto. (tools/round_trips.py writes whole models with
//! the protobuf package.)

use crate::detect::parse;
use crate::golden;
use crate::read_mean;
use alexnet_net::Mean;

/// A field of bytes.
fn bytes(field: u32, content: &[u8]) -> Vec<u8> {
    let mut all = varint(u64::from(field) << 3 | 2);
    all.extend(varint(content.len() as u64));
    all.extend(content);
    all
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut all = Vec::new();
    while number >= 0x80 {
        all.push(number as u8 | 0x80);
        number >>= 7;
    }
    all.push(number as u8);
    all
}

fn int(field: u32, number: u64) -> Vec<u8> {
    [varint(u64::from(field) << 3), varint(number)].concat()
}

fn packed(values: &[f32]) -> Vec<u8> {
    bytes(5, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())
}

fn legacy(shape: [u64; 4], values: &[f32]) -> Vec<u8> {
    let dims = shape.iter().zip(1..).flat_map(|(&n, field)| int(field, n));
    dims.chain(packed(values)).collect()
}

/// A convolution of 2 x 3 x 1 x 1, a ReLU, and a linear layer from 2 x 1 x 1 to 2, as `layers` with old dimensions.
fn old() -> Vec<u8> {
    let data = [bytes(4, b"data"), int(5, 5), bytes(36, &int(3, 1))].concat();
    let conv = [
        bytes(4, b"conv1"),
        int(5, 4),
        bytes(6, &legacy([2, 3, 1, 1], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])),
        bytes(6, &legacy([1, 1, 1, 2], &[0.5, -0.5])),
        bytes(10, &[int(1, 2), int(4, 1)].concat()),
    ];
    // Unpacked values.
    let single: Vec<u8> = [9.0f32, 8.0, 7.0, 6.0].iter().flat_map(|v| [vec![0x2D], v.to_le_bytes().to_vec()].concat()).collect();
    let weight = [int(1, 1), int(2, 1), int(3, 2), int(4, 2), single].concat();
    let fc =
        [bytes(4, b"fc2"), int(5, 14), bytes(6, &weight), bytes(6, &legacy([1, 1, 1, 2], &[0.0, 1.0])), bytes(17, &int(1, 2))];
    let layers = [data, conv.concat(), [bytes(4, b"relu1"), int(5, 18)].concat(), fc.concat()];
    [bytes(1, b"tiny"), layers.iter().flat_map(|layer| bytes(2, layer)).collect()].concat()
}

#[test]
fn old_layers_become_a_net() {
    golden::with(&old(), |path| {
        let parsed = parse(path).unwrap();
        let graph = parsed.graph.as_ref().unwrap().as_ref().unwrap();
        assert_eq!((graph.net.image_size, graph.net.layers.len(), graph.net.classes()), (1, 3, 2));
        let read = |i: usize| {
            let tensor = &parsed.tensors[graph.parameters[i].1];
            (tensor.shape.clone(), tensor.values(&parsed.reader).unwrap())
        };
        assert_eq!(graph.parameters[0].0, "conv1.weight");
        assert_eq!(read(0), (vec![2, 3, 1, 1], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        assert_eq!(read(1), (vec![2], vec![0.5, -0.5]));
        assert_eq!(read(2), (vec![2, 2], vec![9.0, 8.0, 7.0, 6.0]));
    });
}

#[test]
fn broken_files_never_panic() {
    golden::broken(&old());
    golden::broken(&from_fc1(&[linear("fc2", "fc1", 2, 2.0), linear("fc3", "fc2", 2, 3.0)]));
}

#[test]
fn a_layer_longer_than_the_file_is_reported() {
    let mut long = bytes(1, b"tiny");
    long.extend([0x12]);
    long.extend(varint(1 << 62));
    let why = golden::complaint(&[bytes(2, b""), long].concat());
    assert!(why.contains("truncated") && why.contains("4611686018427387904"), "{why}");
}

#[test]
fn a_mean_image_is_read_and_other_shapes_refused() {
    let values: Vec<f32> = (0..12).map(|i| i as f32).collect();
    golden::with(&legacy([1, 3, 2, 2], &values), |path| match read_mean(path).unwrap() {
        Mean::Image { size, values: read, centre } => assert_eq!((size, &*read, centre), (2, &values, false)),
        other => panic!("{other:?}"),
    });
    golden::with(&legacy([1, 1, 3, 4], &values), |path| {
        assert!(read_mean(path).unwrap_err().to_string().contains("three channels"));
    });
    // As NumPy writes it, here with doubles, 2 x 2.
    let mut npy = b"\x93NUMPY\x01\0".to_vec();
    let header = format!("{:117}\n", "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2, 2), }");
    npy.extend((header.len() as u16).to_le_bytes());
    npy.extend(header.into_bytes());
    npy.extend(values.iter().flat_map(|value| f64::from(*value).to_le_bytes()));
    golden::with(&npy, |path| match read_mean(path).unwrap() {
        Mean::Image { size, values: read, centre } => assert_eq!((size, &*read, centre), (2, &values, false)),
        other => panic!("{other:?}"),
    });
    golden::with(&npy[..npy.len() - 1], |path| assert!(read_mean(path).unwrap_err().to_string().contains("95 bytes")));
    let why = golden::complaint(&legacy([1, 3, 2, 2], &values));
    assert!(why.contains("mean image of 2 x 2") && why.contains("--mean"), "{why}");
    golden::with(&legacy([1, 3, 1 << 30, 1 << 30], &values), |path| assert!(read_mean(path).is_err()));
}

/// A layer of the current generation: name, type, input, output, and further fields.
fn layer(name: &str, kind: &str, bottom: &str, top: &str, rest: &[Vec<u8>]) -> Vec<u8> {
    let names = [(1, name), (2, kind), (3, bottom), (4, top)].map(|(field, text)| bytes(field, text.as_bytes()));
    bytes(100, &[names.concat(), rest.concat()].concat())
}

/// An InnerProduct with two outputs, all weights set to `value`.
fn linear(name: &str, bottom: &str, inputs: u64, value: f32) -> Vec<u8> {
    let weight = legacy([1, 1, 2, inputs], &vec![value; 2 * inputs as usize]);
    let rest = [bytes(7, &weight), bytes(7, &legacy([1, 1, 1, 2], &[0.0; 2])), bytes(117, &int(1, 2))];
    layer(name, "InnerProduct", bottom, name, &rest)
}

/// A net from 3 x 1 x 1 to `fc1` with an in-place ReLU, followed by `end`.
fn from_fc1(end: &[Vec<u8>]) -> Vec<u8> {
    let input = layer("data", "Input", "", "data", &[bytes(143, &bytes(1, &bytes(1, &[1, 3, 1, 1])))]);
    let start = [bytes(1, b"tiny"), input, linear("fc1", "data", 3, 1.0), layer("relu1", "ReLU", "fc1", "fc1", &[])];
    [start.concat(), end.concat()].concat()
}

/// The weights of the net read from these bytes, layer by layer, and the remarks.
fn chain(file: &[u8]) -> (Vec<f32>, String) {
    golden::with(file, |path| {
        let parsed = parse(path).unwrap();
        let graph = parsed.graph.as_ref().unwrap().as_ref().unwrap();
        let weights = graph.parameters.iter().filter(|parameter| parameter.0.ends_with("weight"));
        let first = weights.map(|parameter| parsed.tensors[parameter.1].values(&parsed.reader).unwrap()[0]);
        (first.collect(), parsed.remarks.join("; "))
    })
}

#[test]
fn a_dead_branch_is_dropped_with_a_note() {
    // As Caffe writes it: a blob with two readers is split first.
    let split = [bytes(1, b"split"), bytes(2, b"Split"), bytes(3, b"fc1"), bytes(4, b"one"), bytes(4, b"two")].concat();
    let softmax = layer("prob", "Softmax", "fc2", "prob", &[]);
    let relu = layer("relu2", "ReLU", "one", "one", &[]);
    let end = [bytes(100, &split), linear("aux", "two", 2, 9.0), relu, linear("fc2", "one", 2, 2.0), softmax];
    let (weights, remarks) = chain(&from_fc1(&end));
    assert_eq!(weights, [1.0, 2.0]);
    assert!(remarks.contains("path to fc2, ignored: aux"), "{remarks}");
    // Without a softmax, the deepest layer is the head.
    let deep = [linear("aux", "fc1", 2, 9.0), linear("fc2", "fc1", 2, 2.0), linear("fc3", "fc2", 2, 3.0)];
    assert_eq!(chain(&from_fc1(&deep)).0, [1.0, 2.0, 3.0]);
}

#[test]
fn two_heads_are_named() {
    let file = from_fc1(&[linear("fc8", "fc1", 2, 2.0), linear("fc8_b", "fc1", 2, 3.0)]);
    let why = golden::complaint(&file);
    assert!(why.contains("its graph is not a chain") && why.contains("fc8 and fc8_b"), "{why}");
    // Inspection still works.
    let inspection = golden::with(&file, |path| crate::inspect(path, None).unwrap());
    assert!(inspection.trouble.unwrap().contains("fc8 and fc8_b"));
    assert_eq!((inspection.tensors.len(), inspection.net), (6, None));
}

#[test]
fn a_single_mean_is_that_of_every_channel() {
    let transform = |means: &[f32]| {
        let means: Vec<u8> = means.iter().flat_map(|mean| [vec![0x2D], mean.to_le_bytes().to_vec()].concat()).collect();
        let input = layer("data", "Data", "", "data", &[bytes(100, &[int(3, 1), means].concat())]);
        let file = [bytes(1, b"tiny"), input, linear("fc1", "data", 3, 1.0), layer("relu1", "ReLU", "fc1", "fc1", &[])].concat();
        golden::with(&file, |path| {
            let parsed = parse(path).unwrap();
            (parsed.graph.unwrap().unwrap().preprocess.unwrap().mean, parsed.remarks.join("; "))
        })
    };
    let (mean, remarks) = transform(&[120.0]);
    assert_eq!(mean, Mean::Channel([120.0; 3]));
    assert!(!remarks.contains("mean"), "{remarks}");
    assert_eq!(transform(&[1.0, 2.0, 3.0]).0, Mean::Channel([1.0, 2.0, 3.0]));
    assert!(transform(&[]).1.contains("does not specify the mean"));
}
