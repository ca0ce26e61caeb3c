//! The arena: a few buffers, each lent to one value after another.

use alexnet_kernels::buffer::Buffer;

/// From when to when a value is needed, in ticks of the program that uses it, both ends included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetime {
    /// Floats.
    pub(super) len: usize,
    /// The tick that writes it.
    pub(super) from: usize,
    /// The last tick that reads it.
    pub(super) to: usize,
}

/// Buffers for a program's values. Values that are never needed at the same tick share a buffer.
pub(super) struct Arena {
    buffers: Vec<Buffer>,
    buffer_of: Vec<usize>,
}

impl Arena {
    /// Makes room for values with the given lives; `None` takes no room.
    ///
    /// The largest values choose first. Each takes the smallest buffer that is free for all its life and large enough.
    pub(super) fn new(lives: &[Option<Lifetime>]) -> Arena {
        let (sizes, buffer_of) = assign(lives);
        Arena { buffers: sizes.into_iter().map(Buffer::zeros).collect(), buffer_of }
    }

    /// Floats that values with these lives need in all.
    pub(super) fn len_of(lives: &[Option<Lifetime>]) -> usize {
        assign(lives).0.iter().fold(0, |sum, len| sum.saturating_add(*len))
    }

    /// A value's floats.
    pub(super) fn read(&self, value: usize) -> &[f32] {
        &self.buffers[self.buffer_of[value]]
    }

    /// Lends a value's floats for writing, together with all that does not share its buffer.
    pub(super) fn write<T>(&mut self, value: usize, work: impl FnOnce(&Arena, &mut [f32]) -> T) -> T {
        let index = self.buffer_of[value];
        // Swapping a buffer out is safe and costs nothing; whoever read the same buffer meanwhile would find it empty.
        let mut buffer = std::mem::take(&mut self.buffers[index]);
        let result = work(self, &mut buffer);
        self.buffers[index] = buffer;
        result
    }

    /// Floats in all buffers.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.buffers.iter().map(|b| b.len()).sum()
    }
}

/// Sizes of the buffers, and the buffer of each value (0 for values that need none).
fn assign(lives: &[Option<Lifetime>]) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = (0..lives.len()).filter(|&v| lives[v].is_some()).collect();
    order.sort_by_key(|&v| (std::cmp::Reverse(lives[v].map(|life| life.len)), v));
    let mut sizes: Vec<usize> = Vec::new();
    let mut tenants: Vec<Vec<Lifetime>> = Vec::new();
    let mut buffer_of = vec![0; lives.len()];
    for value in order {
        let Some(life) = lives[value] else { continue };
        // Largest first, so every buffer made so far is large enough; the youngest is the smallest.
        let free = (0..sizes.len()).rev().find(|&b| tenants[b].iter().all(|other| life.to < other.from || other.to < life.from));
        let buffer = free.unwrap_or_else(|| {
            sizes.push(life.len);
            tenants.push(Vec::new());
            sizes.len() - 1
        });
        tenants[buffer].push(life);
        buffer_of[value] = buffer;
    }
    (sizes, buffer_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_share_a_buffer_only_when_they_never_meet() {
        let life = |len, from, to| Some(Lifetime { len, from, to });
        let lives = [life(10, 0, 1), life(8, 1, 2), None, life(9, 2, 3), life(4, 3, 4)];
        let (sizes, buffer_of) = assign(&lives);
        assert_eq!(sizes, [10, 8]);
        assert_eq!((buffer_of[0], buffer_of[1], buffer_of[3], buffer_of[4]), (0, 1, 0, 1));
        assert_eq!(Arena::new(&lives).len(), 18);
    }
}
