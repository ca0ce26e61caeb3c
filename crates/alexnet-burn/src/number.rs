//! Arithmetic on tensors, so that an optimizer's formula updates a parameter on its device.

use alexnet::engine::optim::Number;
use burn::tensor::Tensor;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A tensor as an elementwise number in a formula.
#[derive(Clone)]
pub(crate) struct Elements(pub(crate) Tensor<1>);

impl Add for Elements {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Elements(self.0 + other.0)
    }
}

impl Sub for Elements {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Elements(self.0 - other.0)
    }
}

impl Mul for Elements {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Elements(self.0 * other.0)
    }
}

impl Div for Elements {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        Elements(self.0 / other.0)
    }
}

impl Neg for Elements {
    type Output = Self;

    fn neg(self) -> Self {
        Elements(-self.0)
    }
}

impl Add<f32> for Elements {
    type Output = Self;

    fn add(self, other: f32) -> Self {
        Elements(self.0 + other)
    }
}

impl Mul<f32> for Elements {
    type Output = Self;

    fn mul(self, other: f32) -> Self {
        Elements(self.0 * other)
    }
}

impl Number for Elements {
    fn sqrt(self) -> Self {
        Elements(self.0.sqrt())
    }

    fn abs(self) -> Self {
        Elements(self.0.abs())
    }

    fn sign(self) -> Self {
        Elements(self.0.sign())
    }

    fn max(self, other: Self) -> Self {
        Elements(self.0.max_pair(other.0))
    }
}
