//! Reducer thread: sums gradients over ranks while backward continues.

use super::{Communicator, Partition, Room, sum_of_trees};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};

/// One parameter's gradient to be summed.
pub(super) struct Bucket {
    /// Index of the parameter in the order of sums.
    pub(super) at: usize,
    pub(super) branches: Vec<Option<Vec<f32>>>,
    /// A used buffer for the sum, if available: allocating fresh memory costs more than adding.
    pub(super) spare: Option<Vec<f32>>,
}

/// A gradient summed over ranks.
pub(super) struct Sum {
    /// Index of the parameter.
    pub(super) at: usize,
    pub(super) values: Vec<f32>,
    /// Buffers that can be reused.
    pub(super) free: Vec<Option<Vec<f32>>>,
}

/// Sums buckets over ranks, in order of their index.
pub(super) fn reduce(
    ranks: &dyn Communicator,
    cut: &Partition,
    lens: &[usize],
    buckets: &Receiver<Bucket>,
    sums: &Sender<Sum>,
    room: &mut Room,
) -> Result<()> {
    let mut early = BTreeMap::new();
    for (next, &len) in lens.iter().enumerate() {
        while !early.contains_key(&next) {
            // If the sender stops early, it reports the error itself.
            let Ok(bucket) = buckets.recv() else { return Ok(()) };
            early.insert(bucket.at, bucket);
        }
        let Some(Bucket { at, mut branches, spare }) = early.remove(&next) else { continue };
        let mut values = spare.unwrap_or_default();
        if cut.size == 1 && branches.len() == 1 {
            let whole = branches.remove(0).unwrap_or_else(|| vec![0.0; len]);
            branches.push(Some(std::mem::replace(&mut values, whole)));
        } else {
            values.resize(len, 0.0);
            sum_of_trees(ranks, cut, &branches, &mut values, room)?;
        }
        if sums.send(Sum { at, values, free: branches }).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Sums over ranks of the gradients that `backward` visits, one for each of `names`, which come with their lengths.
/// If a rank does not visit a name, it contributes zeros.
pub(super) fn sum(
    ranks: &dyn Communicator,
    cut: &Partition,
    names: &[(String, usize)],
    backward: impl FnOnce(&mut (dyn FnMut(&str, &[f32]) + Send)),
) -> Result<Vec<Vec<f32>>> {
    let lens: Vec<usize> = names.iter().map(|(_, len)| *len).collect();
    std::thread::scope(|scope| {
        let ((give, buckets), (sums, take)) = (channel(), channel());
        let lens = &lens;
        let reducer = scope.spawn(move || reduce(ranks, cut, lens, &buckets, &sums, &mut Room::default()));
        let mut shown = vec![false; names.len()];
        backward(&mut |name, gradient| {
            let Some(at) = names.iter().position(|(known, _)| known == name) else { return };
            shown[at] = true;
            let _ = give.send(Bucket { at, branches: vec![Some(gradient.to_vec())], spare: None });
        });
        for (at, _) in shown.iter().enumerate().filter(|(_, shown)| !**shown) {
            let _ = give.send(Bucket { at, branches: vec![None], spare: None });
        }
        drop(give);
        let found = take.into_iter().map(|sum| sum.values).collect();
        reducer.join().unwrap_or_else(|_| Err(Error::Invalid("the gradient reducer thread panicked".into())))?;
        Ok(found)
    })
}
