//! Where in a checkpoint the weights are: trainers put them into a dictionary, under a key of their own, beside whatever else they
//! want to remember.

use super::super::param_names::has_net;
use super::super::reader::ParseResult;
use super::{Id, Pickle, Value};
use std::collections::{HashSet, VecDeque};

/// Keys under which trainers keep weights, the likeliest first; running averages come after what they are averages of.
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

/// How deep a state dict may lie: in a checkpoint, or in one that a trainer put into its own.
const DEEPEST: usize = 2;
/// Most dictionaries that are looked into.
const MOST: usize = 1 << 10;

/// A dictionary that holds tensors by name.
struct Candidate<'a> {
    dict: Id,
    path: Vec<&'a str>,
    /// Whether they are an AlexNet's.
    fits: bool,
}

impl Candidate<'_> {
    /// The less, the likelier.
    fn rank(&self) -> (bool, Vec<usize>) {
        (!self.fits, self.path.iter().map(|key| KEYS.iter().position(|known| known == key).unwrap_or(KEYS.len())).collect())
    }

    fn named(&self) -> String {
        format!("`{}`", self.path.join("."))
    }
}

/// The dictionary of the weights, and remarks on what lies beside it. `is_tensor` tells a format's tensors from other values.
///
/// # Errors
/// No tensors by name anywhere, with the keys that were seen.
pub(crate) fn weights(pickle: &Pickle, is_tensor: &dyn Fn(Id) -> bool) -> ParseResult<(Id, Vec<String>)> {
    let Value::Dict(root) = pickle.get(pickle.root) else {
        return Err(format!("holds {} instead of weights by name; save a state_dict", pickle.get(pickle.root).kind()));
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
        // A checkpoint may keep its best accuracy as a tensor beside the weights.
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
    // What fits nothing may still be what is meant, if it lies where weights lie: the reason is then told by its tensors.
    let known = |candidate: &&Candidate<'_>| candidate.fits || candidate.path.last().is_none_or(|key| KEYS.contains(key));
    candidates.sort_by_cached_key(Candidate::rank);
    let whole = candidates.iter().find(|candidate| candidate.fits && candidate.path.is_empty());
    let nested = || candidates.iter().filter(known).find(|candidate| !candidate.path.is_empty());
    let Some(chosen) = whole.or_else(nested).or_else(|| candidates.first()) else {
        return Err(format!("holds no tensors by name, but {}; save a state_dict", a_few(&keys)));
    };
    let Some(key) = chosen.path.first() else { return Ok((chosen.dict, Vec::new())) };
    let others: Vec<&str> = keys.iter().copied().filter(|other| other != key).collect();
    let beside = if others.is_empty() { String::new() } else { format!("; left aside: {}", a_few(&others)) };
    let mut remarks = vec![format!("a checkpoint: the weights are under {}{beside}", chosen.named())];
    let fitting: Vec<String> =
        candidates.iter().filter(|other| other.fits && other.dict != chosen.dict).map(Candidate::named).take(8).collect();
    if !fitting.is_empty() {
        remarks.push(format!("it holds other AlexNets as well, which are not looked at: {}", fitting.join(", ")));
    }
    Ok((chosen.dict, remarks))
}

/// The first keys of a dictionary.
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

    /// Two of an AlexNet's tensors, as small as they can be, and a number that is none.
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
            let Value::Dict(entries) = pickle.get(dict) else { return Err("no dictionary".into()) };
            Ok((entries.iter().filter_map(|(key, _)| pickle.text(*key)).map(String::from).collect(), remarks))
        })
    }

    #[test]
    fn whatever_the_key_the_alexnet_is_found() {
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
        // A state dict of its own may hold dictionaries.
        let (names, remarks) = found(&format!("{{features.0.weight=1 classifier.6.weight=1 model={NET}}}")).unwrap();
        assert_eq!((names.len(), remarks.len()), (3, 0));
    }

    #[test]
    fn of_several_the_likeliest_is_taken_and_the_others_are_named() {
        for (keys, taken) in
            [(["model_ema", "model"], "model"), (["ema", "net"], "net"), (["student", "state_dict"], "state_dict")]
        {
            let (_, remarks) = found(&format!("{{{}={NET} {}={NET}}}", keys[0], keys[1])).unwrap();
            assert!(remarks[0].contains(&format!("under `{taken}`")), "{remarks:?}");
            assert!(remarks[1].contains("other AlexNets") && remarks[1].contains(keys[0]), "{remarks:?}");
        }
    }

    #[test]
    fn where_nothing_fits_the_keys_are_told() {
        let why = found("{epoch=0 model={lr=0} args=0}").unwrap_err();
        assert!(why.contains("epoch, model, args"), "{why}");
        // Weights of something else: their names tell what.
        assert_eq!(found(&format!("{{epoch=0 model={OTHER}}}")).unwrap().0, ["a", "b"]);
        assert!(found("1").unwrap_err().contains("a whole number"));
    }
}
