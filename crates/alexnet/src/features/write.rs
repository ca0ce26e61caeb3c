//! Writing features row by row, however many there are.

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

/// Takes rows and writes the file when all are there.
///
/// How many there will be is known only then, as images may be broken, but stands at the beginning of most formats. So rows go
/// to a nameless file in the same folder first, which the system removes whatever happens to this program.
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
    /// Begins the file `path`, whose ending says the format: `.npy` (with the names, labels and what else there is to say in a
    /// `.json` beside it), `.safetensors` (all that in its metadata), or `.parquet` (columns `name`, `label` and `features`), the
    /// latter if this build has it.
    ///
    /// # Errors
    /// Another ending, a folder that cannot be written to, or a `.json` of something else where this one would stand.
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
                    "this build writes no parquet: add --features parquet, or write .npy or .safetensors",
                ));
            }
            _ => return Err(Error::file(path, "the ending says the format; give .npy, .safetensors or .parquet")),
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
    /// Not as many features as were announced, or a full disk.
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
    /// No rows, or a file that cannot be written; one that stood there is then kept.
    pub fn finish(self) -> Result<usize> {
        let Writer { path, kind, rows, about, names, labels } = self;
        let count = names.len();
        if count == 0 {
            return Err(Error::Invalid("none of the images could be read".into()));
        }
        let rows = rows.into_inner().map_err(|e| files::explain(&path, e.into_error()))?;
        let length = count * about.width() * size_of::<f32>();
        let values = Mapping::open(&path, &rows, length as u64)?.values(0, count * about.width());
        let values = values.ok_or_else(|| Error::Invalid("this machine's numbers are not little-endian".into()))?;
        match kind {
            Kind::Npy => {
                let table = TempFile::write(&path, Sync::Disk, |out| npy::write(out, count, &about.shape, &values))?;
                let (told, beside) = (Sidecar { features: about, names, labels }, sidecar(&path));
                let told = TempFile::write(&beside, Sync::Disk, |out| {
                    serde_json::to_writer(&mut *out, &told)?;
                    out.write_all(b"\n")
                })?;
                // Both are whole. An old sidecar goes first: beside the new table it would be believed.
                if let Err(e) = std::fs::remove_file(&beside)
                    && e.kind() != std::io::ErrorKind::NotFound
                {
                    return Err(files::explain(&beside, e));
                }
                table.take_place()?;
                told.take_place()?;
            }
            Kind::Safetensors => safetensors(&path, &about, &names, &labels, &values)?,
            #[cfg(feature = "parquet")]
            Kind::Parquet => super::parquet::write(&path, &about, &names, &labels, &values)?,
        }
        Ok(count)
    }
}

/// Refuses a file at the sidecar's place that no earlier table left there.
fn nothing_else(beside: &Path) -> Result<()> {
    let text = match crate::files::read_text(beside) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::InvalidData => String::new(),
        text => text.map_err(|e| Error::io(beside, e))?,
    };
    let ours = serde_json::from_str::<serde_json::Value>(&text)
        .is_ok_and(|json| [FEATURES, NAMES, LABELS].iter().all(|key| json.get(key).is_some()));
    let advice = "not of `alexnet features`, whose names and labels would be written over it; choose another --out";
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
