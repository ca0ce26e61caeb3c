//! Studies that compare the validation accuracy of a net with and without something.

use super::statistics::{difference, percent_over_seeds};
use super::{Arm, Curve, Curves, Finding, Scale, Setup, Study, Table, Trained, Verdict};
use crate::report::{Epoch, Run};
use crate::train::Settings;
use crate::{Error, Result};

const FULL: Scale = Scale { epochs: 30, seeds: 3 };
const QUICK: Scale = Scale { epochs: 6, seeds: 1 };
/// Image size in pixels of the nets for ImageNet on a person's own images, which are far fewer.
pub(super) const SIZE: usize = 128;

pub(super) static LRN: Study = Study {
    name: "lrn",
    title: "Local response normalisation",
    claim: "A four-layer CNN achieved a 13 % test error rate on CIFAR-10 without normalisation and 11 % with it.",
    place: "section 3.3",
    paper: "2 points of CIFAR-10; 1.4 of ILSVRC top-1, 1.2 of top-5",
    full: FULL,
    quick: QUICK,
    takes_models: false,
    arms: |study, setup| {
        let net = setup.net.as_deref().unwrap_or("cifar-11pct");
        let (without, cifar) = match net {
            "cifar-11pct" => ("cifar-13pct", true),
            "paper" => ("paper-no-lrn", false),
            other => return Err(no_variant(other, "cifar-11pct or paper")),
        };
        let of = |net: &str| match cifar {
            // Their own recipe, and their own size.
            true => changed(setup, setup.settings(study, net, "cifar-11pct")),
            false => sized(setup, setup.plain(study, net)),
        };
        Ok(vec![Arm::new("with", "with LRN", of(net)), Arm::new("without", "without LRN", of(without))])
    },
    conclude: with_against_without,
};

pub(super) static OVERLAP: Study = Study {
    name: "overlap",
    title: "Overlapping pools",
    claim: "Pools of 3 x 3 with stride 2 reduce the error rates, compared with 2 x 2 pools that do not overlap.",
    place: "section 3.4",
    paper: "0.4 points of top-1, 0.3 of top-5",
    full: FULL,
    quick: QUICK,
    takes_models: false,
    arms: |study, setup| {
        Ok(vec![
            Arm::new("overlapping", "3 x 3, stride 2", sized(setup, setup.plain(study, only(setup, "paper")?))),
            Arm::new("apart", "2 x 2, stride 2", sized(setup, setup.plain(study, "paper-no-overlap"))),
        ])
    },
    conclude: with_against_without,
};

pub(super) static TWO_TOWERS: Study = Study {
    name: "two-towers",
    title: "Two GPUs",
    claim: "The two-GPU net has lower error rates than a net with half as many kernels that fits one GPU.",
    place: "section 3.2",
    paper: "1.7 points of top-1, 1.2 of top-5",
    full: FULL,
    quick: QUICK,
    takes_models: false,
    arms: |study, setup| {
        Ok(vec![
            Arm::new("two-towers", "two towers", sized(setup, setup.plain(study, only(setup, "paper")?))),
            Arm::new("half", "half the kernels, one tower", sized(setup, setup.plain(study, "paper-half"))),
            Arm::new("whole", "all kernels, one tower", sized(setup, setup.plain(study, "paper-one-tower"))),
        ])
    },
    conclude: with_against_without,
};

pub(super) static DROPOUT: Study = Study {
    name: "dropout",
    title: "Dropout",
    claim: "Without dropout the network overfits substantially; dropout roughly doubles the iterations to converge.",
    place: "section 4.2",
    paper: "no number",
    full: FULL,
    quick: QUICK,
    takes_models: false,
    arms: |study, setup| {
        let of = |dropout: &str| sized(setup, setup.plain(study, net(setup))).set(format!("dropout={dropout}"));
        Ok(vec![Arm::new("with", "dropout 0.5", of("0.5")), Arm::new("without", "no dropout", of("0"))])
    },
    conclude: |trained| {
        let mut finding = with_against_without(trained)?;
        // What each net knows of its training images, seen as validation images are: centre crop, no dropout.
        let gaps = (0..2).map(|arm| super::votes::gaps(trained, arm)).collect::<Result<Vec<_>>>()?;
        let smaller = difference(&gaps[1], &gaps[0]);
        finding.verdict = Verdict::of(&smaller);
        finding.ours =
            format!("training minus validation accuracy: {} less with dropout; validation: {}", smaller.points(), finding.ours);
        let rows = trained.arms.iter().zip(&gaps).map(|(arm, gaps)| vec![arm.title.clone(), percent_over_seeds(gaps)]);
        finding.tables.push(Table {
            title: "Overfitting of the last model".into(),
            head: ["", "training minus validation accuracy"].map(String::from).to_vec(),
            rows: rows.collect(),
        });
        Ok(finding)
    },
};

pub(super) static AUGMENTATION: Study = Study {
    name: "augmentation",
    title: "Crops and mirrors",
    claim: "Random crops and their mirror images increase the training set by a factor of 2,048; without them the network overfits substantially.",
    place: "section 4.1",
    paper: "no number",
    full: FULL,
    quick: QUICK,
    takes_models: false,
    arms: |study, setup| {
        let of = |kind: &str| sized(setup, setup.plain(study, net(setup))).set(format!("augment.kind={kind}"));
        Ok(vec![Arm::new("with", "crops and mirrors", of("crop_mirror")), Arm::new("without", "centre crops", of("none"))])
    },
    conclude: with_against_without,
};

pub(super) static PCA_NOISE: Study = Study {
    name: "pca-noise",
    title: "Colour noise",
    claim: "Noise along the principal components of the colours reduces the top-1 error rate by over 1 %.",
    place: "section 4.1",
    paper: "over 1 point of top-1",
    full: FULL,
    quick: QUICK,
    takes_models: false,
    arms: |study, setup| {
        let of = |colour: &str| sized(setup, setup.plain(study, net(setup))).set(colour);
        Ok(vec![
            Arm::new("with", "colour noise, deviation 0.1", of("colour.sigma=0.1")),
            Arm::new("without", "no colour noise", of("colour=none")),
        ])
    },
    conclude: with_against_without,
};

/// The net of studies that are not about its layers.
pub(super) fn net(setup: &Setup) -> &str {
    setup.net.as_deref().unwrap_or("paper")
}

/// The net of a study that has variants of this net only.
fn only<'a>(setup: &Setup, net: &'a str) -> Result<&'a str> {
    setup.net.as_deref().is_none_or(|wanted| wanted == net).then_some(net).ok_or_else(|| no_variant(net_of(setup), net))
}

fn net_of(setup: &Setup) -> &str {
    setup.net.as_deref().unwrap_or_default()
}

fn no_variant(net: &str, known: &str) -> Error {
    Error::Invalid(format!("--net {net}: this study compares variants of {known}; omit --net"))
}

/// Settings at the size for a person's own images, unless another is chosen.
pub(super) fn sized(setup: &Setup, settings: Settings) -> Settings {
    let own = setup.data.as_ref().map(|_| SIZE);
    changed(setup, Settings { image_size: settings.image_size.or(own), ..settings })
}

/// Settings with the changes that all arms share.
pub(super) fn changed(setup: &Setup, settings: Settings) -> Settings {
    setup.set.iter().fold(settings, |settings, change| settings.set(change))
}

/// Compares the first arm with each other one. The claim is that the first one is better than the second.
pub(super) fn with_against_without(trained: &Trained<'_>) -> Result<Finding> {
    let accuracies: Vec<Vec<f64>> = (0..trained.arms.len()).map(|arm| trained.accuracies(arm)).collect();
    let gains: Vec<_> = accuracies[1..].iter().map(|without| difference(&accuracies[0], without)).collect();
    let mut table = Table {
        title: format!("Validation top-1 accuracy, mean of the last {}", epochs(trained.last_epochs())),
        head: vec![String::new()],
        rows: Vec::new(),
    };
    table.head.extend(trained.seeds.iter().map(|seed| format!("seed {seed}")));
    table.head.extend(["mean".to_string(), format!("{} is better by", trained.arms[0].title)]);
    for (i, (arm, values)) in trained.arms.iter().zip(&accuracies).enumerate() {
        let mut row = vec![arm.title.clone()];
        row.extend(values.iter().map(|share| format!("{:.2} %", 100.0 * share)));
        row.push(percent_over_seeds(values));
        row.push(if i == 0 { String::new() } else { gains[i - 1].points() });
        table.rows.push(row);
    }
    Ok(Finding {
        ours: gains[0].points(),
        verdict: Verdict::of(&gains[0]),
        tables: vec![table],
        curves: curves(trained),
        notes: notes(trained),
        ..Finding::default()
    })
}

pub(super) fn epochs(n: usize) -> String {
    if n == 1 { "epoch".into() } else { format!("{n} epochs") }
}

/// What the numbers mean.
pub(super) fn notes(trained: &Trained<'_>) -> Vec<String> {
    let mut notes = vec![trained.scale_note()];
    if trained.seeds.len() > 1 {
        notes.push("± after a mean is the standard deviation over seeds, after a difference half of its 95 % confidence interval (Student's t, pairs of equal seeds).".into());
    }
    notes
}

/// Curves of accuracy in training and validation: means over seeds, with each seed faintly behind.
pub(super) fn curves(trained: &Trained<'_>) -> Vec<Curves> {
    let of = |title: &str, value: fn(&Epoch) -> Option<f64>| {
        let mut curves = Vec::new();
        for (i, (arm, runs)) in trained.arms.iter().zip(trained.runs).enumerate() {
            let points = |run: &Run| -> Vec<(f64, f64)> {
                run.epochs.iter().filter_map(|row| Some((row.epoch as f64, value(row)?))).collect()
            };
            let each: Vec<_> = runs.iter().map(points).collect();
            let longest = each.iter().max_by_key(|points| points.len()).cloned().unwrap_or_default();
            // Runs of one arm have the same epochs, except those that end early.
            let mean = longest.iter().enumerate().filter_map(|(at, &(x, _))| {
                let values: Vec<f64> = each.iter().filter_map(|points| points.get(at)).map(|point| point.1).collect();
                (values.len() == each.len()).then(|| (x, values.iter().sum::<f64>() / values.len() as f64))
            });
            let colour = i % 8 + 1;
            curves.push(Curve { name: arm.title.clone(), colour, faint: false, points: mean.collect() });
            if each.len() > 1 {
                let faint = trained.seeds.iter().zip(each);
                curves.extend(faint.map(|(seed, points)| Curve {
                    name: format!("{}, seed {seed}", arm.title),
                    colour,
                    faint: true,
                    points,
                }));
            }
        }
        Curves { title: title.into(), curves }
    };
    vec![of("Validation accuracy", |row| row.val_top1), of("Training accuracy", |row| row.train_top1)]
}
