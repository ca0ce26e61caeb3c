//! Short messages to all ranks, made of exchanges of bytes.

use alexnet::{Error, Result};

/// Gives each of `size` ranks `message`, and takes theirs, in the order of ranks. `swap` gives each rank a part of its first argument,
/// as long as the second says, and writes what comes from each into the third, as long as the fourth says.
///
/// # Errors
/// What `swap` says.
pub(crate) fn gather(
    size: usize,
    message: &[u8],
    mut swap: impl FnMut(&[u8], &[usize], &mut [u8], &[usize]) -> Result<()>,
) -> Result<Vec<Vec<u8>>> {
    // First how long each one's is.
    const LEN: usize = size_of::<u64>();
    let mut lens = vec![0; LEN * size];
    swap(&(message.len() as u64).to_le_bytes().repeat(size), &vec![LEN; size], &mut lens, &vec![LEN; size])?;
    let lens: Vec<usize> = lens.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes) as usize).collect();
    let total = lens.iter().try_fold(0usize, |sum, len| sum.checked_add(*len));
    let total =
        total.ok_or_else(|| Error::Invalid(format!("ranks tell of messages of {lens:?} bytes; is it the same program?")))?;
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
    fn all_hear_all_even_those_who_say_nothing() {
        let messages: [&[u8]; 3] = [b"first", b"", b"the third says more"];
        let heard = in_process::run(3, |ranks| {
            // Bytes by an exchange of floats, which is what threads have.
            let swap = |send: &[u8], counts: &[usize], receive: &mut [u8], from: &[usize]| {
                let send: Vec<f32> = send.iter().map(|&byte| f32::from(byte)).collect();
                let mut floats = vec![0.0; receive.len()];
                ranks.all_to_all(&send, counts, &mut floats, from)?;
                receive.iter_mut().zip(floats).for_each(|(byte, float)| *byte = float as u8);
                Ok(())
            };
            gather(3, messages[ranks.rank()], swap).expect("heard")
        });
        assert!(heard.iter().all(|heard| *heard == messages), "{heard:?}");
    }
}
