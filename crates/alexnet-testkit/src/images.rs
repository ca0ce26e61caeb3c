//! Image files of every format that is read, written without the code under test.

pub use png::ColorType;

/// Stripes and curves, `[height, width, 3]`, others for each seed.
pub fn striped(width: usize, height: usize, seed: usize) -> Vec<u8> {
    let pixel = |x: usize, y: usize| [(x * 7 + seed * 31) as u8, (y * 5 + x * y + seed) as u8, ((x + y) * (seed + 3)) as u8];
    (0..width * height).flat_map(|i| pixel(i % width, i / width)).collect()
}

/// A PNG file of 8-bit values.
///
/// # Panics
/// If the values are not as many as the size and the color say.
pub fn png(width: usize, height: usize, color: ColorType, values: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(values));
    written.expect("as many values as the size says");
    file
}

/// A lossless WebP file of RGB values.
///
/// # Panics
/// If the values are not as many as the size says.
pub fn webp(width: usize, height: usize, rgb: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let encoder = image_webp::WebPEncoder::new(&mut file);
    let written = encoder.encode(rgb, width as u32, height as u32, image_webp::ColorType::Rgb8);
    written.expect("as many values as the size says");
    file
}

/// A BMP file of 24 bits a pixel, from the lowest row up.
pub fn bmp(width: usize, height: usize, rgb: &[u8]) -> Vec<u8> {
    const HEADERS: u32 = 14 + 40;
    let padding = [0; 3];
    let mut pixels = Vec::new();
    for row in rgb.chunks_exact(3 * width).rev() {
        pixels.extend(row.chunks_exact(3).flat_map(|p| [p[2], p[1], p[0]]));
        pixels.extend(&padding[..width % 4]);
    }
    let words = |values: &[u32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let file = [HEADERS + pixels.len() as u32, 0, HEADERS];
    let info = [40, width as u32, height as u32, 24 << 16 | 1, 0, pixels.len() as u32, 0, 0, 0, 0];
    [b"BM".to_vec(), words(&file), words(&info), pixels].concat()
}

/// A GIF file of one frame, in a palette of 256 colors: three bits of red and green, two of blue.
///
/// # Panics
/// If the size is beyond 65,535.
pub fn gif(width: usize, height: usize, rgb: &[u8]) -> Vec<u8> {
    let size = [width, height].map(|side| u16::try_from(side).expect("a side of a GIF").to_le_bytes()).concat();
    let palette = (0..=255u8).flat_map(|i| [i & 0xE0, i << 3 & 0xE0, i << 6]);
    let pixels: Vec<u8> = rgb.chunks_exact(3).map(|p| p[0] & 0xE0 | p[1] >> 3 & 0x1C | p[2] >> 6).collect();
    let packed = weezl::encode::Encoder::new(weezl::BitOrder::Lsb, 8).encode(&pixels).expect("pixels of 8 bits");
    let mut file = [b"GIF89a", &size[..], &[0xF7, 0, 0]].concat();
    file.extend(palette);
    file.extend([&[0x2C, 0, 0, 0, 0], &size[..], &[0, 8]].concat());
    for block in packed.chunks(255) {
        file.push(block.len() as u8);
        file.extend(block);
    }
    file.extend([0, 0x3B]);
    file
}
