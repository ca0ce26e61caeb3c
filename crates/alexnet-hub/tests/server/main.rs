//! Downloads from a server on this machine that behaves as badly as servers and networks do.
#![cfg(feature = "download")]

mod downloads;
mod failures;

use alexnet_hub::{Accept, CachedFile, Event, Hub, Limits, PublishedFile, Source, published};
use alexnet_testkit::http_server::Server;
use std::path::Path;
use std::time::Duration;

/// The published heads of LPIPS: a file of known size and checksum that is small enough for a test.
const HEADS: &[u8] = include_bytes!("../../../alexnet/src/lpips/alex.pth");

fn heads() -> &'static PublishedFile {
    published("lpips").expect("a published file")
}

/// Short limits.
fn limits() -> Limits {
    let milliseconds = Duration::from_millis;
    Limits { connect: milliseconds(5000), stall: milliseconds(300), attempts: 3, pause: milliseconds(1) }
}

/// A hub with a mirror and short limits.
fn hub(folder: &Path, mirror: &Server) -> Hub {
    Hub::in_folder(folder).with_limits(limits()).with_mirror(mirror.address())
}

/// Fetches the heads: the file, or the error's text, and what was observed.
fn get(hub: &Hub) -> (Result<CachedFile, String>, Vec<String>) {
    observed(|observer| hub.get(heads(), observer))
}

/// Downloads the heads from the server's address.
fn download(hub: &Hub, server: &Server, accept: Accept) -> Result<CachedFile, String> {
    let source = Source::at(&format!("{}/alex.pth", server.address()), accept).expect("an address");
    observed(|observer| hub.download(heads(), &source, observer)).0
}

fn observed(
    run: impl FnOnce(&mut dyn FnMut(Event<'_>)) -> alexnet_hub::Result<CachedFile>,
) -> (Result<CachedFile, String>, Vec<String>) {
    let mut events = Vec::new();
    let mut observer = |event: Event<'_>| match event {
        Event::Waiting => events.push("waiting".into()),
        Event::Started { position, total, .. } => events.push(format!("from {position} of {total:?}")),
        Event::Retrying { why } => events.push(format!("again: {why}")),
        Event::Received { .. } => {}
        other => panic!("{other:?}"),
    };
    let result = run(&mut observer).map_err(|error| error.to_string());
    (result, events)
}

/// Names in a folder, without locks.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| !name.ends_with(".lock"));
    names.sort();
    names
}

/// Asserts that the heads are in the folder, whole and verified, with nothing beside them.
#[track_caller]
fn assert_installed(folder: &Path, found: Result<CachedFile, String>) {
    let found = found.expect("a download");
    assert!(found.published && found.bytes == HEADS.len() as u64);
    assert_eq!(found.path, folder.join("alex.pth"));
    assert_eq!(std::fs::read(&found.path).expect("the file"), HEADS);
    assert_eq!(names(folder), ["alex.pth", "alex.pth.json"]);
}
