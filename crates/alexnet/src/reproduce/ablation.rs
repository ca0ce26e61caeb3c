//! Ablation on a person's own images: the paper's net, and without each of its parts.

use super::comparison::{notes, sized};
use super::statistics::{difference, percent_over_seeds};
use super::{Arm, Finding, Scale, Setup, Study, Table, Trained, Verdict};
use crate::net::Activation;
use crate::train::Settings;
use crate::{Error, Result};

pub(super) static STUDY: Study = Study {
    name: "ablation",
    title: "Ablation on your own images",
    claim: "Each part of the network and of its training reduces the error rate.",
    place: "sections 3, 4 and 7",
    paper: "LRN 1.4, overlapping pools 0.4, two towers 1.7, a middle convolution about 2, colour noise over 1 point of top-1",
    full: Scale { epochs: 30, seeds: 3 },
    quick: Scale { epochs: 6, seeds: 1 },
    takes_models: false,
    arms,
    conclude,
};

/// A part that can be removed: its name, what remains without it, and the change.
struct Part {
    name: &'static str,
    without: &'static str,
    remove: fn(Settings) -> Settings,
}

const PARTS: [Part; 8] = [
    Part { name: "relu", without: "tanh instead of ReLU", remove: |all| all.activation(Activation::Tanh) },
    Part { name: "lrn", without: "no LRN", remove: |all| all.net("paper-no-lrn") },
    Part { name: "overlap", without: "pools that do not overlap", remove: |all| all.net("paper-no-overlap") },
    Part { name: "towers", without: "half the kernels, one tower", remove: |all| all.net("paper-half") },
    Part { name: "conv4", without: "no fourth convolution", remove: |all| all.net("paper-no-conv4") },
    Part { name: "dropout", without: "no dropout", remove: |all| all.set("dropout=0") },
    Part { name: "augmentation", without: "no crops and mirrors", remove: |all| all.set("augment.kind=none") },
    Part { name: "pca-noise", without: "no colour noise", remove: |all| all.set("colour=none") },
];

fn arms(study: &Study, setup: &Setup) -> Result<Vec<Arm>> {
    if setup.net.as_deref().is_some_and(|net| net != "paper") {
        return Err(Error::Invalid("--net: the ablation removes parts of the net `paper`; omit --net".into()));
    }
    let known = || PARTS.map(|part| part.name).join(", ");
    let mut parts = Vec::new();
    for name in &setup.what {
        let Some(part) = PARTS.iter().find(|part| part.name == name) else {
            let near = alexnet_hub::nearest_of(name, PARTS.iter().map(|part| part.name));
            let near = near.map_or(String::new(), |near| format!("did you mean {near}? "));
            return Err(Error::Invalid(format!("--what {name}: {near}choose among {}", known())));
        };
        if parts.iter().any(|other: &&Part| other.name == part.name) {
            return Err(Error::Invalid(format!("--what: {name} is given twice")));
        }
        parts.push(part);
    }
    if parts.is_empty() {
        parts = PARTS.iter().collect();
    }
    let all = sized(setup, setup.plain(study, "paper").set("colour.sigma=0.1"));
    let mut arms = vec![Arm::new("all", "everything", all.clone())];
    arms.extend(parts.into_iter().map(|part| Arm::new(format!("no-{}", part.name), part.without, (part.remove)(all.clone()))));
    Ok(arms)
}

fn conclude(trained: &Trained<'_>) -> Result<Finding> {
    let all = trained.accuracies(0);
    let mut table = Table {
        title: format!("Validation top-1 accuracy, mean of the last {}", super::comparison::epochs(trained.last_epochs())),
        head: ["", "top-1", "the part is worth", "verdict"].map(String::from).to_vec(),
        rows: vec![vec![trained.arms[0].title.clone(), percent_over_seeds(&all), String::new(), String::new()]],
    };
    let (mut worth, mut verdicts) = (Vec::new(), Vec::new());
    for (i, arm) in trained.arms.iter().enumerate().skip(1) {
        let without = trained.accuracies(i);
        let gain = difference(&all, &without);
        let verdict = Verdict::of(&gain);
        table.rows.push(vec![arm.title.clone(), percent_over_seeds(&without), gain.points(), verdict.text().into()]);
        worth.push(format!("{} {}", arm.name.trim_start_matches("no-"), gain.points()));
        verdicts.push(verdict);
    }
    // The claim is about every part.
    let verdict = match verdicts.as_slice() {
        [one] => *one,
        all if all.iter().all(|verdict| *verdict == Verdict::Held) => Verdict::Held,
        all if all.contains(&Verdict::Contradicted) => Verdict::Contradicted,
        _ if trained.seeds.len() == 1 => Verdict::Shown,
        _ => Verdict::NotSeen,
    };
    let (curves, mut notes) = (super::comparison::curves(trained), notes(trained));
    notes.push("Equal epochs and seeds for all; the recipe is the default one without batch normalisation, with the paper's colour noise.".into());
    Ok(Finding { ours: worth.join("; "), verdict, tables: vec![table], curves, notes, ..Finding::default() })
}
