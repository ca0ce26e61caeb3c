//! Feature index of known images, for similarity search.

use std::path::{Path, PathBuf};

use alexnet::features::{ImageFiles, Provenance, Table, Taken};
use alexnet::image::{Image, Preprocess};
use alexnet::net::Net;
use alexnet::{Error, formats};

/// Files of an index: the feature table, and optionally the images.
#[derive(Debug, Clone)]
pub struct IndexFile {
    /// Table written by `alexnet features` with the same model: `.npy` or `.safetensors`.
    pub table: PathBuf,
    /// Images that the table was made from, for display; without them only names are shown.
    pub images: Option<PathBuf>,
}

/// An index in memory.
pub(crate) struct Index {
    pub(crate) table: Table,
    /// Layer whose activations are compared.
    pub(crate) taken: Taken,
    images: Option<ImageFiles>,
}

/// Rejects pipes and devices, which could block forever.
fn regular(path: &Path) -> alexnet::Result<()> {
    let beside = path.extension().is_some_and(|ending| ending == "npy").then(|| path.with_extension("json"));
    for path in std::iter::once(path).chain(beside.as_deref()) {
        if std::fs::metadata(path).is_ok_and(|kind| !kind.is_file()) {
            return Err(Error::file(path, "not a regular file; expected an index written by `alexnet features`"));
        }
    }
    Ok(())
}

/// Maximum rows and columns of a thumbnail.
const SMALL: usize = 160;

impl Index {
    /// Reads an index and checks that it was made with this model.
    pub(crate) fn open(file: &IndexFile, model: &Path, net: &Net, preprocess: &Preprocess) -> alexnet::Result<Index> {
        regular(&file.table)?;
        let table = Table::read(&file.table)?;
        let about = &table.about;
        let taken = Taken::new(net, &about.layer, about.before_relu, about.pool)?;
        let own = Provenance {
            model: formats::sha256(model)?,
            net: net.name.clone(),
            shape: taken.shape().to_vec(),
            preprocess: preprocess.clone(),
            ..about.clone()
        };
        if let Some(difference) = about.difference(&own) {
            return Err(Error::file(&file.table, format!("{difference}; recreate it with `alexnet features`")));
        }
        if let Some(row) = (0..table.names.len()).find(|&row| table.row(row).iter().any(|value| !value.is_finite())) {
            let message = format!("the features of {} are not finite (NaN or infinity)", table.names[row]);
            return Err(Error::file(&file.table, message));
        }
        let images = file.images.as_deref().map(ImageFiles::open).transpose()?;
        if let Some(images) = &images {
            table.names.iter().try_for_each(|name| images.check(name))?;
        }
        Ok(Index { table: table.copied(), taken, images })
    }

    /// Whether images are available for display.
    pub(crate) fn has_images(&self) -> bool {
        self.images.is_some()
    }

    /// Thumbnail of an indexed image.
    pub(crate) fn image(&self, row: usize) -> alexnet::Result<Image> {
        let images = self.images.as_ref().ok_or("this index has no images, only names")?;
        let image = images.image(&self.table.names[row])?;
        let longer = image.width.max(image.height).max(SMALL);
        let side = |length: usize| (length * SMALL).div_ceil(longer);
        Ok(image.resized(side(image.height), side(image.width)))
    }
}
