//! Matrix products and convolutions, with a workaround for devices that compute some of them wrong.

use super::parameter::{read, write};
use alexnet::engine::Precision;
use alexnet::{Error, Result};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Device, Tensor};

/// Whether Burn benchmarks its kernels on each shape and uses the fastest (cargo feature `tuned`).
pub(crate) const TUNED: bool = cfg!(feature = "tuned");

/// Configuration of a device's matrix products.
#[derive(Clone, Copy)]
pub(crate) struct Matmul {
    pub(crate) precision: Precision,
    /// Whether its matrix products are correct.
    pub(crate) matrices: bool,
}

impl Matmul {
    /// Configuration for `device`, determined by a small test product.
    ///
    /// On Vulkan devices without VK_KHR_workgroup_memory_explicit_layout, such as SwiftShader, CubeCL 0.11.3 declares
    /// shared memory as a pointer to a pointer (`lower_shared_implicit` of its SPIR-V compiler). Matrix products use
    /// such memory and are then wrong by tens of percent. Direct convolutions do not use it, but with `tuned` Burn
    /// uses other algorithms where they are faster.
    ///
    /// # Errors
    /// A device with wrong products in a build that requires them, or a device failure.
    pub(crate) fn on(device: &Device, precision: Precision) -> Result<Matmul> {
        let products = Matmul { precision, matrices: true };
        // Sums up to 256 are exact in every precision.
        let mut matrices = products.multiplies(device, [24, 64, 24])?;
        if TUNED {
            // For small shapes the fastest kernel may be one that does not use shared memory.
            matrices &= Matmul { precision: Precision::F32, matrices }.multiplies(device, [256, 512, 256])?;
        }
        if TUNED && !matrices {
            let name = super::device::describe(device);
            return Err(Error::Invalid(format!(
                "{name} computes wrong matrix products (Burn's kernels require VK_KHR_workgroup_memory_explicit_layout on \
                 Vulkan), and this program was built to use them where they are faster; build it with only --features gpu,vulkan, \
                 or with gpu,webgpu for --device webgpu"
            )));
        }
        Ok(Matmul { precision, matrices })
    }

    /// Whether a product of `[n, inputs]` and `[inputs, k]`, with integers up to 2, is correct.
    fn multiplies(self, device: &Device, [n, inputs, k]: [usize; 3]) -> Result<bool> {
        let whole = |row: usize, column: usize| ((7 * row + 3 * column + row * column) % 5) as f32 - 2.0;
        let matrix = |rows: usize| (0..rows * inputs).map(|i| whole(i / inputs, i % inputs)).collect::<Vec<f32>>();
        let x = write(&matrix(n), [n, inputs, 1, 1], device);
        let found = read(self.linear(x, write(&matrix(k), [k * inputs], device), k))?;
        let expected = |row: usize, column: usize| (0..inputs).map(|i| whole(row, i) * whole(column, i)).sum::<f32>();
        Ok(found.iter().enumerate().all(|(i, &value)| value == expected(i / k, i % k)))
    }

    /// `[N, K, 1, 1]`: the products of every image with `k` rows of weights.
    pub(crate) fn linear(self, x: Tensor<4>, weights: Tensor<1>, k: usize) -> Tensor<4> {
        let [n, channels, height, width] = x.dims();
        let inputs = channels * height * width;
        if !self.matrices {
            return self.convolution(x.reshape([n, inputs, 1, 1]), weights.reshape([k, inputs, 1, 1]), 1, 1);
        }
        let (x, weights) = (self.factor(x.reshape([n, inputs])), self.factor(weights.reshape([k, inputs])));
        x.matmul(weights.transpose()).cast(DType::F32).reshape([n, k, 1, 1])
    }

    /// A convolution without padding.
    pub(crate) fn convolution(self, x: Tensor<4>, weights: Tensor<4>, stride: usize, groups: usize) -> Tensor<4> {
        let options = |groups| ConvOptions::new([stride; 2], [0; 2], [1; 2], groups);
        let (x, weights) = (self.factor(x), self.factor(weights));
        if TUNED {
            // Burn's matrix-product convolution does not support groups, so it runs once per group.
            let (xs, weights) = (x.chunk(groups, 1), weights.chunk(groups, 0));
            let parts = xs.into_iter().zip(weights).map(|(x, weights)| conv2d(x, weights, None, options(1)));
            return Tensor::cat(parts.collect(), 1).cast(DType::F32);
        }
        // Direct convolutions in 16 bits also accumulate in 16 bits, which is 20 % off for the 93,312 terms of a
        // weight of conv2's gradient in a step of 128. So factors are rounded but multiplied in single precision.
        conv2d(x.cast(DType::F32), weights.cast(DType::F32), None, options(groups))
    }

    /// A factor, rounded to the engine's precision.
    fn factor<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self.precision {
            Precision::F32 | Precision::Int8 | Precision::Int4 => x,
            Precision::Bf16 => x.cast(DType::BF16),
            Precision::F16 => x.cast(DType::F16),
        }
    }
}
