//! Short messages: what ranks must agree upon between sums.

use super::Communicator;
use crate::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Hears from all ranks, in the order of ranks. No floats that may be no numbers: JSON has none.
///
/// # Errors
/// When another rank is gone, or runs another version of the program.
pub fn all_gather_values<T: Serialize + DeserializeOwned>(ranks: &dyn Communicator, what: &T) -> Result<Vec<T>> {
    let bytes = serde_json::to_vec(what).map_err(|e| Error::Invalid(format!("a message to other ranks: {e}")))?;
    let read = |(rank, bytes): (usize, Vec<u8>)| {
        serde_json::from_slice(&bytes)
            .map_err(|e| Error::Invalid(format!("rank {rank} says what is not understood here: {e}; is it the same program?")))
    };
    ranks.all_gather_bytes(&bytes)?.into_iter().enumerate().map(read).collect()
}

/// What rank 0 thinks, on all ranks.
///
/// # Errors
/// As [`all_gather_values`].
pub fn broadcast_value<T: Serialize + DeserializeOwned>(ranks: &dyn Communicator, what: &T) -> Result<T> {
    let all = all_gather_values(ranks, what)?;
    all.into_iter().next().ok_or_else(|| Error::Invalid("no ranks".into()))
}

/// Numbers in a row, bit by bit, so that what is no number gets there too.
pub(crate) struct Floats;

impl Floats {
    /// From doubles to bytes.
    pub(crate) fn write(values: impl IntoIterator<Item = f64>) -> Vec<u8> {
        values.into_iter().flat_map(f64::to_le_bytes).collect()
    }

    /// Back.
    pub(crate) fn read(bytes: &[u8]) -> Vec<f64> {
        bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
    }
}

/// Hears rows of numbers from all ranks and puts them one after the other.
pub(crate) fn all_gather_f64(ranks: &dyn Communicator, values: impl IntoIterator<Item = f64>) -> Result<Vec<f64>> {
    Ok(ranks.all_gather_bytes(&Floats::write(values))?.iter().flat_map(|bytes| Floats::read(bytes)).collect())
}
