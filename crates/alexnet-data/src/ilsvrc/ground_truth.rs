//! Labels of the validation images: the devkit's, Kaggle's, or Caffe's.

use super::{identifiers, validation_number};
use crate::escape::{self, printable};
use crate::read_at::ReadFrom;
use crate::{Error, Result, files};
use alexnet_net::imagenet::Order;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The file of the devkit.
const LIST: &str = "ILSVRC2012_validation_ground_truth.txt";
/// Names of files with labels, relative to the folder of the images or one above, by form.
const DEVKIT: [&str; 2] = ["ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_devkit_t12.tar"];
const UNPACKED: [&str; 3] = ["ILSVRC2012_devkit_t12/data", "data", ""];
const KAGGLE: &str = "LOC_val_solution.csv";
const CAFFE: &str = "val.txt";
/// Folders searched above the images': Kaggle's labels lie next to `ILSVRC/Data/CLS-LOC/val`.
const ABOVE: usize = 4;
/// Maximum size of a list, and of an unpacked devkit up to it. The real ones have 0.2 and 11 MB.
const MAX_LIST: u64 = 16 << 20;
const MAX_DEVKIT: u64 = 256 << 20;
/// Number of the last image that may be listed.
const MAX_NUMBER: u32 = 1_000_000;

/// Labels of validation images by their numbers.
#[derive(Debug)]
pub(super) struct GroundTruth {
    /// Label in sorted order of each number from 1 on; `None` if it is not listed.
    labels: Vec<Option<u32>>,
    count: usize,
    from: PathBuf,
}

impl GroundTruth {
    /// Labels that lie next to a tar or in or above a folder of images, if any.
    pub(super) fn beside(images: &Path) -> Result<Option<GroundTruth>> {
        let images = std::path::absolute(images).map_err(|error| Error::io(images, error))?;
        let skipped = usize::from(!images.is_dir());
        for (level, folder) in images.ancestors().skip(skipped).take(ABOVE + 1).enumerate() {
            for name in DEVKIT {
                let path = folder.join(name);
                if path.is_file() {
                    return of_devkit(&path).map(Some);
                }
            }
            for within in UNPACKED {
                let path = folder.join(within).join(LIST);
                if path.is_file() {
                    let text = read(&path)?;
                    return of_ids(&path, &text).map(Some);
                }
            }
            let path = folder.join(KAGGLE);
            if path.is_file() {
                return of_kaggle(&path, &read(&path)?).map(Some);
            }
            // A name that other files may have, too.
            let path = folder.join(CAFFE);
            if level < 2 && path.is_file() {
                return of_caffe(&path, &read(&path)?).map(Some);
            }
        }
        Ok(None)
    }

    /// Label of the image of this number.
    pub(super) fn label(&self, number: u32) -> Option<u32> {
        *self.labels.get(usize::try_from(number).ok()?.checked_sub(1)?)?
    }

    /// Number of labels.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Name of the file, for messages.
    pub(super) fn shown(&self) -> String {
        escape::path(&self.from)
    }
}

fn read(path: &Path) -> Result<String> {
    let (_, size) = files::open_regular(path).map_err(|error| Error::io(path, error))?;
    if size > MAX_LIST {
        return Err(Error::file(path, "too large for a list of labels"));
    }
    files::read_text(path).map_err(|error| Error::io(path, error))
}

/// The list within the devkit's archive, of which no other member is kept.
fn of_devkit(path: &Path) -> Result<GroundTruth> {
    let broken = |_| Error::file(path, "damaged or truncated; download it again (2,568,145 bytes)");
    let (file, _) = files::open_regular(path).map_err(|error| Error::io(path, error))?;
    let bytes = ReadFrom { file: &file, at: 0 };
    let packed = path.extension().is_some_and(|ending| ending == "gz");
    let bytes: Box<dyn Read> = if packed { Box::new(flate2::read::GzDecoder::new(bytes)) } else { Box::new(bytes) };
    let mut archive = ::tar::Archive::new(bytes.take(MAX_DEVKIT));
    for entry in archive.entries().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        if entry.path_bytes().rsplit(|&byte| byte == b'/').next() != Some(LIST.as_bytes()) {
            continue;
        }
        if entry.size() > MAX_LIST {
            return Err(Error::file(path, format!("{LIST} is too large in it")));
        }
        let size = entry.size();
        let mut text = String::new();
        entry.take(MAX_LIST).read_to_string(&mut text).map_err(broken)?;
        if (text.len() as u64) < size {
            return Err(broken(std::io::ErrorKind::UnexpectedEof.into()));
        }
        return of_ids(path, &text);
    }
    Err(Error::file(path, format!("does not contain {LIST}; download ILSVRC2012_devkit_t12.tar.gz (tasks 1 and 2) again")))
}

/// One ILSVRC2012_ID a line, in the order of the images.
fn of_ids(path: &Path, text: &str) -> Result<GroundTruth> {
    let known = identifiers();
    let devkit = Order::Devkit.classes();
    let mut labels = Vec::new();
    for (line, id) in text.trim_end().lines().enumerate() {
        let class = id.trim().parse::<usize>().ok().and_then(|id| devkit.get(id.checked_sub(1)?));
        let Some((class, _)) = class else {
            let id = printable(id);
            return Err(Error::file(path, format!("line {} of {LIST}: {id} is not an ILSVRC2012_ID from 1 to 1000", line + 1)));
        };
        labels.push(known.binary_search_by(|other| other.as_str().cmp(class)).ok().map(|label| label as u32));
    }
    finished(path, labels)
}

/// `ILSVRC2012_val_00048981,n03995372 85 1 499 272` after a header: the image, then classes with boxes, all of one class.
fn of_kaggle(path: &Path, text: &str) -> Result<GroundTruth> {
    let known = identifiers();
    let of_line = |line: &str| {
        let (image, objects) = line.split_once(',')?;
        let class = objects.trim_start_matches('"').split_whitespace().next()?;
        Some((validation_number(image)?, known.binary_search_by(|other| other.as_str().cmp(class)).ok()? as u32))
    };
    let expected = "expected ILSVRC2012_val_00000001,n01751748 and a box";
    by_number(path, text.lines().enumerate().skip(1), of_line, expected)
}

/// `ILSVRC2012_val_00000001.JPEG 65`: the image, then its label in sorted order from 0.
fn of_caffe(path: &Path, text: &str) -> Result<GroundTruth> {
    let of_line = |line: &str| {
        let (image, label) = line.trim().rsplit_once([' ', '\t'])?;
        Some((validation_number(image.trim())?, label.parse().ok().filter(|&label: &u32| label < 1000)?))
    };
    by_number(path, text.lines().enumerate(), of_line, "expected ILSVRC2012_val_00000001.JPEG and a label from 0 to 999")
}

/// Labels of lines that name their images.
fn by_number<'a>(
    path: &Path,
    lines: impl Iterator<Item = (usize, &'a str)>,
    of_line: impl Fn(&str) -> Option<(u32, u32)>,
    expected: &str,
) -> Result<GroundTruth> {
    let mut labels: Vec<Option<u32>> = Vec::new();
    for (line, text) in lines.filter(|(_, text)| !text.trim().is_empty()) {
        let problem = |why: String| Error::file(path, format!("line {}: {why}", line + 1));
        let known = of_line(text).filter(|&(number, _)| (1..=MAX_NUMBER).contains(&number));
        let Some((number, label)) = known else { return Err(problem(expected.to_string())) };
        let i = number as usize - 1;
        if labels.len() <= i {
            labels.resize(i + 1, None);
        }
        if labels[i].replace(label).is_some_and(|before| before != label) {
            return Err(problem(format!("image {number} has another label in an earlier line")));
        }
    }
    finished(path, labels)
}

fn finished(path: &Path, labels: Vec<Option<u32>>) -> Result<GroundTruth> {
    let count = labels.iter().flatten().count();
    if count == 0 {
        return Err(Error::file(path, "lists no labels"));
    }
    Ok(GroundTruth { labels, count, from: path.to_path_buf() })
}
