//! Stochastic gradient descent with momentum and weight decay, and LARS, which is SGD with a rate of its own for each layer.

use serde::{Deserialize, Serialize};

use super::{Formula, Number, Rates, Settings};

/// Settings of SGD.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sgd {
    /// Share of the velocity that is kept.
    pub momentum: f64,
    /// Where the learning rate stands.
    pub form: MomentumForm,
    /// Trust coefficient of LARS, by which each layer's weights learn at a rate of their own; none: plain SGD. Biases never do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lars_trust: Option<f64>,
    /// Nesterov momentum: weights move by the gradient and the velocity that follows from it, as in PyTorch.
    #[serde(default, skip_serializing_if = "is_false")]
    pub nesterov: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Where the learning rate stands. At a constant rate both forms walk the same path; when the rate drops, `RateInside` keeps
/// a velocity scaled by the old rate for some 1 / (1 - momentum) steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MomentumForm {
    /// v = momentum v - lr (g + decay w), w = w + v: the paper (section 5), the 2012 code, Caffe.
    RateInside,
    /// v = momentum v + g + decay w, w = w - lr v: PyTorch, Paddle.
    RateOutside,
}

/// One step of SGD.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdStep {
    momentum: f32,
    form: MomentumForm,
    nesterov: bool,
    rates: Rates,
}

impl Default for Sgd {
    /// PyTorch's form, at the momentum that every published training of AlexNet has.
    fn default() -> Self {
        Sgd { momentum: 0.9, form: MomentumForm::RateOutside, lars_trust: None, nesterov: false }
    }
}

impl Settings<1> for Sgd {
    const SLOT_NAMES: [&'static str; 1] = ["velocity"];

    type Step = SgdStep;

    /// Steps of SGD are all the same.
    fn step(&self, rates: Rates, _: u64) -> SgdStep {
        SgdStep { momentum: self.momentum as f32, form: self.form, nesterov: self.nesterov, rates }
    }

    fn check(&self) -> Result<(), String> {
        if !(0.0..1.0).contains(&self.momentum) {
            return Err(format!("invalid momentum {}: must be at least 0 and below 1", self.momentum));
        }
        if self.nesterov && self.momentum == 0.0 {
            return Err("nesterov requires a momentum above 0".into());
        }
        match self.lars_trust {
            Some(trust) if !(trust > 0.0 && trust.is_finite()) => {
                Err(format!("invalid LARS trust coefficient {trust}: must be positive and finite"))
            }
            _ => Ok(()),
        }
    }

    fn lars_trust(&self) -> Option<f32> {
        self.lars_trust.map(|trust| trust as f32)
    }
}

impl Formula<1> for SgdStep {
    #[inline(always)]
    fn apply<V: Number>(&self, w: V, [v]: [V; 1], g: V) -> (V, [V; 1]) {
        let Rates { lr, weight_decay } = self.rates;
        let pull = g + w.clone() * weight_decay;
        match self.form {
            MomentumForm::RateInside => {
                let pull = pull * lr;
                let v = v * self.momentum - pull.clone();
                let change = if self.nesterov { v.clone() * self.momentum - pull } else { v.clone() };
                (w + change, [v])
            }
            MomentumForm::RateOutside => {
                let v = v * self.momentum + pull.clone();
                let change = if self.nesterov { pull + v.clone() * self.momentum } else { v.clone() };
                (w - change * lr, [v])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(form: MomentumForm, momentum: f64, lr: f32, weight_decay: f32) -> SgdStep {
        Sgd { momentum, form, lars_trust: None, nesterov: false }.step(Rates { lr, weight_decay }, 1)
    }

    #[test]
    fn by_hand() {
        // g + decay w = 3 + 0.5 * 2 = 4.
        let inside = step(MomentumForm::RateInside, 0.5, 0.25, 0.5);
        assert_eq!(inside.apply(2.0, [8.0], 3.0), (5.0, [3.0])); // v = 4 - 1, w = 2 + 3
        let outside = step(MomentumForm::RateOutside, 0.5, 0.25, 0.5);
        assert_eq!(outside.apply(2.0, [8.0], 3.0), (0.0, [8.0])); // v = 4 + 4, w = 2 - 2
        // Nesterov: the step is half of the new velocity and the gradient.
        assert_eq!(SgdStep { nesterov: true, ..inside }.apply(2.0, [8.0], 3.0), (2.5, [3.0])); // w = 2 + 1.5 - 1
        assert_eq!(SgdStep { nesterov: true, ..outside }.apply(2.0, [8.0], 3.0), (0.0, [8.0])); // w = 2 - (4 + 4) / 4
        assert!(Sgd { momentum: 0.0, nesterov: true, ..Sgd::default() }.check().is_err());
    }

    #[test]
    fn twenty_nesterov_steps_are_those_of_pytorch() {
        #[derive(Deserialize)]
        struct Golden {
            lr: f32,
            weight_decay: f32,
            gradients: Vec<Vec<f32>>,
            weights: Vec<Vec<f32>>,
        }
        let golden: Golden = serde_json::from_str(include_str!("../../tests/fixtures/sgd_nesterov.json")).unwrap();
        assert_eq!((golden.gradients.len(), golden.weights.len()), (20, 21));
        let rates = Rates { lr: golden.lr, weight_decay: golden.weight_decay };
        let mut w = golden.weights[0].clone();
        let mut state = vec![[0.0]; w.len()];
        for (step, (g, expected)) in (1..).zip(golden.gradients.iter().zip(&golden.weights[1..])) {
            let formula = Sgd { nesterov: true, ..Sgd::default() }.step(rates, step);
            for (i, w) in w.iter_mut().enumerate() {
                (*w, state[i]) = formula.apply(*w, state[i], g[i]);
                let tolerance = 1e-6 * expected[i].abs().max(1.0);
                assert!((*w - expected[i]).abs() <= tolerance, "step {step}: {w}, not {}", expected[i]);
            }
        }
    }

    #[test]
    fn forms_agree_at_a_constant_rate_and_part_when_it_drops() {
        let walk = |form, rates: [f32; 4]| {
            let (mut w, mut v) = (1.0, [0.0]);
            for (i, lr) in rates.into_iter().enumerate() {
                (w, v) = step(form, 0.9, lr, 0.05).apply(w, v, 1.0 + i as f32);
            }
            w
        };
        let constant = [0.1; 4];
        assert!((walk(MomentumForm::RateInside, constant) - walk(MomentumForm::RateOutside, constant)).abs() < 1e-6);
        let dropped = [0.1, 0.1, 0.01, 0.01];
        assert!((walk(MomentumForm::RateInside, dropped) - walk(MomentumForm::RateOutside, dropped)).abs() > 0.1);
    }
}
