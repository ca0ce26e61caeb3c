//! Images that are stored as plain pixels, all of one size, one after another.

use crate::Result;
use crate::image::Image;
use crate::read_at::read_exact_at;
use crate::stored::Store;
use crate::unpacked::Plain;

/// Location of an image's pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Index of the file.
    pub(crate) file: u32,
    /// Offset of the first byte.
    pub(crate) at: u64,
}

/// Order of the bytes of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// One byte per pixel.
    Grey,
    /// All of red, then all of green, then all of blue.
    Planes,
}

/// Images of one size in files.
pub(crate) struct Pixels {
    pub(crate) files: Vec<Plain>,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) order: Order,
}

impl Pixels {
    fn bytes(&self) -> usize {
        self.width * self.height * if self.order == Order::Grey { 1 } else { 3 }
    }
}

impl Store for Pixels {
    type Place = Place;

    fn read(&self, _: &str, _: Place) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn size(&self, _: &str, _: Place) -> Option<u64> {
        Some(self.bytes() as u64)
    }

    fn pixels(&self, _: &str, place: Place) -> Result<Image> {
        let mut bytes = vec![0; self.bytes()];
        read_exact_at(self.files[place.file as usize].file(), &mut bytes, place.at)
            .map_err(|error| format!("cannot be read: {error}"))?;
        let pixels = self.width * self.height;
        let rgb = match self.order {
            Order::Grey => bytes.iter().flat_map(|&grey| [grey; 3]).collect(),
            Order::Planes => (0..pixels).flat_map(|i| [bytes[i], bytes[pixels + i], bytes[2 * pixels + i]]).collect(),
        };
        Ok(Image { width: self.width, height: self.height, rgb })
    }
}
