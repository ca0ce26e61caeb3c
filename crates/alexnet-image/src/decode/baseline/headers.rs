//! The headers of an ordinary JPEG, as far as its scan.

use super::huffman::{Codes, Tables};

/// What stands before the scan.
pub(super) struct Headers<'a> {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) components: Vec<FrameComponent>,
    /// MCUs between restart markers; 0: there are none.
    pub(super) restart: usize,
    /// What follows the header of the scan.
    pub(super) scan: &'a [u8],
    quantisers: [Option<[u16; 64]>; 4],
    direct: [Option<Code<'a>>; 4],
    alternating: [Option<Code<'a>>; 4],
}

/// A component in the header of the frame.
#[derive(Clone)]
pub(super) struct FrameComponent {
    id: u8,
    /// Blocks in an MCU.
    pub(super) across: usize,
    pub(super) down: usize,
    quantiser: usize,
    direct: usize,
    alternating: usize,
}

/// A Huffman code: the number of codes of each length from 1 to 16, and their symbols.
#[derive(Clone, Copy)]
pub(super) struct Code<'a> {
    pub(super) counts: &'a [u8; 16],
    pub(super) symbols: &'a [u8],
}

impl<'a> Headers<'a> {
    /// Reads the headers; `None` if anything is out of the ordinary.
    pub(super) fn of(bytes: &'a [u8]) -> Option<Headers<'a>> {
        let mut headers = Headers {
            width: 0,
            height: 0,
            components: vec![],
            restart: 0,
            scan: &[],
            quantisers: [None; 4],
            direct: [None; 4],
            alternating: [None; 4],
        };
        let (mut is_jfif, mut adobe) = (false, None);
        let mut rest = bytes.strip_prefix(&[0xFF, 0xD8])?;
        loop {
            let [0xFF, marker, high, low, ..] = rest else { return None };
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let segment = rest.get(4..2 + length)?;
            rest = rest.get(2 + length..)?;
            match marker {
                0xC0 | 0xC1 => headers.frame(segment)?,
                0xC4 => headers.codes(segment)?,
                0xDB => headers.quantisers(segment)?,
                0xDD => headers.restart = usize::from(u16::from_be_bytes(segment.try_into().ok()?)),
                0xE0 => is_jfif |= segment.starts_with(b"JFIF\0") && segment.len() >= 14,
                0xEE if segment.starts_with(b"Adobe") && segment.len() >= 12 => adobe = Some(segment[11]),
                0xE1..=0xEF | 0xFE => {}
                0xDA => {
                    headers.start_of_scan(segment)?;
                    headers.scan = rest;
                    break;
                }
                _ => return None,
            }
        }
        // As libjpeg guesses whether the components are YCbCr. Others, such as RGB, are its own.
        let ids: Vec<u8> = headers.components.iter().map(|component| component.id).collect();
        let is_ycc = is_jfif || adobe.map_or(ids == [1, 2, 3], |transform| transform == 1);
        (ids.len() == 1 || is_ycc).then_some(headers)
    }

    /// The largest sampling factors.
    pub(super) fn most(&self) -> (usize, usize) {
        let most = |of: fn(&FrameComponent) -> usize| self.components.iter().map(of).max().unwrap_or(1);
        (most(|component| component.across), most(|component| component.down))
    }

    /// The tables of a component.
    pub(super) fn tables(&self, component: &FrameComponent) -> Option<Tables> {
        let codes = Codes::of(self.direct[component.direct]?, self.alternating[component.alternating]?)?;
        Some(Tables { quantiser: self.quantisers[component.quantiser]?, codes })
    }

    fn frame(&mut self, segment: &[u8]) -> Option<()> {
        let [8, h1, h0, w1, w0, count @ (1 | 3), components @ ..] = segment else { return None };
        if !self.components.is_empty() || components.len() != 3 * usize::from(*count) {
            return None;
        }
        (self.height, self.width) = (u16::from_be_bytes([*h1, *h0]).into(), u16::from_be_bytes([*w1, *w0]).into());
        for part in components.chunks_exact(3) {
            let (across, down, quantiser) = (usize::from(part[1] >> 4), usize::from(part[1] & 15), usize::from(part[2]));
            if self.components.iter().any(|other| other.id == part[0]) || quantiser >= 4 {
                return None;
            }
            // A scan of one component has an MCU of one block.
            let (across, down) =
                if *count == 1 && (1..=4).contains(&across) && (1..=4).contains(&down) { (1, 1) } else { (across, down) };
            self.components.push(FrameComponent { id: part[0], across, down, quantiser, direct: 0, alternating: 0 });
        }
        // 4:4:4, 4:2:2, 4:4:0 and 4:2:0; rarer samplings are libjpeg's.
        let factors: Vec<_> = self.components.iter().map(|component| (component.across, component.down)).collect();
        let [(1 | 2, 1 | 2), chroma @ ..] = &factors[..] else { return None };
        (self.width > 0 && self.height > 0 && chroma.iter().all(|factors| *factors == (1, 1))).then_some(())
    }

    fn codes(&mut self, mut segment: &'a [u8]) -> Option<()> {
        while let Some((kind, rest)) = segment.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let total = counts.iter().map(|&count| usize::from(count)).sum();
            if total > 256 {
                return None;
            }
            let (symbols, rest) = rest.split_at_checked(total)?;
            let tables = match kind >> 4 {
                0 => &mut self.direct,
                1 => &mut self.alternating,
                _ => return None,
            };
            *tables.get_mut(usize::from(kind & 15))? = Some(Code { counts, symbols });
            segment = rest;
        }
        Some(())
    }

    fn quantisers(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((kind, rest)) = segment.split_first() {
            let table = self.quantisers.get_mut(usize::from(kind & 15))?;
            let (values, rest) = match kind >> 4 {
                0 => {
                    let (values, rest) = rest.split_at_checked(64)?;
                    (values.iter().map(|&value| u16::from(value)).collect::<Vec<_>>(), rest)
                }
                1 => {
                    let (values, rest) = rest.split_at_checked(128)?;
                    (values.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect(), rest)
                }
                _ => return None,
            };
            *table = Some(values.try_into().ok()?);
            segment = rest;
        }
        Some(())
    }

    /// The scan has all components, in the order of the frame, and all their coefficients.
    fn start_of_scan(&mut self, segment: &[u8]) -> Option<()> {
        let count = self.components.len();
        let (&[first, ref parts @ ..], [0, 63, 0]) = segment.split_last_chunk::<3>()? else { return None };
        if count == 0 || usize::from(first) != count || parts.len() != 2 * count {
            return None;
        }
        for (component, part) in self.components.iter_mut().zip(parts.chunks_exact(2)) {
            (component.direct, component.alternating) = (usize::from(part[1] >> 4), usize::from(part[1] & 15));
            if component.id != part[0] || component.direct >= 4 || component.alternating >= 4 {
                return None;
            }
        }
        Some(())
    }
}
