//! safetensors as a model format, with our own names or other frameworks' names.

use super::super::export_plan::{Export, ExportOptions, export_under};
use super::super::format::{Content, Format, Mark};
use super::super::model::{self, MEAN_TENSOR, Model};
use super::super::reader::{ParseResult, Reader};
use super::super::tensor::{Dtype, Storage, Tensor};
use super::super::tensor_data::LateValues;
use super::container::{Entry, TensorFile, write_tensors};
use crate::{Error, Result};
use alexnet_files as files;
use std::borrow::Cow;
use std::path::Path;

/// safetensors.
#[derive(Debug)]
pub(crate) struct Safetensors;

impl Format for Safetensors {
    fn name(&self) -> &'static str {
        "safetensors"
    }

    /// The format has no signature except for a length.
    fn mark(&self) -> Mark {
        Mark::Missing
    }

    fn sniff(&self, reader: &Reader, head: &[u8]) -> bool {
        let extension = reader.path().extension().and_then(|e| e.to_str()).unwrap_or_default();
        head.get(8) == Some(&b'{') || matches!(extension, "safetensors" | "") || head.len() < 8
    }

    fn read(&self, reader: &Reader) -> ParseResult<Content> {
        let file = TensorFile::open(reader.path()).map_err(Error::without_path)?;
        let tensors = file.places().map(|(name, kind, shape, start, length)| Tensor {
            name,
            shape,
            dtype: match kind {
                ::safetensors::Dtype::F16 => Dtype::F16,
                ::safetensors::Dtype::BF16 => Dtype::Bf16,
                ::safetensors::Dtype::F32 => Dtype::F32,
                ::safetensors::Dtype::F64 => Dtype::F64,
                ::safetensors::Dtype::I64 => Dtype::Other("i64"),
                ::safetensors::Dtype::U8 => Dtype::Other("u8"),
                _ => Dtype::Other("other"),
            },
            storage: Storage::Runs(vec![(start, length)]),
        });
        Ok(Content { tensors: tensors.collect(), metadata: file.metadata(), ..Content::default() })
    }

    fn endings(&self) -> &'static [&'static str] {
        &["safetensors"]
    }

    fn write(&self, path: &Path, model: &Model, options: ExportOptions) -> Result<Vec<String>> {
        let Some(naming) = options.names.filter(|naming| !naming.is_own()) else {
            return model::write(path, model).map(|()| Vec::new());
        };
        let (export, remarks) = export_under(model, naming)?;
        write_under_names(path, &export)?;
        Ok(remarks)
    }
}

fn write_under_names(path: &Path, export: &Export<'_>) -> Result<()> {
    let mut entries: Vec<Entry> =
        export.parameters.iter().map(|p| Entry { name: p.name.clone(), shape: p.shape.clone() }).collect();
    if let Some((_, size)) = export.mean() {
        entries.push(Entry { name: MEAN_TENSOR.into(), shape: vec![3, size, size] });
    }
    write_tensors(path, &export.metadata, &entries, files::Sync::Disk, &mut |name| {
        if let Some((mean, _)) = export.mean().filter(|_| name == MEAN_TENSOR) {
            return Ok(Cow::Borrowed(mean));
        }
        let found = export.parameters.iter().find(|p| p.name == name);
        found.map(LateValues::values).ok_or_else(|| Error::Invalid(format!("no parameter {name}")))
    })
}
