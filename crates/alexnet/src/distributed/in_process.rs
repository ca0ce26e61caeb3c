//! Ranks as threads of one process: the same sums and messages without MPI, for tests.

use super::{BytesSent, Communicator};
use crate::{Error, Result};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

/// A message from one thread to another.
enum Packet {
    Floats(Vec<f32>),
    Bytes(Vec<u8>),
}

/// One rank of a group of threads. Dropping it makes the others' calls fail instead of waiting forever.
pub struct LocalRank {
    rank: usize,
    to: Vec<Sender<Packet>>,
    from: Vec<Mutex<Receiver<Packet>>>,
    sent: BytesSent,
}

/// The ranks of a group of `size` threads.
pub fn group(size: usize) -> Vec<LocalRank> {
    let mut members: Vec<LocalRank> =
        (0..size).map(|rank| LocalRank { rank, to: Vec::new(), from: Vec::new(), sent: BytesSent::default() }).collect();
    for from in 0..size {
        for member in 0..size {
            let (sender, receiver) = channel();
            members[from].to.push(sender);
            members[member].from.push(Mutex::new(receiver));
        }
    }
    members
}

impl LocalRank {
    fn give(&self, rank: usize, packet: Packet) -> Result<()> {
        if rank != self.rank {
            self.sent.add(match &packet {
                Packet::Floats(values) => size_of_val(values.as_slice()),
                Packet::Bytes(bytes) => bytes.len(),
            });
        }
        self.to[rank].send(packet).map_err(|_| self.gone(rank))
    }

    fn take(&self, rank: usize) -> Result<Packet> {
        let receiver = self.from[rank].lock().map_err(|_| self.gone(rank))?;
        receiver.recv().map_err(|_| self.gone(rank))
    }

    fn gone(&self, rank: usize) -> Error {
        Error::Invalid(format!("rank {} of {}: rank {rank} has stopped", self.rank, self.to.len()))
    }
}

impl Communicator for LocalRank {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.to.len()
    }

    fn all_to_all(&self, send: &[f32], counts: &[usize], receive: &mut [f32], from: &[usize]) -> Result<()> {
        assert_eq!(send.len(), counts.iter().sum::<usize>(), "parts of what is sent");
        assert_eq!(receive.len(), from.iter().sum::<usize>(), "parts of what is received");
        let mut at = 0;
        for (rank, &count) in counts.iter().enumerate() {
            self.give(rank, Packet::Floats(send[at..at + count].to_vec()))?;
            at += count;
        }
        let mut at = 0;
        for (rank, &count) in from.iter().enumerate() {
            let Packet::Floats(values) = self.take(rank)? else { return Err(self.gone(rank)) };
            receive[at..at + count].copy_from_slice(&values);
            at += count;
        }
        Ok(())
    }

    fn all_gather_bytes(&self, message: &[u8]) -> Result<Vec<Vec<u8>>> {
        (0..self.size()).try_for_each(|rank| self.give(rank, Packet::Bytes(message.to_vec())))?;
        let take = |rank| match self.take(rank)? {
            Packet::Bytes(bytes) => Ok(bytes),
            Packet::Floats(_) => Err(self.gone(rank)),
        };
        (0..self.size()).map(take).collect()
    }

    fn sent(&self) -> &BytesSent {
        &self.sent
    }

    fn as_dyn(&self) -> &dyn Communicator {
        self
    }
}

/// Runs `work` on each rank of a group of `size` threads, and returns the results in rank order.
///
/// # Panics
/// If one of them panics.
pub fn run<T: Send>(size: usize, work: impl Fn(LocalRank) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = group(size).into_iter().map(|member| scope.spawn(|| work(member))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a rank that does not panic")).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_in_rank_order() {
        for size in 1..=4 {
            let received = run(size, |ranks| {
                let mut sum = [ranks.rank() as f32, 1.0];
                ranks.all_reduce(&mut sum).unwrap();
                ranks.barrier().unwrap();
                (ranks.all_gather_bytes(&[ranks.rank() as u8]).unwrap(), ranks.broadcast(&[ranks.rank() as u8 + 7]).unwrap(), sum)
            });
            let all: Vec<Vec<u8>> = (0..size).map(|rank| vec![rank as u8]).collect();
            let sum = [(size * (size - 1) / 2) as f32, size as f32];
            assert!(received.iter().all(|r| *r == (all.clone(), vec![7], sum)), "{received:?}");
        }
    }

    #[test]
    fn a_rank_that_stops_stops_the_others() {
        let errors = run(3, |ranks| {
            if ranks.rank() == 1 {
                return String::new();
            }
            let first = ranks.all_reduce(&mut [1.0; 5]).unwrap_err().to_string();
            assert!(ranks.barrier().is_err());
            first
        });
        assert!(errors[0].contains("rank 0 of 3: rank 1 has stopped"), "{errors:?}");
        assert!(errors[2].contains("rank 2 of 3: rank"), "{errors:?}");
    }
}
