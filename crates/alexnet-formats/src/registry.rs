//! Registry of file formats.

use super::format::Format;
use super::{caffe, onnx, paddle, pth, safetensors};

/// All formats, in the order in which they are tried.
pub(crate) const FORMATS: &[&dyn Format] =
    &[&safetensors::Safetensors, &pth::TorchZip, &pth::TorchLegacy, &pth::TorchTar, &onnx::Onnx, &caffe::Caffe, &paddle::Paddle];

/// Extensions of all writable formats, for help texts: `.safetensors, .pth, .onnx, .caffemodel or .pdparams`.
pub fn endings() -> String {
    let mut all: Vec<String> = FORMATS.iter().filter_map(|format| Some(format!(".{}", format.endings().first()?))).collect();
    match (all.pop(), all.is_empty()) {
        (Some(last), false) => format!("{} or {last}", all.join(", ")),
        (last, _) => last.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_unique() {
        let all: Vec<_> = FORMATS.iter().flat_map(|format| format.endings()).collect();
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(endings(), ".safetensors, .pth, .onnx, .caffemodel or .pdparams");
    }
}
