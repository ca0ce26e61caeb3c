//! Which net a file is taken for, by its names and shapes alone: tensors here have no bytes.

use super::contents::{Contents, Dtype, Format, Stored, Tensor};
use super::identify::{Identity, identify};
use super::names::Names;
use super::source::Source;
use super::{golden, parameters};
use crate::net::presets::by_name;
use std::collections::BTreeMap;

/// What a file of this preset's weights under these names is taken for.
fn taken(net: &str, names: Names, prefix: &str, hint: Option<&str>) -> crate::Result<(Identity, crate::Result<String>)> {
    taken_in(Format::TorchZip, net, names, prefix, hint)
}

fn taken_in(
    format: Format,
    net: &str,
    names: Names,
    prefix: &str,
    hint: Option<&str>,
) -> crate::Result<(Identity, crate::Result<String>)> {
    let net = by_name(net)?.with_classes(10);
    let tensors = parameters(&net)?.into_iter().map(|(own, mut shape)| {
        if shape.len() == 2 && names.transposed() {
            shape.reverse();
        }
        let name = format!("{prefix}{}", names.of(&own).expect("a name"));
        Tensor { name, shape, dtype: Dtype::F32, stored: Stored::Same(0.0) }
    });
    golden::with(b"x", |path| {
        let source = Source::open(path)?;
        let metadata = BTreeMap::new();
        let contents = Contents { source, format, tensors: tensors.collect(), metadata, graph: None, remarks: Vec::new() };
        let identity = identify(&contents, hint)?;
        let net = identity.net(&contents).map(|net| net.name.clone());
        Ok((identity, net))
    })
}

#[test]
fn names_tell_torchvision_paddle_and_the_tutorial_from_each_other() {
    for (net, names) in
        [("torchvision", Names::Torchvision), ("paddle", Names::Paddle), ("seed-code", Names::Page), ("slim", Names::Own)]
    {
        for prefix in ["", "module.", "alexnet.", "_orig_mod.backbone."] {
            let (identity, told) = taken(net, names, prefix, None).unwrap();
            assert_eq!(told.unwrap(), net, "{prefix}");
            assert_eq!(identity.parameters.len(), 16);
            let transposed = identity.parameters.iter().filter(|found| found.transposed).count();
            assert_eq!(transposed, if names.transposed() { 3 } else { 0 }, "{net}");
        }
    }
}

#[test]
fn what_shapes_do_not_tell_is_asked() {
    let (identity, told) = taken("caffenet", Names::Own, "", None).unwrap();
    let question = told.unwrap_err().to_string();
    let fits: Vec<_> = identity.fits.iter().map(|net| net.name.as_str()).collect();
    assert_eq!(fits, ["paper", "paper-no-lrn", "paper-no-overlap", "original-145", "bvlc", "caffenet", "onnx-bvlc"]);
    for part in ["bvlc", "caffenet", "--net"] {
        assert!(question.contains(part), "{question}");
    }
    // In Caffe's format it is Caffe's.
    let (identity, told) = taken_in(Format::Caffe, "caffenet", Names::Own, "", None).unwrap();
    let fits: Vec<_> = identity.fits.iter().map(|net| net.name.as_str()).collect();
    assert_eq!(fits[..2], ["bvlc", "caffenet"]);
    assert!(told.unwrap_err().to_string().contains("say --net bvlc"));
    let (identity, told) = taken("caffenet", Names::Own, "", Some("caffenet")).unwrap();
    assert_eq!(told.unwrap(), "caffenet");
    assert!(identity.why.iter().any(|why| why.contains("you say")), "{:?}", identity.why);
    // The same shapes as torchvision's, but nobody says whose they are.
    assert!(taken("torchvision", Names::Own, "", None).unwrap().1.unwrap_err().to_string().contains("owt"));
}

#[test]
fn a_wrong_word_about_the_net_is_refused_with_both_shapes() {
    let why = taken("bvlc", Names::Own, "", Some("torchvision")).unwrap_err().to_string();
    assert!(why.contains("[96, 3, 11, 11]") && why.contains("[64, 3, 11, 11]"), "{why}");
    let why = taken("bvlc", Names::Own, "", Some("blvc")).unwrap_err().to_string();
    assert!(why.contains("did you mean `bvlc`"), "{why}");
}
