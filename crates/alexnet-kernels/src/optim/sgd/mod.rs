//! Stochastic gradient descent with momentum and weight decay.

pub mod reference;

use super::CHUNK;
use crate::context::Context;
use crate::executor::DisjointSlices;

/// Where the learning rate stands. At a constant rate both forms walk the same path; when the rate drops, `RateInside` keeps
/// a velocity scaled by the old rate for some 1 / (1 - momentum) steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// v = momentum v - lr (g + decay w), w = w + v: the paper (section 5), the 2012 code, Caffe.
    RateInside,
    /// v = momentum v + g + decay w, w = w - lr v: PyTorch, Paddle.
    RateOutside,
}

/// How a parameter moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// Learning rate.
    pub lr: f32,
    /// Share of the velocity that is kept.
    pub momentum: f32,
    /// Weight decay; most recipes use 0 for biases.
    pub decay: f32,
    /// Where the learning rate stands.
    pub form: Form,
}

/// The new w and v of one value whose gradient is `g`.
#[inline(always)]
pub fn step(rule: &Rule, w: f32, v: f32, g: f32) -> (f32, f32) {
    let pull = g + rule.decay * w;
    match rule.form {
        Form::RateInside => {
            let v = rule.momentum * v - rule.lr * pull;
            (w + v, v)
        }
        Form::RateOutside => {
            let v = rule.momentum * v + pull;
            (w - rule.lr * v, v)
        }
    }
}

/// Moves the weights `w` by their gradient `g`; `v` is their velocity, zeros before the first step.
///
/// # Panics
/// When the lengths differ.
pub fn sgd(context: &Context<'_>, rule: &Rule, w: &mut [f32], v: &mut [f32], g: &[f32]) {
    assert!(
        w.len() == v.len() && w.len() == g.len(),
        "update: {} weights, {} velocities, {} gradients",
        w.len(),
        v.len(),
        g.len()
    );
    let (w, v) = (DisjointSlices::new(w), DisjointSlices::new(v));
    context.threads.run(g.len().div_ceil(CHUNK), &|i| {
        let g = &g[i * CHUNK..g.len().min((i + 1) * CHUNK)];
        // SAFETY: chunks of different i do not overlap, and each i is run once.
        let (w, v) = unsafe { (w.slice(i * CHUNK, g.len()), v.slice(i * CHUNK, g.len())) };
        context.isa.vectorize(
            #[inline(always)]
            || {
                for ((w, v), &g) in w.iter_mut().zip(v).zip(g) {
                    (*w, *v) = step(rule, *w, *v, g);
                }
            },
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::random::Key;

    fn rule(lr: f32, form: Form) -> Rule {
        Rule { lr, momentum: 0.9, decay: 0.05, form }
    }

    #[test]
    fn by_hand() {
        // g + decay w = 3 + 0.5 * 2 = 4.
        let inside = Rule { lr: 0.25, momentum: 0.5, decay: 0.5, form: Form::RateInside };
        assert_eq!(step(&inside, 2.0, 8.0, 3.0), (5.0, 3.0)); // v = 4 - 1, w = 2 + 3
        let outside = Rule { form: Form::RateOutside, ..inside };
        assert_eq!(step(&outside, 2.0, 8.0, 3.0), (0.0, 8.0)); // v = 4 + 4, w = 2 - 2
    }

    #[test]
    fn fast_matches_reference() {
        for form in [Form::RateInside, Form::RateOutside] {
            for len in [0, 1, 15, 33, CHUNK, CHUNK + 7, 3 * CHUNK - 1] {
                let draw = |key: u64| (0..len).map(|i| Key(key).uniform(i as u64) - 0.5).collect::<Vec<f32>>();
                let (w0, v0, g) = (draw(1), draw(2), draw(3));
                let (mut w1, mut v1) = (w0.clone(), v0.clone());
                reference::sgd(&rule(0.1, form), &mut w1, &mut v1, &g);
                for isa in Isa::all_supported() {
                    let (mut w, mut v) = (w0.clone(), v0.clone());
                    sgd(&Context::serial(isa), &rule(0.1, form), &mut w, &mut v, &g);
                    let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 3e-7);
                    assert!(near(&w, &w1) && near(&v, &v1), "{form:?} {len} {isa}");
                }
            }
        }
    }

    #[test]
    fn forms_agree_at_a_constant_rate_and_part_when_it_drops() {
        let walk = |form, rates: [f32; 4]| {
            let (mut w, mut v) = (1.0, 0.0);
            for (i, lr) in rates.into_iter().enumerate() {
                (w, v) = step(&rule(lr, form), w, v, 1.0 + i as f32);
            }
            w
        };
        let constant = [0.1; 4];
        assert!((walk(Form::RateInside, constant) - walk(Form::RateOutside, constant)).abs() < 1e-6);
        let dropped = [0.1, 0.1, 0.01, 0.01];
        assert!((walk(Form::RateInside, dropped) - walk(Form::RateOutside, dropped)).abs() > 0.1);
    }
}
