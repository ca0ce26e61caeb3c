//! The pictures that a model knows, for the nearest ones to a picture.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use alexnet::data::{self, Source};
use alexnet::features::{About, Table, Taken};
use alexnet::image::{Picture, Preprocess};
use alexnet::net::Net;
use alexnet::{Error, weights};

/// Features of pictures, and where the pictures are.
#[derive(Debug, Clone)]
pub struct IndexFile {
    /// What `alexnet features` wrote with the same model: `.npy` or `.safetensors`.
    pub table: PathBuf,
    /// The pictures that it was made of, to be shown; without them there are names alone.
    pub pictures: Option<PathBuf>,
}

/// An index in memory.
pub(crate) struct Index {
    pub(crate) table: Table,
    /// What of the network is compared.
    pub(crate) taken: Taken,
    pictures: Option<Pictures>,
}

struct Pictures {
    source: Arc<dyn Source>,
    /// For each row of the table, its number in the source.
    places: Vec<usize>,
}

/// Rows and columns of a small picture, at most.
const SMALL: usize = 160;

impl Index {
    /// Reads an index and makes sure that it is of this very model.
    pub(crate) fn open(file: &IndexFile, model: &Path, net: &Net, preprocess: &Preprocess) -> alexnet::Result<Index> {
        let table = Table::read(&file.table)?.copied();
        let about = &table.about;
        let taken = Taken::new(net, &about.layer, about.before_relu, about.pool)?;
        let own = About {
            model: weights::sha256(model)?,
            net: net.name.clone(),
            shape: taken.shape().to_vec(),
            preprocess: preprocess.clone(),
            ..about.clone()
        };
        if let Some(why) = about.difference(&own) {
            return Err(Error::file(&file.table, format!("{why}; make it again with `alexnet features`")));
        }
        let pictures = file.pictures.as_deref().map(|path| Pictures::find(path, &table)).transpose()?;
        Ok(Index { table, taken, pictures })
    }

    /// Whether there are pictures to be shown.
    pub(crate) fn has_pictures(&self) -> bool {
        self.pictures.is_some()
    }

    /// The picture of a row, small.
    pub(crate) fn picture(&self, row: usize) -> Result<Picture, String> {
        let pictures = self.pictures.as_ref().ok_or("this index has names alone")?;
        let picture = pictures.source.picture(pictures.places[row])?;
        let longer = picture.width.max(picture.height).max(SMALL);
        let side = |length: usize| (length * SMALL).div_ceil(longer);
        Ok(picture.resized(side(picture.height), side(picture.width)))
    }
}

impl Pictures {
    fn find(path: &Path, table: &Table) -> alexnet::Result<Pictures> {
        let source = data::open_loose(path)?;
        let numbers: HashMap<&str, usize> = (0..source.len()).map(|i| (source.name(i), i)).collect();
        let place = |name: &String| {
            let place = numbers.get(name.as_str()).copied();
            place.ok_or_else(|| Error::file(path, format!("there is no {name}, which the index has")))
        };
        let places = table.names.iter().map(place).collect::<alexnet::Result<_>>()?;
        Ok(Pictures { source, places })
    }
}
