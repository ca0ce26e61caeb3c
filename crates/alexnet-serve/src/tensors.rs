//! Requests and answers of the Open Inference Protocol, in JSON and with the binary-data extension of Triton: a JSON head whose
//! length the header `Inference-Header-Content-Length` tells, then the tensors one after the other, little-endian.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::{Map, Value, json};

/// The tensor of preprocessed pictures.
pub(crate) const INPUT: &str = "input";
/// The tensor of picture files.
pub(crate) const PICTURE: &str = "picture";
/// What the network gives.
pub(crate) const LOGITS: &str = "logits";
/// Its softmax.
pub(crate) const PROBABILITIES: &str = "probabilities";

/// What a request asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Given back with the answer.
    pub id: Option<String>,
    /// The pictures.
    pub input: Input,
    /// The answers wanted.
    pub outputs: Vec<Output>,
}

/// Pictures, as tensors or as files.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// `[n, 3, size, size]`, all of them numbers.
    Tensor(Vec<f32>),
    /// JPEG, PNG, ...
    Pictures(Vec<Vec<u8>>),
}

/// An answer wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    /// Softmax rather than logits.
    pub probabilities: bool,
    /// In the binary part of the answer.
    pub binary: bool,
    /// Not the tensor, but this many of the best classes as `value:index:label`.
    pub classification: Option<usize>,
}

#[derive(Deserialize)]
struct Head {
    id: Option<String>,
    #[serde(default)]
    parameters: Map<String, Value>,
    inputs: Vec<Tensor>,
    outputs: Option<Vec<Wanted>>,
}

#[derive(Deserialize)]
struct Tensor {
    name: String,
    shape: Vec<u64>,
    datatype: String,
    #[serde(default)]
    parameters: Map<String, Value>,
    data: Option<Flat>,
}

#[derive(Deserialize)]
struct Wanted {
    name: String,
    #[serde(default)]
    parameters: Map<String, Value>,
}

/// Numbers or texts, in any nesting.
#[derive(Default)]
struct Flat {
    numbers: Vec<f32>,
    texts: Vec<String>,
}

impl<'de> Deserialize<'de> for Flat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Flat, D::Error> {
        let mut flat = Flat::default();
        deserializer.deserialize_seq(Collect(&mut flat))?;
        Ok(flat)
    }
}

/// Adds what it meets to a [`Flat`].
struct Collect<'a>(&'a mut Flat);

impl<'de> serde::de::DeserializeSeed<'de> for Collect<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Collect<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("numbers or texts, in lists")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Collect(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.0.numbers.push(value as f32);
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.visit_f64(value as f64)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.visit_f64(value as f64)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        if !self.0.numbers.is_empty() {
            return Err(E::custom("a text among numbers"));
        }
        self.0.texts.push(value.to_string());
        Ok(())
    }
}

/// Reads a request for pictures of 3 x `size` x `size`. `head` is the header `Inference-Header-Content-Length`, if it is there.
///
/// # Errors
/// A line that says what is wrong. No input makes it panic, or take more than some times its own memory.
pub fn check_body(body: &[u8], head: Option<&str>, size: usize) -> Result<Asked, String> {
    let (text, binary) = match head {
        None => (body, &[][..]),
        Some(head) => {
            let length: usize =
                head.trim().parse().map_err(|_| format!("Inference-Header-Content-Length {head:?} is no number"))?;
            let whole = format!("Inference-Header-Content-Length is {length}, but the body has {} bytes", body.len());
            body.split_at_checked(length).ok_or(whole)?
        }
    };
    let Head { id, parameters, inputs, outputs } =
        serde_json::from_slice(text).map_err(|e| format!("the request is not as the protocol wants it: {e}"))?;
    let [tensor] =
        <[Tensor; 1]>::try_from(inputs).map_err(|inputs| format!("{} inputs; send one, {INPUT} or {PICTURE}", inputs.len()))?;
    let input = match (tensor.name.as_str(), tensor.datatype.as_str()) {
        (INPUT, "FP32") => floats(tensor, binary, size)?,
        (PICTURE, "BYTES") => files(tensor, binary)?,
        (name, datatype) => {
            return Err(format!("{name} of {datatype} is not known; send {INPUT} of FP32, or {PICTURE} of BYTES"));
        }
    };
    let all_binary = flag(&parameters, "binary_data_output")?.unwrap_or(false);
    let outputs = match outputs {
        Some(outputs) if !outputs.is_empty() => {
            outputs.iter().map(|output| wanted(output, all_binary)).collect::<Result<_, _>>()?
        }
        _ => [false, true].map(|probabilities| Output { probabilities, binary: all_binary, classification: None }).to_vec(),
    };
    Ok(Asked { id, input, outputs })
}

fn flag(parameters: &Map<String, Value>, name: &str) -> Result<Option<bool>, String> {
    match parameters.get(name) {
        None => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(other) => Err(format!("the parameter {name} is {other}; it can be true or false")),
    }
}

fn count(parameters: &Map<String, Value>, name: &str) -> Result<Option<usize>, String> {
    match parameters.get(name) {
        None => Ok(None),
        Some(value) => match value.as_u64().and_then(|n| usize::try_from(n).ok()) {
            Some(n) => Ok(Some(n)),
            None => Err(format!("the parameter {name} is {value}; it must be a whole number")),
        },
    }
}

fn wanted(output: &Wanted, all_binary: bool) -> Result<Output, String> {
    let probabilities = match output.name.as_str() {
        LOGITS => false,
        PROBABILITIES => true,
        name => return Err(format!("no output {name}; there is {LOGITS}, and {PROBABILITIES}")),
    };
    let classification = count(&output.parameters, "classification")?.filter(|&k| k > 0);
    Ok(Output { probabilities, binary: flag(&output.parameters, "binary_data")?.unwrap_or(all_binary), classification })
}

/// The binary part of a tensor, which must be all there is: there is but one tensor.
fn binary_part<'a>(tensor: &Tensor, binary: &'a [u8]) -> Result<Option<&'a [u8]>, String> {
    let length = count(&tensor.parameters, "binary_data_size")?;
    match length {
        None if binary.is_empty() => Ok(None),
        None => Err(format!("{} bytes behind the JSON that no binary_data_size tells of", binary.len())),
        Some(length) if length == binary.len() && tensor.data.is_none() => Ok(Some(binary)),
        Some(_) if tensor.data.is_some() => Err(format!("{} has data and a binary_data_size; send one", tensor.name)),
        Some(length) => Err(format!(
            "{}: binary_data_size is {length}, but {} bytes lie behind the JSON; set Inference-Header-Content-Length to the JSON's",
            tensor.name,
            binary.len()
        )),
    }
}

fn floats(tensor: Tensor, binary: &[u8], size: usize) -> Result<Input, String> {
    let binary = binary_part(&tensor, binary)?;
    let pixels = size as u64;
    let fits = matches!(tensor.shape[..], [n, 3, h, w] if n > 0 && h == pixels && w == pixels);
    let len = tensor.shape.iter().try_fold(1u64, |product, &n| product.checked_mul(n));
    let (true, Some(len)) = (fits, len) else {
        return Err(format!("{INPUT} has the shape {:?}; send [n, 3, {size}, {size}]", tensor.shape));
    };
    let values = match (binary, tensor.data) {
        (Some(bytes), _) => {
            let (words, rest) = bytes.as_chunks();
            if !rest.is_empty() || words.len() as u64 != len {
                return Err(format!("{INPUT}: {} bytes for {len} values of 4 bytes", bytes.len()));
            }
            words.iter().map(|&word| f32::from_le_bytes(word)).collect()
        }
        (None, Some(data)) if data.texts.is_empty() => data.numbers,
        (None, Some(_)) => return Err(format!("{INPUT}: texts where numbers belong")),
        (None, None) => return Err(format!("{INPUT} has no data")),
    };
    if values.len() as u64 != len {
        return Err(format!("{INPUT}: {} values for the shape {:?}", values.len(), tensor.shape));
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(format!("{INPUT}: value {at} is {}, not a finite number", values[at])),
        None => Ok(Input::Tensor(values)),
    }
}

fn files(tensor: Tensor, binary: &[u8]) -> Result<Input, String> {
    let binary = binary_part(&tensor, binary)?;
    let n = match tensor.shape[..] {
        [n] | [n, 1] if n > 0 => n,
        _ => return Err(format!("{PICTURE} has the shape {:?}; send [n]", tensor.shape)),
    };
    let files = match (binary, tensor.data) {
        (Some(bytes), _) => strings(bytes)?,
        (None, Some(data)) if data.numbers.is_empty() => {
            let decode = |text: String| STANDARD.decode(text).map_err(|e| format!("{PICTURE}: not base64: {e}"));
            data.texts.into_iter().map(decode).collect::<Result<_, _>>()?
        }
        (None, Some(_)) => return Err(format!("{PICTURE}: numbers where files in base64 belong")),
        (None, None) => return Err(format!("{PICTURE} has no data")),
    };
    if files.len() as u64 != n {
        return Err(format!("{PICTURE}: {} files for the shape {:?}", files.len(), tensor.shape));
    }
    Ok(Input::Pictures(files))
}

/// Byte strings, each behind its length in four bytes.
fn strings(mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let cut = || format!("{PICTURE}: the binary data are cut off in file {}", all.len());
        let (length, rest) = bytes.split_first_chunk().ok_or_else(cut)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (file, rest) = rest.split_at_checked(length).ok_or_else(cut)?;
        all.push(file.to_vec());
        bytes = rest;
    }
    Ok(all)
}

/// An answer: the length of the JSON if binary data follow, and all bytes.
pub(crate) struct Answer {
    pub(crate) head: Option<usize>,
    pub(crate) bytes: Vec<u8>,
}

/// Writes the answer: for each output its values, `[n, classes]`.
pub(crate) fn answer(
    model: &str,
    asked: &Asked,
    classes: &[String],
    values: impl Fn(&Output) -> Vec<f32>,
) -> serde_json::Result<Answer> {
    let (mut outputs, mut binary) = (Vec::new(), Vec::new());
    for output in &asked.outputs {
        let values = values(output);
        let n = values.len() / classes.len();
        let (datatype, width, data, bytes) = match output.classification {
            None => {
                let bytes: Vec<u8> =
                    if output.binary { values.iter().flat_map(|v| v.to_le_bytes()).collect() } else { Vec::new() };
                ("FP32", classes.len(), json!(values), bytes)
            }
            Some(k) => {
                let k = k.min(classes.len());
                let texts: Vec<String> = values.chunks_exact(classes.len()).flat_map(|values| best(values, classes, k)).collect();
                let bytes =
                    texts.iter().flat_map(|text| [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()).collect();
                ("BYTES", k, json!(texts), bytes)
            }
        };
        let name = if output.probabilities { PROBABILITIES } else { LOGITS };
        let mut tensor = json!({ "name": name, "datatype": datatype, "shape": [n, width] });
        if output.binary {
            tensor["parameters"] = json!({ "binary_data_size": bytes.len() });
            binary.extend(bytes);
        } else {
            tensor["data"] = data;
        }
        outputs.push(tensor);
    }
    let mut head = json!({ "model_name": model, "model_version": "1", "outputs": outputs });
    if let Some(id) = &asked.id {
        head["id"] = json!(id);
    }
    let mut bytes = serde_json::to_vec(&head)?;
    let length = bytes.len();
    let any = asked.outputs.iter().any(|output| output.binary);
    bytes.extend(binary);
    Ok(Answer { head: any.then_some(length), bytes })
}

/// The best classes as Triton writes them.
fn best(values: &[f32], classes: &[String], k: usize) -> Vec<String> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    order.into_iter().take(k).map(|i| format!("{:.6}:{i}:{}", values[i], classes[i])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        assert_eq!((asked.input, asked.id.as_deref()), (Input::Tensor(numbers), Some("7")));
        assert!(asked.outputs.iter().all(|output| output.binary));
        let files = r#"{"inputs":[{"name":"picture","datatype":"BYTES","shape":[2],"data":["/9g=","AA=="]}],
            "outputs":[{"name":"probabilities","parameters":{"classification":3}}]}"#;
        let asked = check_body(files.as_bytes(), None, 2).unwrap();
        assert_eq!(asked.input, Input::Pictures(vec![vec![0xFF, 0xD8], vec![0]]));
        assert_eq!(asked.outputs, [Output { probabilities: true, binary: false, classification: Some(3) }]);
        let head = r#"{"inputs":[{"name":"picture","datatype":"BYTES","shape":[2,1],"parameters":{"binary_data_size":11}}]}"#;
        let body = [head.as_bytes(), b"\x02\0\0\0ab\x01\0\0\0c"].concat();
        let asked = check_body(&body, Some(&head.len().to_string()), 2).unwrap();
        assert_eq!(asked.input, Input::Pictures(vec![b"ab".to_vec(), b"c".to_vec()]));
    }

    #[test]
    fn what_is_wrong_is_told() {
        fails("", b"", None, "not as the protocol");
        fails("{}", b"", None, "missing field `inputs`");
        fails(r#"{"inputs":[]}"#, b"", None, "0 inputs");
        fails("{}", b"", Some(3), "the body has 2 bytes");
        fails(&tensor("[1,3,4,4]", r#","data":[]"#), b"", None, "send [n, 3, 2, 2]");
        fails(&tensor("[0,3,2,2]", r#","data":[]"#), b"", None, "send [n, 3, 2, 2]");
        fails(&tensor("[4611686018427387904,3,2,2]", r#","data":[]"#), b"", None, "send [n, 3, 2, 2]");
        fails(&tensor("[-1,3,2,2]", r#","data":[]"#), b"", None, "invalid value");
        fails(&tensor("[1,3,2,2]", ""), b"", None, "no data");
        fails(&tensor("[1,3,2,2]", r#","data":[1]"#), b"", None, "1 values");
        fails(&tensor("[1,3,2,2]", r#","data":["1"]"#), b"", None, "texts");
        fails(&tensor("[1,3,2,2]", r#","data":[1,2,3,4,5,6,7,8,9,10,11,1e39]"#), b"", None, "value 11 is inf");
        fails(&tensor("[1,3,2,2]", r#","data":[1,null]"#), b"", None, "numbers or texts");
        let deep = format!(r#","data":{}"#, "[".repeat(10_000));
        fails(&tensor("[1,3,2,2]", &deep), b"", None, "recursion limit");
        let binary = tensor("[1,3,2,2]", r#","parameters":{"binary_data_size":48}"#);
        let nan = [0f32.to_le_bytes().repeat(11), f32::NAN.to_le_bytes().to_vec()].concat();
        fails(&binary, &nan, Some(binary.len()), "value 11 is NaN");
        fails(&binary, &nan[1..], Some(binary.len()), "47 bytes lie behind");
        fails(
            &tensor("[1,3,2,2]", r#","data":[1]"#),
            &nan,
            Some(tensor("[1,3,2,2]", r#","data":[1]"#).len()),
            "no binary_data_size",
        );
        fails(&binary.replace("FP32", "FP16"), &nan, Some(binary.len()), "send input of FP32");
        let file = r#"{"inputs":[{"name":"picture","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":5}}]}"#;
        fails(file, b"\xFF\xFF\xFF\xFFx", Some(file.len()), "cut off in file 0");
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
        let asked = Asked { id: Some("a".into()), input: Input::Pictures(Vec::new()), outputs };
        let classes = ["cat", "dog"].map(String::from);
        let values = |output: &Output| if output.probabilities { vec![0.25, 0.75] } else { vec![-1.0, 1.5] };
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
        fn binary_numbers_come_back_with_their_bits(numbers in prop::collection::vec(prop::num::f32::NORMAL | prop::num::f32::ZERO, 24)) {
            let head = tensor("[2,3,2,2]", r#","parameters":{"binary_data_size":96}"#);
            let body: Vec<u8> = head.bytes().chain(numbers.iter().flat_map(|v| v.to_le_bytes())).collect();
            let Input::Tensor(found) = check_body(&body, Some(&head.len().to_string()), 2).unwrap().input else { panic!("no tensor") };
            prop_assert_eq!(found.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), numbers.iter().map(|v| v.to_bits()).collect::<Vec<_>>());
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
}
