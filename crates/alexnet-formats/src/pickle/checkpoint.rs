//! Location of the weights in a checkpoint. Trainers store them in a dictionary under a key of their choice, with other training
//! state.

use super::super::param_names::has_net;
use super::super::reader::ParseResult;
use super::{Id, Pickle, Value};
use std::collections::{HashSet, VecDeque};

/// Keys under which trainers store weights, most likely first; running averages come after the originals.
const KEYS: [&str; 16] = [
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "weights",
    "params",
    "module",
    "model_state",
    "net_state",
    "network",
    "alexnet",
    "backbone",
    "model_ema",
    "state_dict_ema",
    "ema_state_dict",
    "ema",
];

/// Maximum nesting depth of a state dict: in a checkpoint, or in a trainer's checkpoint of a checkpoint.
const DEEPEST: usize = 2;
/// Maximum number of dictionaries examined.
const MOST: usize = 1 << 10;

/// A dictionary with named tensors.
struct Candidate<'a> {
    dict: Id,
    path: Vec<&'a str>,
    /// Whether they are an AlexNet's.
    fits: bool,
}

impl Candidate<'_> {
    /// Sort key; lower is more likely.
    fn rank(&self) -> (bool, Vec<usize>) {
        (!self.fits, self.path.iter().map(|key| KEYS.iter().position(|known| known == key).unwrap_or(KEYS.len())).collect())
    }

    fn named(&self) -> String {
        format!("`{}`", self.path.join("."))
    }
}

/// Finds the dictionary of the weights, with remarks on other contents. `is_tensor` identifies a format's tensors.
///
/// # Errors
/// No named tensors anywhere; the message lists the keys found.
pub(crate) fn weights(pickle: &Pickle, is_tensor: &dyn Fn(Id) -> bool) -> ParseResult<(Id, Vec<String>)> {
    let Value::Dict(root) = pickle.get(pickle.root) else {
        return Err(format!("holds {} instead of named weights; save a state_dict", pickle.get(pickle.root).kind()));
    };
    let mut candidates = Vec::new();
    let (mut seen, mut open) = (HashSet::new(), VecDeque::from([(pickle.root, Vec::<&str>::new())]));
    while let Some((dict, path)) = open.pop_front() {
        let Value::Dict(entries) = pickle.get(dict) else { continue };
        // One dictionary may be the value of many keys.
        if !seen.insert(dict) {
            continue;
        }
        let named = || entries.iter().filter_map(|&(key, value)| Some((pickle.text(key)?, value)));
        let tensors: Vec<&str> = named().filter(|(_, value)| is_tensor(*value)).map(|(name, _)| name).collect();
        // A checkpoint may store its best accuracy as a tensor along with the weights.
        if !tensors.is_empty() {
            candidates.push(Candidate { dict, fits: has_net(&tensors), path: path.clone() });
        }
        if path.len() < DEEPEST {
            let inner = named().filter(|(_, value)| matches!(pickle.get(*value), Value::Dict(_)));
            let room = MOST.saturating_sub(open.len() + candidates.len());
            open.extend(inner.take(room).map(|(key, value)| (value, path.iter().copied().chain([key]).collect())));
        }
    }
    let keys: Vec<&str> = root.iter().filter_map(|&(key, _)| pickle.text(key)).collect();
    // A candidate that matches no net may still be the intended one if its key is typical; its tensors then explain the mismatch.
    let known = |candidate: &&Candidate<'_>| candidate.fits || candidate.path.last().is_none_or(|key| KEYS.contains(key));
    candidates.sort_by_cached_key(Candidate::rank);
    let top_level = candidates.iter().find(|candidate| candidate.fits && candidate.path.is_empty());
    let nested = || candidates.iter().filter(known).find(|candidate| !candidate.path.is_empty());
    let Some(chosen) = top_level.or_else(nested).or_else(|| candidates.first()) else {
        return Err(format!("holds no named tensors, only {}; save a state_dict", a_few(&keys)));
    };
    let Some(key) = chosen.path.first() else { return Ok((chosen.dict, Vec::new())) };
    let others: Vec<&str> = keys.iter().copied().filter(|other| other != key).collect();
    let ignored = if others.is_empty() { String::new() } else { format!("; ignored: {}", a_few(&others)) };
    let mut remarks = vec![format!("a checkpoint: the weights are under {}{ignored}", chosen.named())];
    let fitting: Vec<String> =
        candidates.iter().filter(|other| other.fits && other.dict != chosen.dict).map(Candidate::named).take(8).collect();
    if !fitting.is_empty() {
        remarks.push(format!("other AlexNets in the file are ignored: {}", fitting.join(", ")));
    }
    Ok((chosen.dict, remarks))
}

/// Joins the first few keys of a dictionary.
fn a_few(keys: &[&str]) -> String {
    let shown: Vec<&str> = keys.iter().copied().take(8).collect();
    match (keys.len(), keys.len() - shown.len()) {
        (0, _) => "nothing".into(),
        (_, 0) => shown.join(", "),
        (_, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Allowed, read};
    use super::*;
    use crate::golden;
    use crate::reader::Reader;

    /// Two AlexNet tensors, as small as possible, and two other tensors.
    const NET: &str = "{features.0.weight=1 classifier.6.weight=1}";
    const OTHER: &str = "{a=1 b=1}";

    /// A pickle of `{key=value ...}`, where 1 stands for a tensor and 0 for something else.
    fn pickled(text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in text.replace('{', " { ").replace('}', " } ").replace('=', " = ").split_whitespace() {
            match word {
                "{" => bytes.extend(b"}("),
                "}" => bytes.extend(b"u"),
                "=" => {}
                "0" => bytes.extend(b"N"),
                "1" => bytes.extend(b"K\x01"),
                key => bytes.extend([b"X", &(key.len() as u32).to_le_bytes()[..], key.as_bytes()].concat()),
            }
        }
        bytes.push(b'.');
        bytes
    }

    /// The names found, and the remarks.
    fn found(text: &str) -> ParseResult<(Vec<String>, Vec<String>)> {
        golden::with(&pickled(text), |path| {
            let reader = Reader::open(path).unwrap();
            let pickle = read(&mut reader.cursor(0, reader.length()), Allowed { names: &[], advice: "" })?;
            let (dict, remarks) = weights(&pickle, &|value| *pickle.get(value) == Value::Int(1))?;
            let Value::Dict(entries) = pickle.get(dict) else { return Err("not a dictionary".into()) };
            Ok((entries.iter().filter_map(|(key, _)| pickle.text(*key)).map(String::from).collect(), remarks))
        })
    }

    #[test]
    fn the_alexnet_is_found_under_any_key() {
        for key in ["state_dict", "model_state", "network", "net_state", "alexnet", "backbone", "ema", "student"] {
            for text in [
                format!("{{epoch=0 best=1 optimizer={OTHER} {key}={NET}}}"),
                format!("{{epoch=0 best=1 optimizer={OTHER} trainer={{lr=0 {key}={NET}}}}}"),
            ] {
                let (names, remarks) = found(&text).unwrap();
                assert_eq!(names, ["features.0.weight", "classifier.6.weight"], "{text}");
                assert!(remarks.len() == 1 && remarks[0].contains(key) && remarks[0].contains("epoch"), "{remarks:?}");
            }
        }
        // A state dict may contain nested dictionaries.
        let (names, remarks) = found(&format!("{{features.0.weight=1 classifier.6.weight=1 model={NET}}}")).unwrap();
        assert_eq!((names.len(), remarks.len()), (3, 0));
    }

    #[test]
    fn the_likeliest_net_is_chosen_and_the_others_are_reported() {
        for (keys, taken) in
            [(["model_ema", "model"], "model"), (["ema", "net"], "net"), (["student", "state_dict"], "state_dict")]
        {
            let (_, remarks) = found(&format!("{{{}={NET} {}={NET}}}", keys[0], keys[1])).unwrap();
            assert!(remarks[0].contains(&format!("under `{taken}`")), "{remarks:?}");
            assert!(remarks[1].contains("other AlexNets") && remarks[1].contains(keys[0]), "{remarks:?}");
        }
    }

    #[test]
    fn the_keys_are_reported_if_nothing_matches() {
        let why = found("{epoch=0 model={lr=0} args=0}").unwrap_err();
        assert!(why.contains("epoch, model, args"), "{why}");
        // Weights of another model are returned; their names identify it.
        assert_eq!(found(&format!("{{epoch=0 model={OTHER}}}")).unwrap().0, ["a", "b"]);
        assert!(found("1").unwrap_err().contains("an integer"));
    }
}
