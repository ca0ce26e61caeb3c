//! Short control messages between ranks.

use super::Communicator;
use crate::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Gathers a value from all ranks, in rank order. Values must not contain NaN or infinite floats, which JSON cannot
/// represent.
///
/// # Errors
/// A rank that failed or runs another version of the program.
pub fn all_gather_values<T: Serialize + DeserializeOwned>(ranks: &dyn Communicator, what: &T) -> Result<Vec<T>> {
    let bytes = serde_json::to_vec(what).map_err(|e| Error::Invalid(format!("cannot encode a message to other ranks: {e}")))?;
    let read = |(rank, bytes): (usize, Vec<u8>)| {
        serde_json::from_slice(&bytes).map_err(|e| {
            Error::Invalid(format!(
                "cannot decode the message of rank {rank}: {e}; do all ranks run the same version of the program?"
            ))
        })
    };
    ranks.all_gather_bytes(&bytes)?.into_iter().enumerate().map(read).collect()
}

/// Broadcasts rank 0's value to all ranks.
///
/// # Errors
/// As [`all_gather_values`].
pub fn broadcast_value<T: Serialize + DeserializeOwned>(ranks: &dyn Communicator, what: &T) -> Result<T> {
    let all = all_gather_values(ranks, what)?;
    all.into_iter().next().ok_or_else(|| Error::Invalid("no ranks".into()))
}

/// Floats encoded as raw bits, so that NaN and infinities survive.
pub(crate) struct Floats;

impl Floats {
    /// Encodes doubles as bytes.
    pub(crate) fn write(values: impl IntoIterator<Item = f64>) -> Vec<u8> {
        values.into_iter().flat_map(f64::to_le_bytes).collect()
    }

    /// Decodes doubles from bytes.
    pub(crate) fn read(bytes: &[u8]) -> Vec<f64> {
        bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
    }
}

/// Gathers lists of floats from all ranks and concatenates them in rank order.
pub(crate) fn all_gather_f64(ranks: &dyn Communicator, values: impl IntoIterator<Item = f64>) -> Result<Vec<f64>> {
    Ok(ranks.all_gather_bytes(&Floats::write(values))?.iter().flat_map(|bytes| Floats::read(bytes)).collect())
}
