//! Net identification from names and shapes alone; these tensors have no data.

use crate::caffe::Caffe;
use crate::detect::parse;
use crate::format::{Content, Format};
use crate::identify::{Identity, identify};
use crate::parsed::ParsedFile;
use crate::pth::TorchZip;
use crate::reader::Reader;
use crate::safetensors::{Entry, write_tensors};
use crate::tensor::{Dtype, Storage, Tensor};
use crate::{golden, parameters};
use alexnet_files::Sync;
use alexnet_net::presets::{by_name, find};
use alexnet_net::{Net, ParamNaming};
use std::collections::BTreeMap;

/// The parameter names used where this preset comes from.
fn names_of(preset: &str) -> &'static ParamNaming {
    find(preset).expect("a preset").naming
}

/// The tensors of this preset's weights under these names.
fn tensors(net: &Net, names: &ParamNaming, prefix: &str) -> Vec<Tensor> {
    let tensor = |(own, mut shape): (String, Vec<usize>)| {
        if shape.len() == 2 && names.linear_in_out {
            shape.reverse();
        }
        named(&format!("{prefix}{}", names.of(&own).expect("a name")), &shape)
    };
    parameters(net).expect("parameters").into_iter().map(tensor).collect()
}

fn named(name: &str, shape: &[usize]) -> Tensor {
    Tensor { name: name.into(), shape: shape.to_vec(), dtype: Dtype::F32, storage: Storage::Fill(0.0) }
}

/// Identifies these tensors, and returns the net or the reason that it is ambiguous.
fn identified(
    format: &'static dyn Format,
    tensors: Vec<Tensor>,
    hint: Option<&str>,
) -> crate::Result<(Identity, crate::Result<String>)> {
    golden::with(b"x", |path| {
        let reader = Reader::open(path)?;
        let parsed = ParsedFile::new(reader, format, Content { tensors, ..Content::default() });
        let identity = identify(&parsed, hint)?;
        let net = identity.net(&parsed).map(|net| net.name.clone());
        Ok((identity, net))
    })
}

/// Identifies this preset's weights under these names.
fn taken(net: &str, names: &ParamNaming, prefix: &str, hint: Option<&str>) -> crate::Result<(Identity, crate::Result<String>)> {
    identified(&TorchZip, tensors(&by_name(net)?.with_classes(10), names, prefix), hint)
}

#[test]
fn names_distinguish_torchvision_paddle_and_the_tutorial() {
    for (net, names) in [
        ("torchvision", names_of("torchvision")),
        ("paddle", names_of("paddle")),
        ("tutorial-code", names_of("tutorial-code")),
        ("slim", &ParamNaming::OWN),
    ] {
        for prefix in ["", "module.", "alexnet.", "_orig_mod.backbone."] {
            let (identity, result) = taken(net, names, prefix, None).unwrap();
            assert_eq!(result.unwrap(), net, "{prefix}");
            assert_eq!(identity.parameters.len(), 16);
            let transposed = identity.parameters.iter().filter(|found| found.transposed).count();
            assert_eq!(transposed, if names.linear_in_out { 3 } else { 0 }, "{net}");
        }
    }
}

#[test]
fn ambiguous_shapes_ask_for_the_net() {
    let (identity, result) = taken("caffenet", &ParamNaming::OWN, "", None).unwrap();
    let question = result.unwrap_err().to_string();
    let fits: Vec<_> = identity.fits.iter().map(|net| net.name.as_str()).collect();
    assert_eq!(fits, ["paper", "paper-no-lrn", "paper-no-overlap", "original-145", "bvlc", "caffenet", "onnx-bvlc"]);
    for part in ["bvlc", "caffenet", "--net"] {
        assert!(question.contains(part), "{question}");
    }
    // In Caffe's format, Caffe's presets come first.
    let caffenet = by_name("caffenet").unwrap().with_classes(10);
    let (identity, result) = identified(&Caffe, tensors(&caffenet, &ParamNaming::OWN, ""), None).unwrap();
    let fits: Vec<_> = identity.fits.iter().map(|net| net.name.as_str()).collect();
    assert_eq!(fits[..2], ["bvlc", "caffenet"]);
    assert!(result.unwrap_err().to_string().contains("--net bvlc"));
    let (identity, result) = taken("caffenet", &ParamNaming::OWN, "", Some("caffenet")).unwrap();
    assert_eq!(result.unwrap(), "caffenet");
    assert!(identity.why.iter().any(|why| why.contains("you chose")), "{:?}", identity.why);
    // torchvision's shapes under names that identify no framework.
    assert!(taken("torchvision", &ParamNaming::OWN, "", None).unwrap().1.unwrap_err().to_string().contains("owt"));
}

#[test]
fn a_wrong_hint_is_refused_with_both_shapes() {
    let why = taken("bvlc", &ParamNaming::OWN, "", Some("torchvision")).unwrap_err().to_string();
    assert!(why.contains("[96, 3, 11, 11]") && why.contains("[64, 3, 11, 11]"), "{why}");
    let why = taken("bvlc", &ParamNaming::OWN, "", Some("blvc")).unwrap_err().to_string();
    assert!(why.contains("did you mean `bvlc`"), "{why}");
}

fn torchvision(prefix: &str, more: &[(&str, &[usize])]) -> Vec<Tensor> {
    let net = by_name("torchvision").expect("a preset").with_classes(10);
    let more = more.iter().map(|(name, shape)| named(name, shape));
    tensors(&net, names_of("torchvision"), prefix).into_iter().chain(more).collect()
}

#[test]
fn tensors_without_a_shape_are_refused() {
    for (part, result) in [(".bias", "conv1.bias is []"), ("6.weight", "fc8: 0 outputs")] {
        let mut tensors = torchvision("", &[]);
        for tensor in tensors.iter_mut().filter(|tensor| tensor.name.ends_with(part)) {
            tensor.shape.clear();
        }
        let (_, why) = identified(&TorchZip, tensors, None).unwrap();
        let why = why.unwrap_err().to_string();
        assert!(why.contains(result), "{why}");
    }
}

#[test]
fn additional_layers_are_refused() {
    for (name, shape) in [("classifier.8.weight", &[2, 10][..]), ("attention.fc.weight", &[256, 256]), ("norm.mean", &[3])] {
        for hint in [None, Some("torchvision")] {
            let (_, result) = identified(&TorchZip, torchvision("", &[(name, shape)]), hint).unwrap();
            let why = result.unwrap_err().to_string();
            assert!(why.contains(name) && why.contains("more layers"), "{why}");
        }
    }
    let (identity, result) = identified(&TorchZip, torchvision("1.", &[("0.mean", &[3]), ("0.std", &[3])]), None).unwrap();
    assert_eq!(result.unwrap(), "torchvision");
    assert!(identity.notes.len() == 1 && identity.notes[0].contains("0.mean, 0.std"), "{:?}", identity.notes);
    let (identity, result) = identified(&TorchZip, torchvision("module.", &[("n_averaged", &[])]), None).unwrap();
    assert!(result.is_ok() && identity.notes.is_empty(), "{:?}", identity.notes);
}

#[test]
fn two_nets_are_ambiguous() {
    let both = |a, b| [torchvision(a, &[]), torchvision(b, &[])].concat();
    let why = identified(&TorchZip, both("encoder_q.", "encoder_k."), None).unwrap_err().to_string();
    assert!(why.contains("`encoder_q.`") && why.contains("`encoder_k.`"), "{why}");
    let (identity, result) = identified(&TorchZip, both("model_ema.", "model."), None).unwrap();
    assert!(result.is_ok() && identity.notes[0].contains("`model_ema.`"), "{:?}", identity.notes);
    assert_eq!(identity.parameters[0].tensor, 16);
}

#[test]
fn a_mismatch_is_reported_for_the_net_that_the_names_suggest() {
    let reason = |tensors| {
        let (identity, result) = identified(&TorchZip, tensors, None).unwrap();
        let why = result.unwrap_err().to_string();
        // inspect reports as much as predict.
        assert!(why.ends_with(&identity.question()), "{why}");
        why
    };
    let with = |name: &str, shape: &[usize]| {
        let mut tensors = torchvision("", &[]);
        let at = tensors.iter().position(|tensor| tensor.name == name).expect("a tensor");
        tensors[at].shape = shape.to_vec();
        tensors
    };
    let why = reason(with("classifier.1.weight", &[4096, 1024]));
    assert!(
        why.contains("fc6.weight is [4096, 1024], torchvision at 224 pixels needs [4096, 9216]") && why.contains("CIFAR"),
        "{why}"
    );
    let why = reason(with("features.0.weight", &[64, 1, 11, 11]));
    assert!(why.contains("conv1.weight") && why.contains("torchvision"), "{why}");
    let why = reason(torchvision("", &[]).into_iter().filter(|tensor| tensor.name != "classifier.6.bias").collect());
    assert!(why.contains("lacks fc8.bias"), "{why}");
    // Batch normalisation shifts the layer indices.
    let moved =
        torchvision("", &[("features.1.running_mean", &[64])]).into_iter().filter(|tensor| !tensor.name.contains("features.3"));
    let why = reason(moved.collect());
    assert!(why.contains("lacks conv2.weight") && why.contains("features.1.running_mean"), "{why}");
    // Under unknown names, the net with the most matches is reported.
    let mut tensors = tensors(&by_name("caffenet").expect("a preset"), &ParamNaming::OWN, "");
    tensors.iter_mut().filter(|tensor| tensor.name == "fc6.weight").for_each(|tensor| tensor.shape = vec![4096, 4096]);
    let why = reason(tensors);
    assert!(why.contains("fc6.weight is [4096, 4096]") && why.contains("[4096, 9216]"), "{why}");
    let trunk = torchvision("", &[]).into_iter().filter(|tensor| tensor.name.starts_with("features")).collect();
    let why = identified(&TorchZip, trunk, None).unwrap_err().to_string();
    assert!(why.contains("lacks classifier.6.weight"), "{why}");
}

/// Other programs' metadata under keys that we also use.
#[test]
fn foreign_metadata_are_not_believed() {
    golden::with(b"", |path| {
        let first = torchvision("", &[]).swap_remove(0);
        let entry = Entry { name: first.name, shape: first.shape };
        let words = [("net", "alexnet"), ("classes", "cat,dog"), ("preprocess", "imagenet"), ("recipe", "x"), ("format", "pt")];
        let metadata = words.map(|(key, word)| (key.to_string(), word.to_string())).into();
        write_tensors(path, &metadata, &[entry], Sync::Disk, &mut |_| Ok(vec![0.0; 64 * 363].into())).unwrap();
        let parsed = parse(path).unwrap();
        assert_eq!(parsed.metadata.keys().collect::<Vec<_>>(), ["format"]);
        let remark = &parsed.remarks[0];
        assert!(remark.contains("net, preprocess, classes, recipe") && remark.contains("another program"), "{remark}");
        let why = crate::load(path, Some("torchvision")).unwrap_err().to_string();
        assert!(why.contains("not those of an AlexNet (features.0.weight"), "{why}");
    });
    // Another program's ONNX file is read through its graph.
    let theirs =
        [include_bytes!("../../tests/fixtures/light_bvlc_alexnet.onnx"), &b"\x72\x0e\x0a\x03net\x12\x07alexnet"[..]].concat();
    golden::with(&theirs, |path| assert_eq!(crate::inspect(path, None).unwrap().net.as_deref(), Some("onnx-bvlc")));
}

/// torchvision's tensors with other classifier indices.
fn moved(prefix: &str, to: [&str; 3]) -> Vec<Tensor> {
    let mut tensors = torchvision(prefix, &[]);
    for tensor in &mut tensors {
        for (i, to) in ["1", "4", "6"].iter().zip(to) {
            let from = format!("{prefix}classifier.{i}.");
            if let Some(part) = tensor.name.strip_prefix(&from) {
                tensor.name = format!("{prefix}classifier.{to}.{part}");
                break;
            }
        }
    }
    tensors
}

#[test]
fn classifier_layers_may_have_other_indices() {
    for to in [["0", "3", "6"], ["0", "2", "4"], ["1", "4", "7"], ["1", "4", "6.1"], ["0", "3", "6.0"], ["1", "4", "6.fc"]] {
        for prefix in ["", "module.", "model.alexnet."] {
            let (identity, result) = identified(&TorchZip, moved(prefix, to), None).unwrap();
            assert_eq!(result.unwrap(), "torchvision", "{to:?}");
            assert_eq!(identity.parameters.len(), 16, "{to:?}");
            assert!(identity.notes.is_empty(), "{:?}", identity.notes);
        }
    }
    let several =
        [moved("", ["1", "4", "6.1"]), vec![named("classifier.6.4.weight", &[10, 10]), named("classifier.6.4.bias", &[10])]];
    let why = identified(&TorchZip, several.concat(), None).unwrap_err().to_string();
    assert!(why.contains("its head classifier.6 has 2 layers with weights (classifier.6.1, classifier.6.4)"), "{why}");
}

#[test]
fn a_net_without_its_last_layer_can_be_fine_tuned() {
    for (tensors, missing) in [
        (moved("module.", ["1", "4", "6"]), "module.classifier.6"),
        (moved("", ["0", "3", "6"]), "classifier.5"),
        (tensors(&by_name("caffenet").expect("a preset"), &ParamNaming::OWN, ""), "fc8"),
    ] {
        let ends = |name: &str| {
            name.ends_with("6.weight") && name.starts_with("fc6") || !name.contains("classifier.6") && !name.contains("fc8")
        };
        let trunk: Vec<Tensor> = tensors.into_iter().filter(|tensor| ends(&tensor.name)).collect();
        let hint = (missing == "fc8").then_some("caffenet");
        let why = identified(&TorchZip, trunk.clone(), hint).unwrap_err().to_string();
        assert!(why.contains(&format!("lacks {missing}.weight")) && why.contains("train --from"), "{why}");
        let mut whole = trunk.clone();
        assert_eq!(crate::param_names::add_head(&mut whole).as_deref(), Some(missing));
        let (identity, result) = identified(&TorchZip, whole, hint).unwrap();
        assert_eq!(result.unwrap(), hint.unwrap_or("torchvision"));
        assert_eq!(identity.fits[0].classes(), 1);
    }
    golden::with(b"x", |path| {
        let reader = Reader::open(path).unwrap();
        let trunk = torchvision("", &[]).into_iter().filter(|tensor| !tensor.name.contains("classifier.6"));
        let (tensors, metadata) = (trunk.collect(), BTreeMap::new());
        let parsed = ParsedFile { reader, format: &TorchZip, tensors, metadata, graph: None, remarks: Vec::new() };
        let (model, notes) = crate::load::trunk(parsed, None).unwrap().unwrap();
        assert_eq!((model.net.name.as_str(), model.classes.len()), ("torchvision", 0));
        assert_eq!((model.tensors["fc8.weight"].len(), model.tensors["fc7.bias"].len()), (0, 4096));
        assert!(notes.iter().any(|note| note.contains("lacks classifier.6.weight")), "{notes:?}");
    });
}

#[test]
fn a_file_of_very_many_names_is_refused_before_they_are_compared() {
    let tensors: Vec<Tensor> = (0..5000).map(|i| named(&format!("{i}.features.0.weight"), &[0])).collect();
    golden::with(b"", |path| {
        let entries: Vec<Entry> = tensors.iter().map(|tensor| Entry { name: tensor.name.clone(), shape: vec![0] }).collect();
        write_tensors(path, &BTreeMap::new(), &entries, Sync::Disk, &mut |_| Ok(Vec::new().into())).unwrap();
        let why = parse(path).unwrap_err().to_string();
        assert!(why.contains("5000 tensors"), "{why}");
    });
    // The message does not list hundreds of nets one by one.
    let nets =
        (0..600).flat_map(|i| ["features.0.weight", "classifier.6.weight"].map(|name| named(&format!("{i}.{name}"), &[1])));
    let why = identified(&TorchZip, nets.collect(), None).unwrap_err().to_string();
    assert!(why.contains("600 AlexNets") && why.len() < 200, "{why}");
}

#[test]
fn a_net_of_very_many_layers_is_refused() {
    golden::with(b"", |path| {
        let relu = r#"{"name":"NAME","op":"activation","function":"relu"}"#;
        let layers: Vec<String> = (0..20_000).map(|i| relu.replace("NAME", &i.to_string())).collect();
        let net = format!(r#"{{"name":"deep","image_size":8,"layers":[{}]}}"#, layers.join(","));
        let metadata = BTreeMap::from([("net".to_string(), net)]);
        write_tensors(path, &metadata, &[], Sync::Disk, &mut |_| Ok(Vec::new().into())).unwrap();
        let why = crate::load(path, None).unwrap_err().to_string();
        assert!(why.contains("20000 layers"), "{why}");
    });
}
