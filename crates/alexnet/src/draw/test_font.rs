//! A synthetic font for tests, in which every character is a solid square.

/// Creates a TrueType font of 1000 units per em with these characters, each a square from 100 to 900 with an advance of 1000.
pub(crate) fn with_letters(letters: &[char]) -> Vec<u8> {
    let mut letters: Vec<u16> = letters.iter().map(|&letter| u16::try_from(letter as u32).expect("of 16 bits")).collect();
    letters.sort_unstable();
    let words = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    // Format 4: a segment per character, and the mandatory last one.
    let segments = letters.len() as u16 + 1;
    let (ends, starts) = ([letters.clone(), vec![0xFFFF]].concat(), [letters.clone(), vec![0xFFFF]].concat());
    let deltas: Vec<u16> = letters.iter().map(|letter| 1u16.wrapping_sub(*letter)).chain([1]).collect();
    let map =
        [vec![4, 16 + 8 * segments, 0, 2 * segments, 2, 0, 0], ends, vec![0], starts, deltas, vec![0; segments.into()]].concat();
    let cmap = words(&[vec![0, 1, 3, 1, 0, 12], map].concat());
    // One outline of four points on the curve: flags 1, then x and y as deltas.
    let square = [
        words(&[1, 100, 100, 900, 900, 3, 0]),
        vec![1; 4],
        words(&[100, 0, 800, 0, 100, 800, 0, 0x10000u32.wrapping_sub(800) as u16]),
    ]
    .concat();
    let mut head = words(&[1, 0, 1, 0, 0, 0, 0x5F0F, 0x3CF5, 0, 1000]);
    head.extend([0; 16]);
    head.extend(words(&[100, 100, 900, 900, 0, 8, 2, 0, 0]));
    let mut hhea = words(&[1, 0, 900, 0xFF38, 0, 1000, 0, 0, 900, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
    hhea.truncate(36);
    let tables: [(&[u8; 4], Vec<u8>); 7] = [
        (b"cmap", cmap),
        (b"glyf", square.clone()),
        (b"head", head),
        (b"hhea", hhea),
        (b"hmtx", words(&[1000, 100, 100])),
        (b"loca", words(&[0, 0, square.len() as u16 / 2])),
        (b"maxp", words(&[0, 0x5000, 2])),
    ];
    let mut font = words(&[1, 0, tables.len() as u16, 0, 0, 0]);
    let mut at = 12 + 16 * tables.len();
    for (tag, table) in &tables {
        font.extend(*tag);
        font.extend([0; 4]);
        font.extend((at as u32).to_be_bytes());
        font.extend((table.len() as u32).to_be_bytes());
        at += table.len().next_multiple_of(4);
    }
    for (_, mut table) in tables {
        table.resize(table.len().next_multiple_of(4), 0);
        font.extend(table);
    }
    font
}
