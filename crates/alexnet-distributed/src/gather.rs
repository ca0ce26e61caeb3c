//! All-gather of short messages, built on a byte exchange.

use alexnet::{Error, Result};

/// Sends `message` to each of `size` ranks and returns theirs in rank order. `swap(send, counts, receive, from)`
/// sends each rank its part of `send`, of the lengths in `counts`, and writes the parts received into `receive`, of
/// the lengths in `from`.
///
/// # Errors
/// Those of `swap`.
pub(crate) fn gather(
    size: usize,
    message: &[u8],
    mut swap: impl FnMut(&[u8], &[usize], &mut [u8], &[usize]) -> Result<()>,
) -> Result<Vec<Vec<u8>>> {
    // Exchange the lengths first.
    const LEN: usize = size_of::<u64>();
    let mut lens = vec![0; LEN * size];
    swap(&(message.len() as u64).to_le_bytes().repeat(size), &vec![LEN; size], &mut lens, &vec![LEN; size])?;
    let lens: Vec<usize> = lens.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes) as usize).collect();
    let total = lens.iter().try_fold(0usize, |sum, len| sum.checked_add(*len));
    let total = total.ok_or_else(|| {
        Error::Invalid(format!("invalid message lengths {lens:?}; do all ranks run the same version of the program?"))
    })?;
    let mut all = vec![0; total];
    swap(&message.repeat(size), &vec![message.len(); size], &mut all, &lens)?;
    let mut rest = all.as_slice();
    let take = |len: usize| {
        let (message, behind) = rest.split_at(len);
        rest = behind;
        message.to_vec()
    };
    Ok(lens.into_iter().map(take).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alexnet::distributed::Communicator;
    use alexnet::distributed::in_process;

    #[test]
    fn all_messages_are_gathered_even_empty_ones() {
        let messages: [&[u8]; 3] = [b"first", b"", b"the third says more"];
        let received = in_process::run(3, |ranks| {
            // Implements the byte exchange with the float exchange that in-process ranks provide.
            let swap = |send: &[u8], counts: &[usize], receive: &mut [u8], from: &[usize]| {
                let send: Vec<f32> = send.iter().map(|&byte| f32::from(byte)).collect();
                let mut floats = vec![0.0; receive.len()];
                ranks.all_to_all(&send, counts, &mut floats, from)?;
                receive.iter_mut().zip(floats).for_each(|(byte, float)| *byte = float as u8);
                Ok(())
            };
            gather(3, messages[ranks.rank()], swap).expect("gathered")
        });
        assert!(received.iter().all(|all| *all == messages), "{received:?}");
    }
}
