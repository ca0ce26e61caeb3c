use super::write::{Answer, answer};
use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn fails(text: &str, binary: &[u8], head: Option<usize>, message: &str) {
    let body = [text.as_bytes(), binary].concat();
    let error = check_body(&body, head.map(|n| n.to_string()).as_deref(), 2).unwrap_err();
    assert!(error.contains(message) && !error.contains('\n'), "{error}, not: {message}");
}

fn tensor(shape: &str, rest: &str) -> String {
    format!(r#"{{"inputs":[{{"name":"input","datatype":"FP32","shape":{shape}{rest}}}]}}"#)
}

#[test]
fn tensors_and_files_come_in_json_and_binary() {
    let numbers: Vec<f32> = (0..12).map(|i| i as f32 / 8.0 - 1.0).collect();
    let nested = r#","data":[[[[-1,-0.875],[-0.75,-0.625]],[[-0.5,-0.375],[-0.25,-0.125]],[[0,0.125],[0.25,0.375]]]]"#;
    let asked = check_body(tensor("[1,3,2,2]", nested).as_bytes(), None, 2).unwrap();
    assert_eq!(asked.input, Input::Tensor(numbers.clone()));
    let both = [false, true].map(|probabilities| Output { probabilities, binary: false, classification: None });
    assert_eq!(asked.outputs, both);
    let head = tensor("[1,3,2,2]", r#","parameters":{"binary_data_size":48}"#);
    let head = head.replacen('{', r#"{"id":"7","parameters":{"binary_data_output":true},"#, 1);
    let body: Vec<u8> = head.bytes().chain(numbers.iter().flat_map(|v| v.to_le_bytes())).collect();
    let asked = check_body(&body, Some(&head.len().to_string()), 2).unwrap();
    assert_eq!((asked.input, asked.id.as_deref()), (Input::Binary(head.len()..body.len()), Some("7")));
    assert_eq!(super::numbers(body[head.len()..].as_chunks().0).collect::<Vec<_>>(), numbers);
    assert!(asked.outputs.iter().all(|output| output.binary));
    let files = r#"{"inputs":[{"name":"picture","datatype":"BYTES","shape":[2],"data":["/9g=","AA=="]}],
        "outputs":[{"name":"probabilities","parameters":{"classification":3}}]}"#;
    let asked = check_body(files.as_bytes(), None, 2).unwrap();
    assert_eq!(asked.input, Input::ImageFiles(vec![vec![0xFF, 0xD8], vec![0]]));
    assert_eq!(asked.outputs, [Output { probabilities: true, binary: false, classification: Some(3) }]);
    let head = r#"{"inputs":[{"name":"picture","datatype":"BYTES","shape":[2,1],"parameters":{"binary_data_size":11}}]}"#;
    let body = [head.as_bytes(), b"\x02\0\0\0ab\x01\0\0\0c"].concat();
    let asked = check_body(&body, Some(&head.len().to_string()), 2).unwrap();
    assert_eq!(asked.input, Input::ImageFiles(vec![b"ab".to_vec(), b"c".to_vec()]));
}

#[test]
fn invalid_requests_are_rejected_with_a_reason() {
    fails("", b"", None, "not follow the protocol");
    fails("{}", b"", None, "missing field `inputs`");
    fails(r#"{"inputs":[]}"#, b"", None, "0 inputs");
    fails("{}", b"", Some(3), "the body has 2 bytes");
    fails(&tensor("[1,3,4,4]", r#","data":[]"#), b"", None, "send [n, 3, 2, 2]");
    fails(&tensor("[0,3,2,2]", r#","data":[]"#), b"", None, "send [n, 3, 2, 2]");
    fails(&tensor("[4611686018427387904,3,2,2]", r#","data":[]"#), b"", None, "send [n, 3, 2, 2]");
    fails(&tensor("[-1,3,2,2]", r#","data":[]"#), b"", None, "invalid value");
    fails(&tensor("[1,3,2,2]", ""), b"", None, "no data");
    fails(&tensor("[1,3,2,2]", r#","data":[1]"#), b"", None, "1 values");
    fails(&tensor("[1,3,2,2]", r#","data":["1"]"#), b"", None, "got strings");
    fails(&tensor("[1,3,2,2]", r#","data":[1,2,3,4,5,6,7,8,9,10,11,1e39]"#), b"", None, "value 11 is inf");
    fails(&tensor("[1,3,2,2]", r#","data":[1,null]"#), b"", None, "numbers or strings");
    let deep = format!(r#","data":{}"#, "[".repeat(10_000));
    fails(&tensor("[1,3,2,2]", &deep), b"", None, "recursion limit");
    let binary = tensor("[1,3,2,2]", r#","parameters":{"binary_data_size":48}"#);
    let nan = [0f32.to_le_bytes().repeat(11), f32::NAN.to_le_bytes().to_vec()].concat();
    fails(&binary, &nan, Some(binary.len()), "value 11 is NaN");
    fails(&binary, &nan[1..], Some(binary.len()), "47 bytes follow");
    fails(
        &tensor("[1,3,2,2]", r#","data":[1]"#),
        &nan,
        Some(tensor("[1,3,2,2]", r#","data":[1]"#).len()),
        "without a binary_data_size",
    );
    fails(&binary.replace("FP32", "FP16"), &nan, Some(binary.len()), "send input as FP32");
    let file = r#"{"inputs":[{"name":"picture","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":5}}]}"#;
    fails(file, b"\xFF\xFF\xFF\xFFx", Some(file.len()), "truncated in file 0");
    fails(&file.replace("{\"binary_data_size\":5}", "{},\"data\":[\"?\"]"), b"", None, "not base64");
    let outputs = tensor("[1,3,2,2]", r#","data":[1,2,3,4,5,6,7,8,9,10,11,12]"#);
    fails(&outputs.replacen('{', r#"{"outputs":[{"name":"softmax"}],"#, 1), b"", None, "no output softmax");
}

#[test]
fn answers_are_written_in_json_and_binary() {
    let outputs = vec![
        Output { probabilities: false, binary: false, classification: None },
        Output { probabilities: true, binary: true, classification: None },
        Output { probabilities: true, binary: true, classification: Some(1) },
    ];
    let asked = Asked { id: Some("a".into()), input: Input::ImageFiles(Vec::new()), outputs };
    let classes = ["cat", "dog"].map(String::from);
    let values = |output: &Output| if output.probabilities { &[0.25, 0.75][..] } else { &[-1.0, 1.5] };
    let Answer { head, bytes } = answer("m", &asked, &classes, values).unwrap();
    let head = head.unwrap();
    let json: Value = serde_json::from_slice(&bytes[..head]).unwrap();
    assert_eq!((&json["id"], &json["outputs"][0]["data"]), (&json!("a"), &json!([-1.0, 1.5])));
    assert_eq!(json["outputs"][2]["parameters"]["binary_data_size"], json!(18));
    let expected = [&0.25f32.to_le_bytes()[..], &0.75f32.to_le_bytes(), &14u32.to_le_bytes(), b"0.750000:1:dog"].concat();
    assert_eq!(bytes[head..], expected);
}

proptest! {
    #[test]
    fn binary_numbers_are_all_finite(numbers in prop::collection::vec(prop::num::f32::ANY, 24)) {
        let head = tensor("[2,3,2,2]", r#","parameters":{"binary_data_size":96}"#);
        let body: Vec<u8> = head.bytes().chain(numbers.iter().flat_map(|v| v.to_le_bytes())).collect();
        let found = check_body(&body, Some(&head.len().to_string()), 2).map(|asked| asked.input);
        prop_assert_eq!(found.ok(), numbers.iter().all(|v| v.is_finite()).then_some(Input::Binary(head.len()..body.len())));
    }

    #[test]
    fn nothing_makes_it_panic(cuts in prop::collection::vec((0usize..200, any::<u8>()), 0..6), length in 0usize..250) {
        let head = r#"{"inputs":[{"name":"picture","datatype":"BYTES","shape":[2,1],"parameters":{"binary_data_size":11}}]}"#;
        let mut body = [head.as_bytes(), b"\x02\0\0\0ab\x01\0\0\0c"].concat();
        for (at, byte) in cuts {
            let at = at % body.len();
            body[at] = byte;
        }
        let _ = check_body(&body, Some(&length.to_string()), 2);
        let _ = check_body(&body, Some(&head.len().to_string()), 2);
        let _ = check_body(&body, None, 2);
    }
}
