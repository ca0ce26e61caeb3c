//! The zip container: `NAME/data.pkl`, and each storage as a record `NAME/data/KEY`, never compressed.

use super::super::export_plan::{ExportOptions, export_under};
use super::super::format::{Content, Format, Mark};
use super::super::model::{MEAN_TENSOR, Model};
use super::super::pickle::{self, Id, Pickle};
use super::super::reader::{ParseResult, Reader};
use super::super::tensor::{Dtype, Storage, Tensor};
use super::super::unsupported;
use super::ALLOWED;
use super::state_dict::{Kept, RawStorage, class, tensors};
use super::write::{ABOUT, write};
use crate::Result;
use alexnet_net::ParamNaming;
use rawzip::{CompressionMethod, RECOMMENDED_BUFFER_SIZE, ZipArchive};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Maximum number of records; AlexNet has about twenty.
const MOST_RECORDS: usize = 1 << 14;

/// PyTorch's zip format, since 1.6.
#[derive(Debug)]
pub(crate) struct TorchZip;

impl Format for TorchZip {
    fn name(&self) -> &'static str {
        "PyTorch, zip container"
    }

    fn framework(&self) -> &'static str {
        "PyTorch"
    }

    fn mark(&self) -> Mark {
        Mark::Shared
    }

    fn sniff(&self, _reader: &Reader, head: &[u8]) -> bool {
        head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")
    }

    fn read(&self, reader: &Reader) -> ParseResult<Content> {
        let (tensors, metadata, remarks) = parse(reader)?;
        Ok(Content { tensors, metadata, graph: None, remarks })
    }

    /// Includes the `checkpoint.pth.tar` of PyTorch's own examples, which is not a tar, and the extensions of Lightning and
    /// transformers.
    fn endings(&self) -> &'static [&'static str] {
        &["pth", "pt", "pth.tar", "ckpt", "bin"]
    }

    fn write(&self, path: &Path, model: &Model, options: ExportOptions) -> Result<Vec<String>> {
        let usual =
            ParamNaming::of_framework("torchvision", &model.net.name).filter(|naming| export_under(model, naming).is_ok());
        let (export, remarks) = export_under(model, options.names.or(usual).unwrap_or(&ParamNaming::OWN))?;
        write(path, &export)?;
        Ok(remarks)
    }
}

type Parsed = (Vec<Tensor>, BTreeMap<String, String>, Vec<String>);

fn parse(reader: &Reader) -> ParseResult<Parsed> {
    let records = records(reader)?;
    let root = records
        .keys()
        .filter_map(|name| name.strip_suffix("data.pkl"))
        .min_by_key(|root| root.len())
        .ok_or("a zip without the record data.pkl, not a torch.save file")?;
    let find = |name: &str| records.get(&format!("{root}{name}"));
    if let Some(&(start, length)) = find("byteorder")
        && length < 16
        && reader.cursor(start, start + length).text(length)? != "little"
    {
        return Err("written on a big-endian machine; save it again on another".into());
    }
    let mut metadata = BTreeMap::new();
    if let Some(&(start, length)) = find(ABOUT) {
        let text = reader.cursor(start, start + length).text(length)?;
        metadata = serde_json::from_str(&text).map_err(|e| format!("invalid record {ABOUT}: {e}"))?;
    }
    let &(start, length) = find("data.pkl").ok_or("no data.pkl")?;
    let pickle = pickle::read(&mut reader.cursor(start, start + length), ALLOWED)?;
    let storage = |pickle: &Pickle, what: Id| -> ParseResult<Kept> {
        // ('storage', class, key, location, number of elements)
        let &[_, kind, key, _, count, ..] = pickle.items(what).unwrap_or_default() else {
            return Err("damaged: an incomplete reference to a storage".into());
        };
        let ((dtype, size), count) = (class(pickle, kind)?, pickle.count(count)?);
        let key = pickle.text(key).ok_or("damaged: the key of a storage is not a string")?;
        let &(start, length) = find(&format!("data/{key}")).ok_or_else(|| format!("damaged: no record data/{key}"))?;
        if count.checked_mul(size) != Some(length) {
            return Err(format!("damaged: data/{key} has {length} bytes for {count} values of {size} bytes"));
        }
        Ok(Kept::Storage(RawStorage { dtype, size, start, length }))
    };
    let (mut tensors, remarks) = tensors(&pickle, &storage)?;
    if let Some(&(start, length)) = find(MEAN_TENSOR) {
        let side = ((length / 12) as f64).sqrt() as usize;
        let storage = Storage::Runs(vec![(start, length)]);
        tensors.push(Tensor { name: MEAN_TENSOR.into(), shape: vec![3, side, side], dtype: Dtype::F32, storage });
    }
    Ok((tensors, metadata, remarks))
}

/// Location of each record: start and length.
fn records(reader: &Reader) -> ParseResult<HashMap<String, (u64, u64)>> {
    let broken = |e: rawzip::Error| format!("a damaged zip ({e}); copy it again");
    let file = reader.file().try_clone().map_err(|e| e.to_string())?;
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let archive = ZipArchive::from_file(file, &mut buffer).map_err(broken)?;
    let mut found = Vec::new();
    let mut entries = archive.entries(&mut buffer);
    while let Some(entry) = entries.next_entry().map_err(broken)? {
        let name = String::from_utf8_lossy(entry.file_path().as_ref()).into_owned();
        if let Some(message) = unsupported::by_record(&name) {
            return Err(message);
        }
        if entry.compression_method() != CompressionMethod::STORE {
            return Err(format!("its record {name} is compressed, which torch.save never does; unpack and save it again"));
        }
        if found.len() == MOST_RECORDS {
            return Err(format!("a zip with more than {MOST_RECORDS} records; a model has a few dozen"));
        }
        found.push((name, entry.wayfinder()));
    }
    let mut records = HashMap::new();
    for (name, place) in found {
        let (start, end) = archive.get_entry(place).map_err(broken)?.compressed_data_range();
        if start > end || end > reader.length() {
            return Err(format!("truncated: its record {name} ends at byte {end} of {}", reader.length()));
        }
        records.insert(name, (start, end - start));
    }
    Ok(records)
}
