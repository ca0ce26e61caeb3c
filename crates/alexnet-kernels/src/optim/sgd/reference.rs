//! The update as the formulas say, in f64.

use super::{Form, Rule};

/// See [`sgd`](super::sgd).
pub fn sgd(rule: &Rule, w: &mut [f32], v: &mut [f32], g: &[f32]) {
    let (lr, momentum, decay) = (f64::from(rule.lr), f64::from(rule.momentum), f64::from(rule.decay));
    for i in 0..w.len() {
        let (old_w, old_v, g) = (f64::from(w[i]), f64::from(v[i]), f64::from(g[i]));
        let (new_w, new_v) = match rule.form {
            Form::RateInside => {
                let new_v = momentum * old_v - lr * (g + decay * old_w);
                (old_w + new_v, new_v)
            }
            Form::RateOutside => {
                let new_v = momentum * old_v + g + decay * old_w;
                (old_w - lr * new_v, new_v)
            }
        };
        (w[i], v[i]) = (new_w as f32, new_v as f32);
    }
}
