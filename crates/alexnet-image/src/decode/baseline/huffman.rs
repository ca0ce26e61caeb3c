//! Huffman decoding of baseline blocks.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use super::headers::Code;

/// Blocks that are transformed together: one in each lane of a register.
pub(super) const LANES: usize = 16;

/// Bits of the index of a table of codes. Longer codes are rare.
const CODE_BITS: u32 = 9;

/// Bits of the index of a table of short codes with their values.
const SHORT_BITS: u32 = 10;

/// Entries of that table that a word of 57 bits suffices for.
const SHORTS_PER_WORD: u32 = 57 / SHORT_BITS;

/// Place of the last coefficient in a group.
const LAST: usize = 63 * LANES;

/// Codes that are kept for the next files: an encoder's files have the same ones, and building the tables takes as long as decoding
/// a thousand blocks.
const KEPT: usize = 4;

/// Sixteen blocks of coefficients in zigzag order: the lanes of a coefficient stand together.
#[repr(align(64))]
pub(super) struct Group {
    pub(super) coefficients: [i16; 64 * LANES],
    /// All coefficients from this one on are zero, in all blocks.
    pub(super) end: usize,
}

impl Default for Group {
    fn default() -> Group {
        Group { coefficients: [0; 64 * LANES], end: 0 }
    }
}

impl Group {
    /// Sets all coefficients to zero.
    pub(super) fn clear(&mut self) {
        self.coefficients[..self.end * LANES].fill(0);
        self.end = 0;
    }
}

/// The tables of a component.
pub(super) struct Tables {
    /// In zigzag order.
    pub(super) quantiser: [u16; 64],
    pub(super) codes: Rc<Codes>,
}

/// Decoding tables of the direct (DC) and the alternating (AC) coefficients.
pub(super) struct Codes {
    /// The codes as the file has them.
    source: [Vec<u8>; 2],
    direct: Table,
    alternating: Table,
    shorts: Box<[Shorts; 1 << SHORT_BITS]>,
}

thread_local! {
    /// The last codes of this thread.
    static LATEST: RefCell<Vec<Rc<Codes>>> = const { RefCell::new(Vec::new()) };
}

impl Codes {
    /// The tables of two codes; `None` for one that is no prefix code, or that libjpeg refuses.
    pub(super) fn of(direct: Code<'_>, alternating: Code<'_>) -> Option<Rc<Codes>> {
        let source = [direct, alternating].map(|code| [code.counts, code.symbols].concat());
        LATEST.with_borrow_mut(|latest| {
            if let Some(codes) = latest.iter().find(|codes| codes.source == source) {
                return Some(codes.clone());
            }
            let codes = Rc::new(Codes::new(source, direct, alternating)?);
            latest.truncate(KEPT - 1);
            latest.insert(0, codes.clone());
            Some(codes)
        })
    }

    fn new(source: [Vec<u8>; 2], direct: Code<'_>, alternating: Code<'_>) -> Option<Codes> {
        if direct.symbols.iter().any(|&symbol| symbol > 15) {
            return None;
        }
        let (direct, alternating) = (Table::new(direct)?, Table::new(alternating)?);
        let mut shorts = Box::new([Shorts::OTHER; 1 << SHORT_BITS]);
        for (word, shorts) in (0u64..).zip(shorts.iter_mut()) {
            let word = word << (64 - SHORT_BITS);
            let first = alternating.look_up(word);
            if first.code > 0 && first.total() <= SHORT_BITS {
                let rest = word << first.total();
                let second = alternating.look_up(rest);
                let fits = first.advance > 0 && second.code > 0 && first.total() + second.total() <= SHORT_BITS;
                *shorts = Shorts::new(first, first.value(word), fits.then(|| (second, second.value(rest))));
            }
        }
        Some(Codes { source, direct, alternating, shorts })
    }
}

/// The direct coefficients of the last blocks, which the next ones are relative to, and the MCUs until they start from 0 again.
pub(super) struct Predictors {
    pub(super) values: [i32; 3],
    pub(super) left: usize,
}

impl Predictors {
    pub(super) fn new(left: usize) -> Predictors {
        Predictors { values: [0; 3], left }
    }
}

/// What a code stands for.
#[derive(Clone, Copy, Default)]
struct Symbol {
    /// Bits of the code; 0: it is not known.
    code: u8,
    /// Bits of the value behind it.
    size: u8,
    /// Coefficients up to and including the coded one; 0: the block ends.
    advance: u8,
}

impl Symbol {
    fn new(symbol: u8, code: u32) -> Symbol {
        let (run, size) = (symbol >> 4, symbol & 15);
        // Without a value, 15 stands for sixteen zeros, and everything else ends the block.
        Symbol { code: code as u8, size, advance: if size == 0 && run != 15 { 0 } else { run + 1 } }
    }

    /// Bits of the code and of its value.
    fn total(self) -> u32 {
        u32::from(self.code) + u32::from(self.size)
    }

    /// The value behind the code at the top of `word`.
    #[inline(always)]
    fn value(self, word: u64) -> i32 {
        let bits = word << self.code;
        let value = (bits >> 1 >> (63 - self.size)) as i32;
        // A value that begins with 0 is negative: its distance from the largest of its size.
        let is_negative = !((bits as i64 >> 63) as i32);
        value - (is_negative & ((1 << self.size) - 1))
    }
}

/// One or two codes together with their values, for the loop that decodes most coefficients.
///
/// From the lowest bit on: bits of all (6), distance of the coefficient's place in a group (10), value (16); after an empty
/// gap of 6 bits, distance and value of the second coefficient, or 0 and the first value again. The number of bits comes first,
/// since the next code waits for it. The distance leads at least to the last coefficient where there is anything special.
#[derive(Clone, Copy, PartialEq)]
struct Shorts(u64);

impl Shorts {
    /// None, or not a short one.
    const OTHER: Shorts = Shorts((LAST as u64) << 6);

    /// What distance and value are at the end of a block.
    const END: u64 = (LAST as u64) << 6 | 1 << 16;

    fn new(first: Symbol, value: i32, second: Option<(Symbol, i32)>) -> Shorts {
        let coefficient = |symbol: Symbol, value: i32| match symbol.advance {
            0 => Self::END,
            advance => (u64::from(advance) * LANES as u64 * 64) | (u64::from(value as u16) << 16),
        };
        let total = first.total() + second.map_or(0, |(second, _)| second.total());
        let second = second.map_or(u64::from(value as u16) << 16, |(second, value)| coefficient(second, value));
        Shorts(u64::from(total) | coefficient(first, value) | second << 32)
    }

    #[inline(always)]
    fn total(self) -> u32 {
        self.0 as u32 & 63
    }

    /// Distances of the first coefficient, and of the second from it.
    #[inline(always)]
    fn distances(self) -> (usize, usize) {
        ((self.0 >> 6 & 0x3F0) as usize, (self.0 >> 38 & 0x3F0) as usize)
    }

    #[inline(always)]
    fn values(self) -> (i16, i16) {
        ((self.0 >> 16) as i16, (self.0 >> 48) as i16)
    }

    /// Whether the block ends before the first coefficient.
    #[inline(always)]
    fn is_end(self) -> bool {
        self.0 as u32 & !63 == Self::END as u32
    }

    /// Whether it ends behind the first coefficient.
    #[inline(always)]
    fn is_before_end(self) -> bool {
        self.0 >> 32 == Self::END
    }
}

/// A decoding table.
pub(super) struct Table {
    symbols: Box<[Symbol; 1 << CODE_BITS]>,
    /// The codes of each length are those below this one, left-aligned to 16 bits.
    limits: [u32; 17],
    /// What to add to a code of each length for its index in `all`.
    offsets: [i32; 17],
    all: Vec<u8>,
}

impl Table {
    fn new(code: Code<'_>) -> Option<Table> {
        let mut symbols = Box::new([Symbol::default(); 1 << CODE_BITS]);
        let (mut limits, mut offsets) = ([0; 17], [0; 17]);
        let (mut next, mut index) = (0u32, 0usize);
        for (length, &count) in (1u32..).zip(code.counts) {
            offsets[length as usize] = index as i32 - next as i32;
            for &symbol in &code.symbols[index..index + usize::from(count)] {
                if length <= CODE_BITS {
                    let first = (next << (CODE_BITS - length)) as usize;
                    symbols.get_mut(first..first + (1 << (CODE_BITS - length)))?.fill(Symbol::new(symbol, length));
                }
                next += 1;
            }
            index += usize::from(count);
            // No code is all ones.
            if count > 0 && next >= 1 << length {
                return None;
            }
            limits[length as usize] = next << (16 - length);
            next <<= 1;
        }
        Some(Table { symbols, limits, offsets, all: code.symbols.to_vec() })
    }

    /// The symbol of a code of up to [`CODE_BITS`] bits.
    #[inline(always)]
    fn look_up(&self, word: u64) -> Symbol {
        self.symbols[(word >> (64 - CODE_BITS)) as usize]
    }

    /// The symbol of the code at the top of `word`; `None` if there is none.
    #[inline(always)]
    fn symbol(&self, word: u64) -> Option<Symbol> {
        let symbol = self.look_up(word);
        if symbol.code > 0 { Some(symbol) } else { self.long(word) }
    }

    /// The symbol of a longer code.
    #[cold]
    fn long(&self, word: u64) -> Option<Symbol> {
        let bits = (word >> 48) as u32;
        let length = (CODE_BITS + 1..=16).find(|&length| bits < self.limits[length as usize])?;
        let index = (bits >> (16 - length)) as i32 + self.offsets[length as usize];
        Some(Symbol::new(*self.all.get(usize::try_from(index).ok()?)?, length))
    }
}

/// A position in the bits of a segment.
#[derive(Clone)]
pub(super) struct BitReader {
    /// The next bit.
    at: u64,
    /// The end in bytes.
    end: usize,
}

impl BitReader {
    pub(super) fn new(segment: Range<usize>) -> BitReader {
        BitReader { at: 8 * segment.start as u64, end: segment.end }
    }

    /// Whether all bytes have been used, and no more.
    pub(super) fn is_at_end(&self) -> bool {
        (self.at..self.at + 8).contains(&(8 * self.end as u64))
    }

    /// The next 57 bits or more, from the highest on; `None` far behind the end.
    #[inline(always)]
    fn word(&self, bytes: &[u8]) -> Option<u64> {
        let word = bytes.get((self.at >> 3) as usize..)?.first_chunk::<8>()?;
        Some(u64::from_be_bytes(*word) << (self.at & 7))
    }
}

/// Decodes a block into a lane of a group. `None` if no encoder writes such bits.
#[inline(always)]
pub(super) fn block(
    bits: &mut BitReader,
    bytes: &[u8],
    codes: &Codes,
    predictor: &mut i32,
    group: &mut Group,
    lane: usize,
) -> Option<()> {
    let Codes { direct, alternating, shorts, .. } = codes;
    let Group { coefficients, end } = group;
    let lane = lane % LANES;
    let word = bits.word(bytes)?;
    let symbol = direct.symbol(word)?;
    bits.at += u64::from(symbol.total());
    *predictor = predictor.wrapping_add(symbol.value(word));
    // libjpeg cuts off the upper bits of larger ones.
    coefficients[lane] = i16::try_from(*predictor).ok()?;

    let mut place = lane;
    'block: loop {
        // A word for several codes: each code waits for the length of the one before, and would wait for its bytes as well.
        let mut word = bits.word(bytes)?;
        for _ in 0..SHORTS_PER_WORD {
            let short = shorts[(word >> (64 - SHORT_BITS)) as usize];
            let (first, second) = (place + short.distances().0, place + short.distances().0 + short.distances().1);
            if second >= LAST {
                if short.is_end() {
                    bits.at += u64::from(short.total());
                    break 'block;
                }
                if first < LAST && short.is_before_end() {
                    place = first;
                    coefficients[place] = short.values().0;
                    bits.at += u64::from(short.total());
                    break 'block;
                }
                let word = bits.word(bytes)?;
                let symbol = alternating.symbol(word)?;
                bits.at += u64::from(symbol.total());
                if symbol.advance == 0 {
                    break 'block;
                }
                place += usize::from(symbol.advance) * LANES;
                *coefficients.get_mut(place)? = symbol.value(word) as i16;
                if place >= LAST {
                    break 'block;
                }
                continue 'block;
            }
            coefficients[first % (64 * LANES)] = short.values().0;
            coefficients[second] = short.values().1;
            place = second;
            word <<= short.total();
            bits.at += u64::from(short.total());
        }
    }
    *end = (*end).max(place / LANES + 1);
    Some(())
}
