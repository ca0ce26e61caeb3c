//! Figure 1: how fast ReLU and tanh reach a training error of 25 % on CIFAR-10.

use super::comparison::{curves, notes};
use super::statistics::{Difference, difference};
use super::{Arm, Finding, Race, Scale, Setup, Study, Table, Trained, Verdict};
use crate::Result;
use crate::net::Activation;
use crate::report::Run;

pub(super) static STUDY: Study = Study {
    name: "figure-1",
    title: "ReLU against tanh",
    claim: "A four-layer CNN with ReLUs reaches a 25 % training error rate on CIFAR-10 six times faster than the same net with tanh.",
    place: "section 3.1, figure 1",
    paper: "6 times",
    full: Scale { epochs: 80, seeds: 3 },
    quick: Scale { epochs: 24, seeds: 1 },
    takes_models: false,
    arms,
    conclude,
};

/// Training error rate of the race.
const GOAL: f64 = 0.25;
/// The activations, and the learning rates among which each has its fastest. After two epochs of cifar-18pct, ReLU had a training accuracy of
/// 61.2, 62.8 and 55.3 % at 0.01, 0.02 and 0.05, tanh after three 55.5, 62.0 and 63.5 % at 0.003, 0.01 and 0.03.
const RATES: [(Activation, &str, [f64; 3]); 2] =
    [(Activation::Relu, "relu", [0.02, 0.01, 0.03]), (Activation::Tanh, "tanh", [0.03, 0.06, 0.015])];

/// "The learning rates for each network were chosen independently to make training as fast as possible. No regularization of any
/// kind was employed." So each activation races at several rates, and the fastest counts.
fn arms(study: &Study, setup: &Setup) -> Result<Vec<Arm>> {
    let net = setup.net.as_deref().unwrap_or("cifar-18pct");
    let mut arms = Vec::new();
    for (activation, name, rates) in RATES {
        for lr in rates.iter().take(if setup.quick { 2 } else { rates.len() }) {
            let mut settings = setup.settings(study, net, "simple");
            (settings.activation, settings.lr, settings.batch) = (Some(activation), Some(*lr), Some(128));
            let plain = [
                "schedule.kind=constant",
                "augment.kind=none",
                "crop_pct=1",
                "dropout=0",
                "weight_decay=0",
                "bias_weight_decay=0",
                "init=he",
            ];
            let settings = plain
                .into_iter()
                .chain(setup.set.iter().map(String::as_str))
                .fold(settings, |settings, change| settings.set(change));
            let mut arm = Arm::new(format!("{name}-{lr}"), format!("{name}, rate {lr}"), settings);
            arm.race = Some(Race { group: name.into(), error: GOAL });
            arms.push(arm);
        }
    }
    Ok(arms)
}

/// Number of epochs after which a run's training error is at most `error`, between two epochs in proportion; `None` if it never is.
///
/// The error is that of the epoch's images as they were learned from, and so that of the middle of the epoch.
pub(super) fn epochs_to(run: &Run, error: f64) -> Option<f64> {
    let mut before: Option<(f64, f64)> = None;
    for row in &run.epochs {
        let now = (row.epoch as f64, 1.0 - row.train_top1?);
        if now.1 <= error {
            let share = before.map_or(1.0, |before| (before.1 - error) / (before.1 - now.1));
            return Some(before.map_or(0.0, |before| before.0) + share * (now.0 - before.map_or(0.0, |before| before.0)));
        }
        before = Some(now);
    }
    None
}

fn conclude(trained: &Trained<'_>) -> Result<Finding> {
    // For each activation and seed, the fastest rate.
    let best = |group: &str| -> Vec<Option<f64>> {
        let arms =
            || trained.arms.iter().zip(trained.runs).filter(|(arm, _)| arm.race.as_ref().is_some_and(|race| race.group == group));
        let of_seed = |seed| arms().filter_map(|(_, runs)| epochs_to(&runs[seed], GOAL)).min_by(f64::total_cmp);
        (0..trained.seeds.len()).map(of_seed).collect()
    };
    let (relu, tanh) = (best("relu"), best("tanh"));
    let shown = |epochs: Option<f64>| epochs.map_or_else(|| "not reached".into(), |epochs| format!("{epochs:.1}"));
    let mut table =
        Table { title: "Epochs to a training error rate of 25 %".into(), head: vec![String::new()], rows: Vec::new() };
    table.head.extend(trained.seeds.iter().map(|seed| format!("seed {seed}")));
    for (arm, runs) in trained.arms.iter().zip(trained.runs) {
        let cells = runs.iter().map(|run| match epochs_to(run, GOAL) {
            None => format!("more than {}", run.done()),
            reached => shown(reached),
        });
        table.rows.push(std::iter::once(arm.title.clone()).chain(cells).collect());
    }
    let (mut ours, mut verdict) = ("not reached by both".to_string(), Verdict::NotSeen);
    let both: Vec<(f64, f64)> = relu.iter().zip(&tanh).filter_map(|(relu, tanh)| Some(((*relu)?, (*tanh)?))).collect();
    if both.len() == trained.seeds.len() {
        let logs = |of: fn(&(f64, f64)) -> f64| both.iter().map(|pair| of(pair).ln()).collect::<Vec<_>>();
        let ratio = difference(&logs(|pair| pair.1), &logs(|pair| pair.0));
        verdict = Verdict::of(&ratio);
        ours = times(&ratio);
        let each = both.iter().map(|(relu, tanh)| format!("{:.1} times", tanh / relu));
        table.rows.push(std::iter::once("tanh / ReLU, fastest rates".to_string()).chain(each).collect());
    } else if relu.iter().all(Option::is_some) {
        let most = trained.setup.scale(trained.study).epochs as f64;
        let least =
            relu.iter().zip(&tanh).map(|(relu, tanh)| tanh.unwrap_or(most) / relu.unwrap_or(most)).fold(f64::INFINITY, f64::min);
        ours = format!("more than {least:.1} times: tanh did not get there in {most} epochs");
        verdict = if trained.seeds.len() > 1 { Verdict::Held } else { Verdict::Agrees };
    }
    let mut notes = notes(trained);
    notes.push(
        "Each activation at several learning rates, of which the fastest counts; no augmentation, no dropout, no weight decay. A run ends when it \
         has reached 25 %, or when another rate of the same activation has been faster."
            .into(),
    );
    Ok(Finding { ours, verdict, tables: vec![table], curves: curves(trained)[1..].to_vec(), notes, ..Finding::default() })
}

/// A ratio from the difference of logarithms, with its confidence interval.
fn times(ratio: &Difference) -> String {
    let mean = format!("{:.1} times", ratio.mean.exp());
    ratio.half_width.map_or_else(
        || mean.clone(),
        |half| format!("{mean} (95 % confidence: {:.1} to {:.1})", (ratio.mean - half).exp(), (ratio.mean + half).exp()),
    )
}
