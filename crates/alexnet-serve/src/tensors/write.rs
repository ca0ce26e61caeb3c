//! Serializer of Open Inference Protocol answers, which holds no value in memory more than once.

use serde::Serialize;
use serde::ser::{Error, SerializeSeq, Serializer};

use super::{Asked, LOGITS, Output, PROBABILITIES};

/// Maximum bytes of a number in JSON, including its comma.
pub(crate) const DIGITS: usize = 25;

/// An answer: all bytes, and the length of the JSON if binary data follows.
pub(crate) struct Answer {
    pub(crate) head: Option<usize>,
    pub(crate) bytes: Vec<u8>,
}

/// Upper bound of the memory that an answer for `n` inputs takes while being built.
pub(crate) fn estimate(asked: &Asked, n: usize, classes: &[String]) -> usize {
    let longest = classes.iter().map(|class| class.len()).max().unwrap_or(0);
    let of = |output: &Output| {
        let each = match (output.classification, output.binary) {
            (None, true) => classes.len() * 4,
            (None, false) => classes.len() * DIGITS,
            // A control character takes six bytes in JSON.
            (Some(k), _) => k.min(classes.len()).saturating_mul(6 * longest + 48),
        };
        // The values themselves, too.
        n.saturating_mul(each + 4 * classes.len())
    };
    asked.outputs.iter().map(of).fold(1024 + 6 * asked.id.as_ref().map_or(0, String::len), usize::saturating_add)
}

#[derive(Serialize)]
struct Head<'a> {
    model_name: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    outputs: Vec<Tensor<'a>>,
}

#[derive(Serialize)]
struct Tensor<'a> {
    name: &'a str,
    datatype: &'a str,
    shape: [usize; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Size>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
}

#[derive(Serialize)]
struct Size {
    binary_data_size: usize,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Numbers(AsDoubles<'a>),
    Texts(Best<'a>),
}

/// Values in JSON: each as a double of the same value, with all digits.
pub(crate) struct AsDoubles<'a>(pub(crate) &'a [f32]);

impl Serialize for AsDoubles<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // JSON cannot represent such numbers; an answer without a value could pass for one.
        if !self.0.iter().all(|value| value.is_finite()) {
            return Err(S::Error::custom("values that are not finite"));
        }
        serializer.collect_seq(self.0.iter().map(|&value| f64::from(value)))
    }
}

/// The `k` best classes of each input, in Triton's format.
struct Best<'a> {
    values: &'a [f32],
    classes: &'a [String],
    k: usize,
}

impl Best<'_> {
    fn each<E>(&self, mut visit: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        for values in self.values.chunks_exact(self.classes.len()) {
            let mut order: Vec<usize> = (0..values.len()).collect();
            order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
            for i in order.into_iter().take(self.k) {
                visit(&format!("{:.6}:{i}:{}", values[i], self.classes[i]))?;
            }
        }
        Ok(())
    }
}

impl Serialize for Best<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        self.each(|text| list.serialize_element(text))?;
        list.end()
    }
}

/// Writes the answer: each output's values, `[n, classes]`.
pub(crate) fn answer<'v>(
    model: &str,
    asked: &Asked,
    classes: &[String],
    values: impl Fn(&Output) -> &'v [f32],
) -> serde_json::Result<Answer> {
    let (mut outputs, mut binary) = (Vec::new(), Vec::new());
    for output in &asked.outputs {
        let values = values(output);
        let begin = binary.len();
        let (datatype, width, data) = match output.classification {
            None => ("FP32", classes.len(), Data::Numbers(AsDoubles(values))),
            Some(k) => ("BYTES", k.min(classes.len()), Data::Texts(Best { values, classes, k })),
        };
        if output.binary {
            match &data {
                Data::Numbers(values) => values.0.iter().for_each(|value| binary.extend(value.to_le_bytes())),
                Data::Texts(best) => best.each(|text| {
                    binary.extend((text.len() as u32).to_le_bytes());
                    binary.extend(text.as_bytes());
                    Ok::<(), serde_json::Error>(())
                })?,
            }
        }
        let parameters = output.binary.then(|| Size { binary_data_size: binary.len() - begin });
        let name = if output.probabilities { PROBABILITIES } else { LOGITS };
        let shape = [values.len() / classes.len(), width];
        outputs.push(Tensor { name, datatype, shape, parameters, data: (!output.binary).then_some(data) });
    }
    let head = Head { model_name: model, model_version: "1", id: asked.id.as_deref(), outputs };
    let mut bytes = serde_json::to_vec(&head)?;
    let length = bytes.len();
    let any = asked.outputs.iter().any(|output| output.binary);
    bytes.append(&mut binary);
    Ok(Answer { head: any.then_some(length), bytes })
}
