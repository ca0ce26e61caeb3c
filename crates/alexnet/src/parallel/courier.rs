//! A thread that sums gradients over ranks while backward goes on.

use super::{Communicator, Cut, sum_of_trees};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};

/// The branches of one parameter's gradient, by its number in the order of sums.
pub(super) type Parcel = (usize, Vec<Option<Vec<f32>>>);

/// Sums parcels over ranks, in the order of their numbers, and gives what they came to: the sum last, before it what may be
/// used again.
pub(super) fn carry(
    ranks: &dyn Communicator,
    cut: &Cut,
    lens: &[usize],
    parcels: &Receiver<Parcel>,
    sums: &Sender<Parcel>,
) -> Result<()> {
    let mut early = BTreeMap::new();
    for (next, &len) in lens.iter().enumerate() {
        while !early.contains_key(&next) {
            // Whoever gives up before the end says why.
            let Ok((at, branches)) = parcels.recv() else { return Ok(()) };
            early.insert(at, branches);
        }
        let Some(mut branches) = early.remove(&next) else { continue };
        let sum = if cut.size == 1 && branches.len() == 1 {
            branches.remove(0).unwrap_or_else(|| vec![0.0; len])
        } else {
            let mut sum = vec![0.0; len];
            sum_of_trees(ranks, cut, &branches, &mut sum)?;
            sum
        };
        branches.push(Some(sum));
        if sums.send((next, branches)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// The sums over ranks of the gradients that `backward` shows, one for each of `names`, which come with their lengths. A rank that
/// shows nothing of one adds zeros.
pub(super) fn sum(
    ranks: &dyn Communicator,
    cut: &Cut,
    names: &[(String, usize)],
    backward: impl FnOnce(&mut (dyn FnMut(&str, &[f32]) + Send)),
) -> Result<Vec<Vec<f32>>> {
    let lens: Vec<usize> = names.iter().map(|(_, len)| *len).collect();
    std::thread::scope(|scope| {
        let ((give, parcels), (sums, take)) = (channel(), channel());
        let lens = &lens;
        let courier = scope.spawn(move || carry(ranks, cut, lens, &parcels, &sums));
        let mut shown = vec![false; names.len()];
        backward(&mut |name, gradient| {
            let Some(at) = names.iter().position(|(known, _)| known == name) else { return };
            shown[at] = true;
            let _ = give.send((at, vec![Some(gradient.to_vec())]));
        });
        for (at, _) in shown.iter().enumerate().filter(|(_, shown)| !**shown) {
            let _ = give.send((at, vec![None]));
        }
        drop(give);
        let found = take.into_iter().filter_map(|(_, mut branches)| branches.pop().flatten()).collect();
        courier.join().unwrap_or_else(|_| Err(Error::Invalid("the courier of gradients panicked".into())))?;
        Ok(found)
    })
}
