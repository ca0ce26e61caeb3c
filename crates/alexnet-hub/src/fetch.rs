//! One download into the cache folder: lock, transfer, verification, rename.

use crate::hub::{CachedFile, Event, Hub, cached};
use crate::lock::Lock;
use crate::record::with_suffix;
use crate::source::{Accept, Source, without_secrets};
use crate::transfer::{Failure, Part, transfer};
use alexnet_files::{Error, Result, explain};
use alexnet_formats::published::PublishedFile;

impl Hub {
    /// Downloads a file. Without `replace`, one that is there already, or that another process has downloaded meanwhile, is kept.
    pub(crate) fn fetch(
        &self,
        file: &PublishedFile,
        source: &Source,
        replace: bool,
        observer: &mut dyn FnMut(Event<'_>),
    ) -> Result<CachedFile> {
        let (folder, path) = (self.folder(), self.path(file));
        std::fs::create_dir_all(folder).map_err(|e| explain(folder, e))?;
        let lock_path = with_suffix(&path, ".lock");
        let mut waited = false;
        let lock = Lock::take(&lock_path, || {
            waited = true;
            observer(Event::Waiting);
        });
        let lock = lock.map_err(|e| explain(&lock_path, e))?;
        // The process that held the lock may have downloaded the file.
        if (!replace || waited)
            && let Ok(Some(found)) = self.find(file)
            && source.accept.is_met_by(&found)
        {
            return Ok(found);
        }
        let ending = if lock.is_exclusive() { ".part".into() } else { format!(".{}.part", std::process::id()) };
        let mut part = Part::open(&with_suffix(&path, &ending), file)?;
        match transfer(file, source, &mut part, &self.limits, observer) {
            Ok(record) => {
                part.take_place(&path, &record)?;
                Ok(cached(path, file, record))
            }
            Err(failure) => {
                let error = match failure {
                    Failure::Local(error) => error,
                    Failure::Content(why) => self.refused(file, source, &why),
                    Failure::Passing(why) | Failure::Unreachable(why) | Failure::Network(why) => self.cannot(file, source, &why),
                };
                if part.is_empty() {
                    part.discard();
                }
                Err(error)
            }
        }
    }

    /// The error of a source with another file.
    fn refused(&self, file: &PublishedFile, source: &Source, why: &str) -> Error {
        let name = file.name.unwrap_or(file.file);
        let url = without_secrets(&source.url);
        let remedy = format!("if that file is wanted: alexnet pull {name} --url {url} --no-verify");
        let expected = if source.accept == Accept::Published { "published" } else { "expected" };
        Error::Invalid(format!("{url} is not the {expected} file: {why}; {remedy}"))
    }
}
