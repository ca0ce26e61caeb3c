//! Writer of TensorBoard event files, for viewing runs next to those of other programs.
//!
//! An event file is a sequence of TFRecords: a length, its masked CRC-32C, an `Event` protobuf message, and its masked CRC-32C.
//! The crate that could write it (tensorboard-rs) has been unmaintained since 2022. Sources: tensorflow/core/lib/io/record_writer.h,
//! core/util/event.proto, core/framework/summary.proto.

mod histogram;
mod hparams;

pub use hparams::Status;

use crate::draw::encode::png;
use crate::formats::Message;
use crate::image::Image;
use crate::{Error, Result, files};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// An event file, open for appending.
pub struct EventFile {
    file: File,
    path: PathBuf,
}

impl EventFile {
    /// Creates a file in `folder` for a run that starts or resumes at `step`: TensorBoard then discards later steps written by a
    /// process that did not save them.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(folder: &Path, step: u64) -> Result<EventFile> {
        let now = wall_time();
        // TensorBoard recognises its files by this name, and sorts them by the seconds in it.
        let mut path = folder.join(format!("events.out.tfevents.{:010}.alexnet.{}", now as u64, std::process::id()));
        for again in 1.. {
            match OpenOptions::new().create_new(true).append(true).open(&path) {
                Ok(file) => {
                    let mut events = EventFile { file, path };
                    events.write(Message::default().double(1, now).text(3, "brain.Event:2"))?;
                    // SessionLog { status: START }.
                    events.write(Message::default().double(1, now).int(2, step).message(7, Message::default().int(1, 1)))?;
                    return Ok(events);
                }
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                    path = folder.join(format!("events.out.tfevents.{:010}.alexnet.{}.{again}", now as u64, std::process::id()));
                }
                Err(e) => return Err(files::explain(&path, e)),
            }
        }
        Err(Error::file(path, "there are too many files of this name"))
    }

    /// Writes scalars at a step, keyed by curve name.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn scalars(&mut self, scalars: &[(&str, f64)], step: u64) -> Result<()> {
        let value = |(tag, value): &(&str, f64)| Message::default().text(1, tag).float(2, *value as f32);
        let summary = scalars.iter().fold(Message::default(), |summary, scalar| summary.message(1, value(scalar)));
        self.write(Message::default().double(1, wall_time()).int(2, step).message(5, summary))
    }

    /// Writes an image at a step.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn image(&mut self, tag: &str, picture: &Image, step: u64) -> Result<()> {
        let image = Message::default().int(1, picture.height as u64).int(2, picture.width as u64).int(3, 3).text(4, png(picture));
        let summary = Message::default().message(1, Message::default().text(1, tag).message(4, image));
        self.write(Message::default().double(1, wall_time()).int(2, step).message(5, summary))
    }

    /// Writes a histogram of values at a step; nothing if one of them is not finite.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn histogram(&mut self, tag: &str, values: &[f32], step: u64) -> Result<()> {
        let Some(histogram) = histogram::message(values) else { return Ok(()) };
        let summary = Message::default().message(1, Message::default().text(1, tag).message(5, histogram));
        self.write(Message::default().double(1, wall_time()).int(2, step).message(5, summary))
    }

    /// Writes the settings of a run, by name, for the HPARAMS page.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn hparams(&mut self, settings: &[(String, String)]) -> Result<()> {
        let now = wall_time();
        self.write(Message::default().double(1, now).message(5, hparams::start(settings, now)))
    }

    /// Writes how the run ended, for the HPARAMS page.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn hparams_end(&mut self, status: Status) -> Result<()> {
        let now = wall_time();
        self.write(Message::default().double(1, now).message(5, hparams::end(status, now)))
    }

    /// Appends in one call, so that a reader hardly ever sees half a record.
    fn write(&mut self, event: Message<'_>) -> Result<()> {
        let mut bytes = Vec::new();
        event.write(&mut bytes).and_then(|()| self.file.write_all(&record(&bytes))).map_err(|e| files::explain(&self.path, e))
    }
}

fn wall_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Encodes a TFRecord.
fn record(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), content, &masked(content)].concat()
}

/// Masked checksum of TFRecords: rotated and offset, since a file may itself contain checksums.
fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c(bytes).rotate_right(15).wrapping_add(0xA282_EAD8).to_le_bytes()
}

/// CRC-32C (Castagnoli), byte by byte: a run writes a few kilobytes per epoch.
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0u32; 256];
        let mut i = 0;
        while i < 256 {
            let (mut crc, mut bit) = (i as u32, 0);
            while bit < 8 {
                crc = if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
                bit += 1;
            }
            table[i] = crc;
            i += 1;
        }
        table
    };
    !bytes.iter().fold(!0u32, |crc, &byte| crc >> 8 ^ TABLE[usize::from(crc as u8 ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_match_rfc_3720_and_tensorflow() {
        // RFC 3720, B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xFF; 32]), 0x62A8_AB43);
        assert_eq!(crc32c(&(0..32).collect::<Vec<u8>>()), 0x46DD_794E);
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn records_match_tensorboards_own_writer() {
        // tensorboard 2.21: RecordWriter(f).write(Event(wall_time=1234.5, file_version="brain.Event:2").SerializeToString()),
        // and the same with step=7, summary of loss/train = 0.25.
        let version = Message::default().double(1, 1234.5).text(3, "brain.Event:2");
        let value = Message::default().text(1, "loss/train").float(2, 0.25);
        let scalar = Message::default().double(1, 1234.5).int(2, 7).message(5, Message::default().message(1, value));
        for (message, golden) in [(version, VERSION), (scalar, SCALAR)] {
            let mut bytes = Vec::new();
            message.write(&mut bytes).unwrap();
            let hex: String = record(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, golden);
        }
    }

    const VERSION: &str = "1800000000000000a37f4b220900000000004a93401a0d627261696e2e4576656e743a3265b8d3fb";
    const SCALAR: &str = "200000000000000029eda9500900000000004a934010072a130a110a0a6c6f73732f747261696e150000803e0c44a89e";

    /// Parses the events of a file and verifies checksums.
    fn events(path: &Path) -> Vec<Vec<u8>> {
        let bytes = std::fs::read(path).unwrap();
        let (mut at, mut events) = (0, Vec::new());
        while at < bytes.len() {
            let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
            assert_eq!(bytes[at + 8..at + 12], masked(&bytes[at..at + 8]));
            let content = &bytes[at + 12..at + 12 + length];
            assert_eq!(bytes[at + 12 + length..at + 16 + length], masked(content));
            events.push(content.to_vec());
            at += 16 + length;
        }
        events
    }

    #[test]
    fn a_file_holds_scalars_and_images_and_names_never_collide() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = EventFile::create(folder.path(), 0).unwrap();
        let second = EventFile::create(folder.path(), 9).unwrap();
        assert_ne!(first.path, second.path);
        first.scalars(&[("a", 0.5), ("b", f64::NAN)], 3).unwrap();
        first.image("filters", &Image { width: 2, height: 1, rgb: vec![1, 2, 3, 4, 5, 6] }, 3).unwrap();
        first.histogram("fc1.weight", &[0.5, 1.0], 3).unwrap();
        first.hparams(&[("recipe.lr".into(), "0.5".into()), ("net".into(), "slim".into())]).unwrap();
        first.hparams_end(Status::Success).unwrap();
        let events = events(&first.path);
        assert_eq!(events.len(), 7);
        let has = |event: &[u8], part: &[u8]| event.windows(part.len()).any(|window| window == part);
        assert!(has(&events[2], b"\x0a\x01a\x15\x00\x00\x00\x3f") && has(&events[3], b"\x89PNG"));
        assert!(has(&events[4], b"fc1.weight") && has(&events[5], b"_hparams_/session_start_info"));
        // recipe.lr as the number 0.5, net as the text slim.
        assert!(
            has(&events[5], b"\x0a\x09recipe.lr\x12\x09\x11\0\0\0\0\0\0\xe0\x3f")
                && has(&events[5], b"\x0a\x03net\x12\x06\x1a\x04slim")
        );
        assert!(has(&events[6], b"_hparams_/session_end_info") && has(&events[6], b"\x08\x01\x11"));
        std::fs::remove_dir_all(folder.path().join("gone")).unwrap_err();
        assert!(EventFile::create(&folder.path().join("gone"), 0).err().unwrap().to_string().contains("gone"));
    }
}
