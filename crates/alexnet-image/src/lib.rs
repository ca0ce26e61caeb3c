//! Images to tensors: decode, resize, crop and normalise, to the very pixels of Pillow and torchvision.
//!
//! [`decode`](decode::decode) reads JPEG, PNG, WebP, BMP and GIF; [`Image::resized`] is Pillow's `resize(..., BILINEAR)` to the last
//! bit; [`crop`] has centre, ten and random crops; [`Image::tensor`] normalises as a [`Preprocess`] says. Bad files give errors, never
//! panics, and limits on pixels and time hold.
//!
//! ```
//! use alexnet_image::{Image, Preprocess, crop};
//!
//! # fn main() -> Result<(), String> {
//! // A grey BMP file of 8 x 8 pixels; a photograph comes from `decode::read`.
//! let mut file = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x08\0\0\0\x08\0\0\0\x01\0\x18\0".to_vec();
//! file.resize(54, 0);
//! file.resize(54 + 8 * 8 * 3, 128);
//! let image: Image = alexnet_image::decode::decode(&file)?;
//!
//! let preprocess = Preprocess::for_net(&alexnet_net::presets::by_name("torchvision").map_err(|e| e.to_string())?);
//! let resized = image.resized_as(preprocess.resize);
//! let window = crop::centre(resized.height, resized.width, preprocess.crop);
//! let mut tensor = vec![0.0; 3 * 224 * 224];
//! resized.tensor(&preprocess, window, None, &mut tensor);
//! assert!((tensor[0] - (128.0 / 255.0 - 0.485) / 0.229).abs() < 1e-5);
//! # Ok(())
//! # }
//! ```

pub mod augment;
pub mod crop;
pub mod decode;
mod draft;
#[cfg(feature = "libjpeg")]
pub mod encode;
mod image;
mod normalize;
pub mod pca_noise;
mod pillow_resize;
mod resize;

pub use alexnet_net::{Channels, JpegDecoding, Mean, Preprocess, Resize};
pub use draft::Draft;
pub use image::Image;
pub use resize::MAX_ASPECT;
