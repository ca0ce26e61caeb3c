//! Paddle pickles, tested with small files written by Paddle 3.3 (tools/make_weight_goldens.py).

use crate::{detect, golden};

const FILES: [&[u8]; 3] = [
    include_bytes!("../../tests/fixtures/protocol4.pdparams"),
    include_bytes!("../../tests/fixtures/protocol2.pdparams"),
    include_bytes!("../../tests/fixtures/fortran.pdparams"),
];

#[test]
fn every_protocol_and_order_gives_the_same_arrays() {
    for bytes in FILES {
        golden::with(bytes, |path| {
            let parsed = detect::parse(path).unwrap();
            let read = |i: usize| {
                let tensor = &parsed.tensors[i];
                (tensor.name.as_str(), tensor.shape.clone(), tensor.values(&parsed.reader).unwrap())
            };
            assert_eq!(parsed.tensors.len(), 2);
            assert_eq!(read(0), ("conv1.weight", vec![2, 3], vec![0.0, 0.5, 1.0, 1.5, 2.0, 2.5]));
            assert_eq!(read(1), ("conv1.bias", vec![2], vec![-1.0, 2.0]));
        });
    }
}

#[test]
fn broken_files_never_panic() {
    FILES.iter().for_each(|bytes| golden::broken(bytes));
}

/// A trainer's dictionary around the weights.
#[test]
fn a_checkpoint_yields_its_weights_with_a_remark() {
    let text = |text: &str| [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    for key in ["model", "state_dict", "student"] {
        let inner = &FILES[0][..FILES[0].len() - 1];
        let bytes = [b"\x80\x04}(".to_vec(), text(key), inner.to_vec(), text("epoch"), b"K\x01u.".to_vec()].concat();
        golden::with(&bytes, |path| {
            let parsed = detect::parse(path).unwrap();
            assert_eq!(parsed.tensors.len(), 2, "{key}");
            assert!(parsed.remarks[0].contains(key) && parsed.remarks[0].contains("epoch"), "{:?}", parsed.remarks);
        });
    }
    let why = golden::complaint(b"\x80\x02}(X\x05\0\0\0epochK\x01X\x02\0\0\0lrNu.");
    assert!(why.contains("epoch, lr"), "{why}");
}

#[test]
fn unexpected_globals_are_refused() {
    let why = golden::complaint(b"\x80\x02cos\nsystem\nX\x01\0\0\0x\x85R.");
    assert!(why.contains("os.system") && why.contains("paddle.save(") && !why.contains("torch"), "{why}");
}
