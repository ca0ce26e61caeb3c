//! Streaming writer of feature tables.

use super::table::{FEATURES, LABELS, NAMES, Sidecar, sidecar};
use super::{Provenance, npy};
use crate::files::{self, Sync, TempFile};
use crate::formats::{Entry, Mapping, TensorData, write_tensors, write_values};
use crate::{Error, Result};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Npy,
    Safetensors,
    #[cfg(feature = "parquet")]
    Parquet,
}

/// Writer that takes rows and creates the file once all are there.
///
/// The number of rows is known only then, since images may be broken, but most formats start with it. Rows therefore first go to
/// an unnamed file in the same folder, which the system removes in any case.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    kind: Kind,
    rows: BufWriter<File>,
    about: Provenance,
    names: Vec<String>,
    labels: Vec<Option<String>>,
}

impl Writer {
    /// Starts the file `path`, whose extension selects the format: `.npy` (with names, labels and provenance in a `.json` next to
    /// it), `.safetensors` (all in its metadata), or `.parquet` (columns `name`, `label` and `features`), if supported by this
    /// build.
    ///
    /// # Errors
    /// Another extension, an unwritable folder, or an unrelated `.json` at the sidecar's path.
    pub fn create(path: &Path, about: Provenance) -> Result<Writer> {
        let kind = match path.extension().and_then(|e| e.to_str()).unwrap_or_default() {
            "npy" => Kind::Npy,
            "safetensors" => Kind::Safetensors,
            #[cfg(feature = "parquet")]
            "parquet" => Kind::Parquet,
            #[cfg(not(feature = "parquet"))]
            "parquet" => {
                return Err(Error::file(
                    path,
                    "this build does not support parquet; add --features parquet, or use .npy or .safetensors",
                ));
            }
            _ => return Err(Error::file(path, "unknown extension; use .npy, .safetensors or .parquet")),
        };
        if kind == Kind::Npy {
            nothing_else(&sidecar(path))?;
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let rows = tempfile::tempfile_in(folder).map_err(|e| files::explain(path, e))?;
        let rows = BufWriter::with_capacity(1 << 20, rows);
        Ok(Writer { path: path.to_path_buf(), kind, rows, about, names: Vec::new(), labels: Vec::new() })
    }

    /// Adds an image.
    ///
    /// # Errors
    /// The number of features differs from the announced one, or the disk is full.
    pub fn push(&mut self, name: &str, label: Option<&str>, features: &[f32]) -> Result<()> {
        if features.len() != self.about.width() {
            return Err(Error::Invalid(format!("{name}: {} features instead of {}", features.len(), self.about.width())));
        }
        self.names.push(name.into());
        self.labels.push(label.map(String::from));
        write_values(&mut self.rows, features).map_err(|e| files::explain(&self.path, e))
    }

    /// Writes the file and returns the number of its rows.
    ///
    /// # Errors
    /// No rows, or the file cannot be written; an existing file is then kept.
    pub fn finish(self) -> Result<usize> {
        let Writer { path, kind, rows, about, names, labels } = self;
        let count = names.len();
        if count == 0 {
            return Err(Error::Invalid("none of the images could be read".into()));
        }
        let rows = rows.into_inner().map_err(|e| files::explain(&path, e.into_error()))?;
        let length = count * about.width() * size_of::<f32>();
        let values = Mapping::open(&path, &rows, length as u64)?.values(0, count * about.width());
        let values = values.ok_or_else(|| Error::Invalid("this machine is not little-endian".into()))?;
        match kind {
            Kind::Npy => {
                let table = TempFile::write(&path, Sync::Disk, |out| npy::write(out, count, &about.shape, &values))?;
                let (sidecar_content, beside) = (Sidecar { features: about, names, labels }, sidecar(&path));
                let sidecar_file = TempFile::write(&beside, Sync::Disk, |out| {
                    serde_json::to_writer(&mut *out, &sidecar_content)?;
                    out.write_all(b"\n")
                })?;
                // Both files are complete. Remove an old sidecar first: next to the new table it would be trusted.
                if let Err(e) = std::fs::remove_file(&beside)
                    && e.kind() != std::io::ErrorKind::NotFound
                {
                    return Err(files::explain(&beside, e));
                }
                table.take_place()?;
                sidecar_file.take_place()?;
            }
            Kind::Safetensors => safetensors(&path, &about, &names, &labels, &values)?,
            #[cfg(feature = "parquet")]
            Kind::Parquet => super::parquet::write(&path, &about, &names, &labels, &values)?,
        }
        Ok(count)
    }
}

/// Rejects a file at the sidecar's path unless it is a sidecar.
fn nothing_else(beside: &Path) -> Result<()> {
    let text = match crate::files::read_text(beside) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::InvalidData => String::new(),
        text => text.map_err(|e| Error::io(beside, e))?,
    };
    let ours = serde_json::from_str::<serde_json::Value>(&text)
        .is_ok_and(|json| [FEATURES, NAMES, LABELS].iter().all(|key| json.get(key).is_some()));
    let advice = "not written by `alexnet features` and would be overwritten; choose another --out";
    if ours { Ok(()) } else { Err(Error::file(beside, advice)) }
}

fn safetensors(path: &Path, about: &Provenance, names: &[String], labels: &[Option<String>], values: &TensorData) -> Result<()> {
    let json = |text: serde_json::Result<String>| text.map_err(|e| Error::Invalid(format!("cannot be written as JSON: {e}")));
    let metadata = BTreeMap::from([
        (FEATURES.to_string(), json(serde_json::to_string(about))?),
        (NAMES.to_string(), json(serde_json::to_string(names))?),
        (LABELS.to_string(), json(serde_json::to_string(labels))?),
    ]);
    let shape = std::iter::once(names.len()).chain(about.shape.iter().copied()).collect();
    let entries = [Entry { name: FEATURES.into(), shape }];
    write_tensors(path, &metadata, &entries, Sync::Disk, &mut |_| Ok(Cow::Borrowed(&**values)))
}
