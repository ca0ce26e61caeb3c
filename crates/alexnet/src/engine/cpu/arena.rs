//! Memory arena: a few buffers, each reused by several values.

use alexnet_kernels::buffer::Buffer;

/// Interval in which a value is needed, in ticks of its program, both ends included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetime {
    /// Length in floats.
    pub(super) len: usize,
    /// Tick that writes the value.
    pub(super) from: usize,
    /// Last tick that reads the value.
    pub(super) to: usize,
}

/// Buffers for a program's values. Values that are never needed at the same tick share a buffer.
pub(super) struct Arena {
    buffers: Vec<Buffer>,
    buffer_of: Vec<usize>,
}

impl Arena {
    /// Allocates buffers for values with the given lifetimes; `None` needs no buffer.
    ///
    /// Values are assigned from largest to smallest. Each takes the smallest buffer that is large enough and free for
    /// its whole lifetime.
    pub(super) fn new(lives: &[Option<Lifetime>]) -> Arena {
        let (sizes, buffer_of) = assign(lives);
        Arena { buffers: sizes.into_iter().map(Buffer::zeros).collect(), buffer_of }
    }

    /// Total number of floats for values with these lifetimes.
    pub(super) fn len_of(lives: &[Option<Lifetime>]) -> usize {
        assign(lives).0.iter().fold(0, |sum, len| sum.saturating_add(*len))
    }

    /// A value's floats.
    pub(super) fn read(&self, value: usize) -> &[f32] {
        &self.buffers[self.buffer_of[value]]
    }

    /// Lends a value's floats for writing, along with everything that does not share its buffer.
    pub(super) fn write<T>(&mut self, value: usize, work: impl FnOnce(&Arena, &mut [f32]) -> T) -> T {
        let index = self.buffer_of[value];
        // Swapping a buffer out is safe and free. Reading the same buffer meanwhile would find it empty.
        let mut buffer = std::mem::take(&mut self.buffers[index]);
        let result = work(self, &mut buffer);
        self.buffers[index] = buffer;
        result
    }

    /// Total number of floats in all buffers.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.buffers.iter().map(|b| b.len()).sum()
    }
}

/// Buffer sizes, and the buffer index of each value (0 for values that need none).
fn assign(lives: &[Option<Lifetime>]) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = (0..lives.len()).filter(|&v| lives[v].is_some()).collect();
    order.sort_by_key(|&v| (std::cmp::Reverse(lives[v].map(|life| life.len)), v));
    let mut sizes: Vec<usize> = Vec::new();
    let mut tenants: Vec<Vec<Lifetime>> = Vec::new();
    let mut buffer_of = vec![0; lives.len()];
    for value in order {
        let Some(life) = lives[value] else { continue };
        // Values are sorted by size, so every existing buffer is large enough and the newest is the smallest.
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
    fn values_share_a_buffer_only_when_their_lifetimes_are_disjoint() {
        let life = |len, from, to| Some(Lifetime { len, from, to });
        let lives = [life(10, 0, 1), life(8, 1, 2), None, life(9, 2, 3), life(4, 3, 4)];
        let (sizes, buffer_of) = assign(&lives);
        assert_eq!(sizes, [10, 8]);
        assert_eq!((buffer_of[0], buffer_of[1], buffer_of[3], buffer_of[4]), (0, 1, 0, 1));
        assert_eq!(Arena::new(&lives).len(), 18);
    }
}
