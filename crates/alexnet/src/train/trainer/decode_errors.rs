//! Handling of images that cannot be read.

use super::{Event, OnDecodeError};
use crate::data::Dataset;
use crate::train::state::State;
use crate::{Error, Result};
use std::sync::Arc;

/// Applies the run's policy to images that cannot be read.
pub(super) struct DecodeErrors {
    pub(super) policy: OnDecodeError,
    pub(super) train: Arc<dyn Dataset>,
    pub(super) val: Arc<dyn Dataset>,
}

impl DecodeErrors {
    /// Records training images by index and reason. Returns whether any of them is new.
    pub(super) fn in_training(
        &self,
        broken: &[(u32, String)],
        state: &mut State,
        watch: &mut dyn FnMut(Event<'_>),
    ) -> Result<bool> {
        self.record(&*self.train, broken, state, watch)
    }

    /// Records validation images in the same way.
    pub(super) fn in_validation(
        &self,
        broken: &[(u32, String)],
        state: &mut State,
        watch: &mut dyn FnMut(Event<'_>),
    ) -> Result<bool> {
        self.record(&*self.val, broken, state, watch)
    }

    fn record(
        &self,
        source: &dyn Dataset,
        broken: &[(u32, String)],
        state: &mut State,
        watch: &mut dyn FnMut(Event<'_>),
    ) -> Result<bool> {
        let mut news = false;
        for (i, why) in broken {
            let name = source.name(*i as usize);
            if self.policy == OnDecodeError::Stop {
                return Err(Error::Invalid(format!("{name}: {why} (--on-bad skip continues without such images)")));
            }
            if state.broken.insert(name.to_string(), why.clone()).is_none() {
                watch(Event::Broken { name, why });
                news = true;
            }
        }
        Ok(news)
    }
}
