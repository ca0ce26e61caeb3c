//! LARS: a learning rate of its own for each layer (You, Gitman and Ginsburg 2017).

use super::Rates;

impl Rates {
    /// The rates of a layer whose weights and gradient have these Euclidean norms: the learning rate, times
    /// `lars_trust * |w| / (|g| + weight_decay * |w|)` (algorithm 1). So a step moves all layers by like shares of their weights,
    /// however large their gradients are. Where either norm is 0 or not a number there is no such ratio, and the rate stays, so
    /// that a layer may begin at zeros.
    #[must_use]
    pub fn with_lars(self, lars_trust: f32, weights: f64, gradient: f64) -> Rates {
        let times = f64::from(lars_trust) * weights / (gradient + f64::from(self.weight_decay) * weights);
        if weights > 0.0 && gradient > 0.0 && times.is_finite() {
            Rates { lr: (f64::from(self.lr) * times) as f32, ..self }
        } else {
            self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_move_by_like_shares() {
        let rates = Rates { lr: 8.0, weight_decay: 0.5 };
        // 0.25 * 4 / (6 + 0.5 * 4) = 1 / 8.
        assert_eq!(rates.with_lars(0.25, 4.0, 6.0), Rates { lr: 1.0, weight_decay: 0.5 });
        // Without decay: the share that moves is lr * trust, whatever the gradient.
        let plain = Rates { lr: 2.0, weight_decay: 0.0 };
        for gradient in [1e-20, 1e-3, 5.0, 1e20] {
            let share = f64::from(plain.with_lars(0.001, 3.0, gradient).lr) * gradient / 3.0;
            assert!((share - 0.002).abs() < 1e-8, "{share}");
        }
        for (weights, gradient) in [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0), (f64::NAN, 1.0), (1.0, f64::INFINITY)] {
            let local = rates.with_lars(0.25, weights, gradient);
            assert!(local == rates || (gradient.is_infinite() && local.lr == 0.0), "{weights} {gradient}: {local:?}");
        }
    }
}
