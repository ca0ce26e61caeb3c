//! AdamW: Adam with weight decay apart from the gradient (Loshchilov and Hutter 2019), as `torch.optim.AdamW` computes it.

use serde::{Deserialize, Serialize};

use super::{Formula, Number, Rates, Settings};

/// Settings of AdamW.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdamW {
    /// Share of the mean of gradients that is kept.
    pub beta1: f64,
    /// Share of the mean of squared gradients that is kept.
    pub beta2: f64,
    /// Added to the root of the mean of squares.
    pub eps: f64,
}

/// One step of AdamW.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWStep {
    /// By what weight decay multiplies a weight.
    keep: f32,
    beta1: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    eps: f32,
    /// The learning rate over the first mean's share of what it will be: it begins at 0 and is too small at first.
    lr: f32,
    /// One over the root of the second mean's share, likewise.
    root_scale: f32,
}

impl Default for AdamW {
    /// PyTorch's.
    fn default() -> Self {
        AdamW { beta1: 0.9, beta2: 0.999, eps: 1e-8 }
    }
}

impl Settings<2> for AdamW {
    const SLOT_NAMES: [&'static str; 2] = ["exp_avg", "exp_avg_sq"];
    const LR_DIVISOR: f64 = 10.0;

    type Step = AdamWStep;

    fn step(&self, rates: Rates, step: u64) -> AdamWStep {
        let step = step.clamp(1, i32::MAX as u64) as i32;
        let (lr, weight_decay) = (f64::from(rates.lr), f64::from(rates.weight_decay));
        AdamWStep {
            keep: (1.0 - lr * weight_decay) as f32,
            beta1: self.beta1 as f32,
            one_minus_beta1: (1.0 - self.beta1) as f32,
            beta2: self.beta2 as f32,
            one_minus_beta2: (1.0 - self.beta2) as f32,
            eps: self.eps as f32,
            lr: (lr / (1.0 - self.beta1.powi(step))) as f32,
            root_scale: (1.0 / (1.0 - self.beta2.powi(step)).sqrt()) as f32,
        }
    }

    fn check(&self) -> Result<(), String> {
        for (name, beta) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            if !(0.0..1.0).contains(&beta) {
                return Err(format!("invalid {name} {beta}: must be at least 0 and below 1"));
            }
        }
        if !(self.eps > 0.0 && self.eps.is_finite()) {
            return Err(format!("invalid eps {}: must be positive and finite", self.eps));
        }
        Ok(())
    }
}

impl Formula<2> for AdamWStep {
    #[inline(always)]
    fn apply<V: Number>(&self, w: V, [mean, square]: [V; 2], g: V) -> (V, [V; 2]) {
        let mean = mean * self.beta1 + g.clone() * self.one_minus_beta1;
        let square = square * self.beta2 + g.clone() * g * self.one_minus_beta2;
        let root = square.clone().sqrt() * self.root_scale + self.eps;
        (w * self.keep - mean.clone() / root * self.lr, [mean, square])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let settings = AdamW { beta1: 0.5, beta2: 0.75, eps: 1.0 };
        // At step 1 both means are corrected to the gradient and its square: 2 - 0.5 * 0.25 * 2 - 0.5 * 3 / (3 + 1).
        let first = settings.step(Rates { lr: 0.5, weight_decay: 0.25 }, 1);
        assert_eq!(first.apply(2.0, [0.0, 0.0], 3.0), (1.375, [1.5, 2.25]));
        // At step 2 the shares are 3/4 and 7/16.
        let second = settings.step(Rates { lr: 0.75, weight_decay: 0.0 }, 2);
        let (w, state) = second.apply(0.0, [1.0, 4.0], 4.0);
        assert_eq!(state, [2.5, 7.0]);
        assert!((w + 2.5 / 5.0).abs() < 1e-6, "{w}");
    }

    #[test]
    fn twenty_steps_are_those_of_pytorch() {
        #[derive(Deserialize)]
        struct Golden {
            lr: f32,
            weight_decay: f32,
            gradients: Vec<Vec<f32>>,
            weights: Vec<Vec<f32>>,
        }
        let text = include_str!("../../tests/fixtures/adamw.json");
        let golden: Golden = serde_json::from_str(text).unwrap();
        assert_eq!((golden.gradients.len(), golden.weights.len()), (20, 21));
        let rates = Rates { lr: golden.lr, weight_decay: golden.weight_decay };
        let mut w = golden.weights[0].clone();
        let mut state = vec![[0.0; 2]; w.len()];
        for (step, (g, expected)) in (1..).zip(golden.gradients.iter().zip(&golden.weights[1..])) {
            let formula = AdamW::default().step(rates, step);
            for (i, w) in w.iter_mut().enumerate() {
                (*w, state[i]) = formula.apply(*w, state[i], g[i]);
                assert!((*w - expected[i]).abs() <= 1e-6, "step {step}: {w}, not {}", expected[i]);
            }
        }
    }
}
