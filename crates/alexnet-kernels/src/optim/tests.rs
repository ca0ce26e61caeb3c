//! What holds for every optimizer of the list.

use super::*;
use crate::context::Context;
use crate::isa::Isa;
use crate::random::Key;

/// An optimizer whose settings differ from the usual ones, so that both forms of SGD are seen.
fn all() -> Vec<Optimizer> {
    let mut all: Vec<Optimizer> = Optimizer::NAMES.iter().map(|name| Optimizer::named(name).unwrap()).collect();
    for (form, nesterov) in
        [(MomentumForm::RateInside, false), (MomentumForm::RateInside, true), (MomentumForm::RateOutside, true)]
    {
        all.push(sgd::Sgd { form, nesterov, ..Default::default() }.into());
    }
    all
}

fn draw(key: u64, len: usize) -> Vec<f32> {
    (0..len).map(|i| Key(key).uniform(i as u64) - 0.5).collect()
}

/// Weights, then the state of each slot.
struct Plain<'a>(&'a mut [Vec<f32>], &'a [f32]);

impl Visitor for Plain<'_> {
    type Output = ();

    /// One value after the other.
    fn visit<const SLOTS: usize, F: Formula<SLOTS>>(self, formula: F) {
        let Plain(values, g) = self;
        for (i, &g) in g.iter().enumerate() {
            let (w, state) = formula.apply(values[0][i], std::array::from_fn(|slot| values[1 + slot][i]), g);
            values[0][i] = w;
            (0..SLOTS).for_each(|slot| values[1 + slot][i] = state[slot]);
        }
    }
}

#[test]
fn the_fast_way_has_the_formulas_bits_at_any_length() {
    let rates = Rates { lr: 0.1, weight_decay: 0.05 };
    for optimizer in all() {
        for len in [0, 1, 15, 33, CHUNK, CHUNK + 7, 3 * CHUNK - 1] {
            // No optimizer keeps what is negative under a root.
            let values: Vec<Vec<f32>> =
                (0..=optimizer.slots().len()).map(|slot| draw(slot as u64, len).into_iter().map(f32::abs).collect()).collect();
            let g = draw(9, len);
            let mut plain = values.clone();
            let step = Step { optimizer, rates, number: 3 };
            step.visit(Plain(&mut plain, &g));
            for isa in Isa::all_supported() {
                let mut fast = values.clone();
                let (w, state) = fast.split_at_mut(1);
                let state = state.iter_mut().map(Vec::as_mut_slice).collect();
                update(&Context::serial(isa), &step, &mut w[0], state, &g);
                let same = fast.iter().flatten().zip(plain.iter().flatten()).all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same, "{optimizer:?} {len} {isa}");
            }
        }
    }
}

#[test]
fn a_scaled_gradient_moves_as_its_multiple_does() {
    let rates = Rates { lr: 0.1, weight_decay: 0.05 };
    for optimizer in all() {
        let (step, len) = (Step { optimizer, rates, number: 3 }, CHUNK + 7);
        let (w, g) = (draw(1, len), draw(9, len));
        let multiple: Vec<f32> = g.iter().map(|g| g * 0.3).collect();
        let context = Context::serial(Isa::detect());
        let moved = |g: &[f32], scale| {
            let (mut w, mut state) = (w.clone(), vec![vec![0.25; len]; optimizer.slots().len()]);
            update_scaled(&context, &step, &mut w, state.iter_mut().map(Vec::as_mut_slice).collect(), g, scale);
            (w, state)
        };
        assert_eq!(moved(&g, 0.3), moved(&multiple, 1.0), "{optimizer:?}");
    }
}

#[test]
fn averages_and_sums_are_the_formulas_on_any_threads() {
    for len in [0, 1, 33, CHUNK + 7, 3 * CHUNK - 1] {
        let (old, new) = (draw(1, len), draw(2, len));
        for share in [0.001f32, 0.75, 1.0] {
            // torch.lerp, so that a share of 1 is a copy.
            let lerp = |(&a, &b): (&f32, &f32)| if share < 0.5 { a + (b - a) * share } else { b - (b - a) * (1.0 - share) };
            let expected: Vec<f32> = old.iter().zip(&new).map(lerp).collect();
            for context in crate::rows::testing::contexts() {
                let mut found = old.clone();
                average(&context, &mut found, &new, share);
                assert_eq!(found, expected, "{len} {share}");
            }
        }
        let expected: Vec<f32> = old.iter().zip(&new).map(|(a, b)| a + b).collect();
        for context in crate::rows::testing::contexts() {
            let mut found = old.clone();
            add(&context, &mut found, &new);
            assert_eq!(found, expected, "{len}");
        }
    }
}

#[test]
fn a_step_goes_down_and_settings_are_sound() {
    for optimizer in all() {
        optimizer.check().unwrap();
        assert!(optimizer.name().chars().all(|c| c.is_ascii_alphanumeric()) && !optimizer.slots().contains(&"weight"));
        let mut w = [1.0];
        let mut state = vec![[0.0]; optimizer.slots().len()];
        let rates = Rates { lr: 0.01, weight_decay: 0.0 };
        let state = state.iter_mut().map(|slot| slot.as_mut_slice()).collect();
        update(&Context::serial(Isa::detect()), &Step { optimizer, rates, number: 1 }, &mut w, state, &[2.0]);
        assert!(w[0] < 1.0, "{optimizer:?}: {w:?}");
    }
    assert_eq!(Optimizer::named("nobody"), None);
}

#[test]
fn rows_of_settings_come_back() {
    for optimizer in all() {
        let text = serde_json::to_string(&optimizer).unwrap();
        assert!(text.contains(&format!("\"kind\":\"{}\"", optimizer.name())), "{text}");
        assert_eq!(serde_json::from_str::<Optimizer>(&text).unwrap(), optimizer);
    }
    assert!(serde_json::from_str::<Optimizer>(r#"{"kind":"adamw","beta1":0.9,"beta2":0.9,"eps":1e-8,"beta3":1}"#).is_err());
}
