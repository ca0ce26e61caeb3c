//! The plan that `train` prints before the first step.

use crate::output::plural;
use crate::progress::duration;
use alexnet::net::with_commas;
use alexnet::train::Forecast;
use serde_json::{Value, json};

/// From this time on, the plan names options that shorten the run.
const LONG_HOURS: f64 = 1.0;

/// The plan in lines. `timed`: the time is a budget.
pub(super) fn lines(plan: &Forecast, timed: bool) -> Vec<String> {
    let Forecast { images, validation, classes, smallest, largest, .. } = plan;
    let mut lines = vec![format!(
        "plan: {} {} of {classes} classes, {} ({}) to {} ({}); {} for validation",
        with_commas(*images as u64),
        plural(*images as u64, "image"),
        smallest.1,
        smallest.0,
        largest.1,
        largest.0,
        with_commas(*validation as u64),
    )];
    let about = if timed { "about " } else { "" };
    lines.push(format!(
        "      {} pixels, {about}{}, batch {}, {about}{} {}",
        plan.image_size,
        epochs(plan.epochs),
        plan.batch,
        with_commas(plan.steps),
        plural(plan.steps, "step")
    ));
    let time = match plan.time {
        Some(time) if timed => format!("{}, as given", duration(time)),
        Some(time) => format!("about {} on this machine", duration(time)),
        None => "not measured, because steps change during the run or are shared among processes".into(),
    };
    let memory = plan.memory.map_or(String::new(), |bytes| format!(", {:.1} GB of memory", bytes as f64 / 1e9));
    lines.push(format!("      time: {time}{memory}, {:.1} GB of disk", plan.disk as f64 / 1e9));
    if !plan.shorter.is_empty() {
        let options = plan.shorter.iter().map(|shorter| format!("{} ({})", shorter.option, duration(shorter.time)));
        lines.push(format!(
            "warning: this takes more than {LONG_HOURS} hour; shorter: {}",
            options.collect::<Vec<_>>().join(", ")
        ));
    }
    lines
}

/// A number of epochs, with a decimal if they are few and not whole.
fn epochs(epochs: f64) -> String {
    match epochs {
        1.0 => "1 epoch".into(),
        epochs if epochs.fract() == 0.0 || epochs >= 20.0 => format!("{epochs:.0} epochs"),
        epochs if epochs < 0.05 => "under 0.1 epochs".into(),
        epochs => format!("{epochs:.1} epochs"),
    }
}

/// The plan as a JSON object.
pub(super) fn json(plan: &Forecast) -> Value {
    let class = |(name, images): &(String, usize)| json!({ "class": name, "images": images });
    let shorter = plan.shorter.iter().map(|it| json!({ "option": it.option, "seconds": it.time.as_secs_f64() }));
    json!({ "plan": {
        "images": plan.images, "validation": plan.validation, "classes": plan.classes,
        "smallest": class(&plan.smallest), "largest": class(&plan.largest), "image_size": plan.image_size,
        "epochs": plan.epochs, "batch": plan.batch, "steps": plan.steps,
        "seconds": plan.time.map(|time| time.as_secs_f64()), "memory_bytes": plan.memory, "disk_bytes": plan.disk,
        "shorter": shorter.collect::<Vec<_>>(),
    } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alexnet::train::Shorter;
    use std::time::Duration;

    #[test]
    fn a_long_run_names_what_shortens_it() {
        let mut plan = Forecast {
            images: 3068,
            validation: 341,
            classes: 10,
            smallest: ("hat".into(), 123),
            largest: ("t-shirt".into(), 808),
            image_size: 224,
            epochs: 30.0,
            batch: 32,
            steps: 2850,
            time: Some(Duration::from_secs(7260)),
            memory: Some(2_100_000_000),
            disk: 912_000_000,
            shorter: vec![Shorter { option: "--image-size 128".into(), time: Duration::from_secs(2400) }],
        };
        let wanted = [
            "plan: 3,068 images of 10 classes, 123 (hat) to 808 (t-shirt); 341 for validation",
            "      224 pixels, 30 epochs, batch 32, 2,850 steps",
            "      time: about 2h 1m on this machine, 2.1 GB of memory, 0.9 GB of disk",
            "warning: this takes more than 1 hour; shorter: --image-size 128 (40m 0s)",
        ];
        assert_eq!(lines(&plan, false), wanted);
        assert_eq!(json(&plan)["plan"]["shorter"][0]["seconds"], 2400.0);
        (plan.epochs, plan.shorter) = (12.34, Vec::new());
        assert!(lines(&plan, true)[1].contains("about 12.3 epochs"));
        (plan.epochs, plan.steps) = (1.0, 1);
        assert_eq!(lines(&plan, false)[1], "      224 pixels, 1 epoch, batch 32, 1 step");
        plan.time = None;
        assert!(lines(&plan, false)[2].contains("not measured"));
    }
}
