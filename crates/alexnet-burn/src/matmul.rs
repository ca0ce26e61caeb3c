//! Products of convolutions and linear layers, and a device that gets some of them wrong.

use super::parameter::{read, write};
use alexnet::engine::Precision;
use alexnet::{Error, Result};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Device, Tensor};

/// Whether Burn tries its kernels on each shape and takes the fastest (cargo feature `tuned`).
pub(crate) const TUNED: bool = cfg!(feature = "tuned");

/// How a device multiplies.
#[derive(Clone, Copy)]
pub(crate) struct Matmul {
    pub(crate) precision: Precision,
    /// Whether its products of matrices are right.
    pub(crate) matrices: bool,
}

impl Matmul {
    /// Those of `device`, which is tried on a small product.
    ///
    /// CubeCL 0.11.3 declares memory that threads share as a pointer to a pointer (`lower_shared_implicit` of its SPIR-V compiler)
    /// on Vulkan devices without VK_KHR_workgroup_memory_explicit_layout, such as SwiftShader; products of matrices pass
    /// through such memory and come out wrong by tens of percent. Direct convolutions do without it, but with `tuned` Burn takes
    /// others where they are faster.
    ///
    /// # Errors
    /// A device that gets products wrong in a build that cannot do without them, or that fails.
    pub(crate) fn on(device: &Device, precision: Precision) -> Result<Matmul> {
        let products = Matmul { precision, matrices: true };
        // Sums up to 256 are exact in every precision.
        let mut matrices = products.multiplies(device, [24, 64, 24])?;
        if TUNED {
            // Of few numbers the fastest product may be one that does without shared memory.
            matrices &= Matmul { precision: Precision::F32, matrices }.multiplies(device, [256, 512, 256])?;
        }
        if TUNED && !matrices {
            let name = super::device::describe(device);
            return Err(Error::Invalid(format!(
                "{name} multiplies matrices wrong (Burn's kernels want VK_KHR_workgroup_memory_explicit_layout of a Vulkan driver), \
                 and this program was built to use such products wherever they are fast; build it with --features gpu,vulkan alone, \
                 or with gpu,webgpu for --device webgpu"
            )));
        }
        Ok(Matmul { precision, matrices })
    }

    /// Whether a product of `[n, inputs]` and `[inputs, k]`, of whole numbers up to 2, comes out right.
    fn multiplies(self, device: &Device, [n, inputs, k]: [usize; 3]) -> Result<bool> {
        let whole = |row: usize, column: usize| ((7 * row + 3 * column + row * column) % 5) as f32 - 2.0;
        let matrix = |rows: usize| (0..rows * inputs).map(|i| whole(i / inputs, i % inputs)).collect::<Vec<f32>>();
        let x = write(&matrix(n), [n, inputs, 1, 1], device);
        let found = read(self.linear(x, write(&matrix(k), [k * inputs], device), k))?;
        let expected = |row: usize, column: usize| (0..inputs).map(|i| whole(row, i) * whole(column, i)).sum::<f32>();
        Ok(found.iter().enumerate().all(|(i, &value)| value == expected(i / k, i % k)))
    }

    /// `[N, K, 1, 1]`: the products of every picture with `k` rows of weights.
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
            // Burn has no convolution by products of matrices for groups, but one for each of them.
            let (xs, weights) = (x.chunk(groups, 1), weights.chunk(groups, 0));
            let parts = xs.into_iter().zip(weights).map(|(x, weights)| conv2d(x, weights, None, options(1)));
            return Tensor::cat(parts.collect(), 1).cast(DType::F32);
        }
        // Direct convolutions of 16 bits also add up in 16 bits: 20 % off for the 93,312 terms of a weight of conv2's gradient in a
        // step of 128. So factors are rounded, and multiplied as single precision.
        conv2d(x.cast(DType::F32), weights.cast(DType::F32), None, options(groups))
    }

    /// A factor, rounded if the engine does.
    fn factor<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self.precision {
            Precision::F32 | Precision::Int8 | Precision::Int4 => x,
            Precision::Bf16 => x.cast(DType::BF16),
            Precision::F16 => x.cast(DType::F16),
        }
    }
}
