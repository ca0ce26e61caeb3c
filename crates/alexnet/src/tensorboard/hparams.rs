//! Settings of a run for TensorBoard's HPARAMS page, where runs are rows with their settings and scalars.
//!
//! The page reads two summaries without values, whose metadata describe the start and the end of a session. Sources:
//! tensorboard/plugins/hparams/plugin_data.proto and api.proto, google/protobuf/struct.proto.

use crate::formats::Message;

/// How a session ended, in the plugin's numbering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It was completed, or stopped as requested.
    Success = 1,
    /// It failed.
    Failure = 2,
}

/// The start of a session with these settings, by name.
pub(super) fn start(settings: &[(String, String)], time: f64) -> Message<'static> {
    let info = settings.iter().fold(Message::default(), |info, (name, text)| {
        // An entry of the map from names to values.
        info.message(1, Message::default().text(1, name).message(2, value(text)))
    });
    summary("_hparams_/session_start_info", 3, info.double(5, time))
}

/// The end of a session.
pub(super) fn end(status: Status, time: f64) -> Message<'static> {
    summary("_hparams_/session_end_info", 4, Message::default().int(1, status as u64).double(2, time))
}

/// A number, a truth value or a text.
fn value(text: &str) -> Message<'static> {
    match text {
        "true" | "false" => Message::default().int(4, u64::from(text == "true")),
        _ => match text.parse::<f64>().ok().filter(|number| number.is_finite()) {
            Some(number) => Message::default().double(2, number),
            None => Message::default().text(3, text),
        },
    }
}

/// A summary whose metadata hold `info` as the plugin's field `field`.
fn summary(tag: &str, field: u32, info: Message<'static>) -> Message<'static> {
    let mut content = Vec::new();
    // A vector takes everything.
    let _ = Message::default().message(field, info).write(&mut content);
    let plugin = Message::default().text(1, "hparams").text(2, content);
    Message::default().message(1, Message::default().text(1, tag).message(9, Message::default().message(1, plugin)))
}
