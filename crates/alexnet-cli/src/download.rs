//! Downloads of published weights, with a progress bar.

use crate::output;
use alexnet::net::with_commas;
use alexnet::pretrained::{CachedFile, Event, PublishedFile};
use indicatif::{ProgressBar, ProgressStyle};

/// Runs a download, and shows its progress unless `quiet`. Without a terminal, only notes are printed.
pub(crate) fn with_progress(
    file: &PublishedFile,
    quiet: bool,
    download: impl FnOnce(&mut dyn FnMut(Event<'_>)) -> alexnet::Result<CachedFile>,
) -> anyhow::Result<CachedFile> {
    let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::no_length() };
    let note = |line: &str| {
        if !quiet {
            bar.suspend(|| output::note(line));
        }
    };
    bar.set_style(ProgressStyle::with_template("{wide_bar} {decimal_bytes}{msg}, {decimal_bytes_per_sec}")?);
    let mut announced = false;
    let found = download(&mut |event| match event {
        Event::Waiting => note(&format!("waiting for another process that is downloading {}", file.file)),
        Event::Started { url, position, total } => {
            if let Some(total) = total {
                bar.set_length(total);
                bar.set_message(format!("/{}", indicatif::DecimalBytes(total)));
            }
            bar.set_position(position);
            bar.reset_eta();
            let from = if position > 0 { format!(" from byte {} on", with_commas(position)) } else { String::new() };
            if !announced || position > 0 {
                note(&format!("downloading {url}{from}"));
            }
            announced = true;
        }
        Event::Received { position } => bar.set_position(position),
        Event::Retrying { why } => note(&format!("note: {why}; trying again")),
        _ => {}
    });
    bar.finish_and_clear();
    Ok(found?)
}

/// The note on a file that is not the published one, which its name suggests.
pub(crate) fn unpublished(file: &PublishedFile, found: &CachedFile) -> Option<String> {
    let from = found.url.as_ref().map_or("put there by hand".into(), |url| format!("from {url}"));
    let (path, name) = (found.path.display(), file.name.unwrap_or(file.file));
    (!found.published)
        .then(|| format!("note: {path} is not the published {name} but another file, {from}, sha256 {}", found.sha256))
}
