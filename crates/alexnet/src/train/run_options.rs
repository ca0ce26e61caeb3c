//! Options for unequal classes, early stopping and snapshots.

use super::config::Config;
use super::recipe::{ClassWeights, Recipe, Sampling};
use super::settings::Settings;
use super::snapshots::{Keep, Snapshots};
use crate::{Error, Result, files};
use std::collections::BTreeMap;
use std::path::Path;

/// Applies the options of a new run to its recipe.
pub(super) fn apply(settings: &Settings, recipe: &mut Recipe) -> Result<()> {
    if let Some(weights) = &settings.class_weights {
        recipe.loss.class_weights = class_weights(weights)?;
    }
    if settings.balanced {
        recipe.sampling = Sampling::Balanced;
    }
    recipe.monitor = settings.monitor.unwrap_or(recipe.monitor);
    recipe.patience = settings.patience.unwrap_or(recipe.patience);
    Ok(())
}

/// Snapshots of a new run.
pub(super) fn snapshots(settings: &Settings) -> Snapshots {
    // --keep alone refers to every epoch.
    let every = settings.keep_every.unwrap_or(usize::from(settings.keep.is_some()));
    Snapshots { every, keep: settings.keep.unwrap_or(Keep::All) }
}

/// Rejects snapshots that are chosen by a metric nobody measures.
pub(super) fn check_snapshots(snapshots: Snapshots, has_validation: bool) -> Result<()> {
    match snapshots {
        Snapshots { every: 1.., keep: Keep::Best(n) } if !has_validation => Err(Error::Invalid(format!(
            "--keep best:{n} needs validation images; use --val, a larger --val-share, or --keep last:{n}"
        ))),
        _ => Ok(()),
    }
}

/// Rejects options that differ from those of the resumed run.
pub(super) fn same(settings: &Settings, config: &Config) -> Result<()> {
    let Config { recipe, snapshots, .. } = config;
    let changed = |option: &str, is: String| {
        Err(Error::Invalid(format!("{option}: the run has {is}, which cannot change; omit the option")))
    };
    if let Some(weights) = &settings.class_weights
        && class_weights(weights)? != recipe.loss.class_weights
    {
        return changed(&format!("--class-weights {}", weights.display()), "other class weights".into());
    }
    if settings.balanced && recipe.sampling != Sampling::Balanced {
        return changed("--balanced", "uniform sampling".into());
    }
    match settings {
        Settings { monitor: Some(monitor), .. } if *monitor != recipe.monitor => {
            changed(&format!("--monitor {monitor}"), recipe.monitor.to_string())
        }
        Settings { patience: Some(patience), .. } if *patience != recipe.patience => {
            changed(&format!("--patience {patience}"), recipe.patience.to_string())
        }
        Settings { keep_every: Some(every), .. } if *every != snapshots.every => {
            changed(&format!("--keep-every {every}"), snapshots.every.to_string())
        }
        Settings { keep: Some(keep), .. } if *keep != snapshots.keep => {
            changed(&format!("--keep {keep}"), snapshots.keep.to_string())
        }
        _ => Ok(()),
    }
}

/// Class weights of an option: `auto`, `none`, or a file with a class and its weight per line.
fn class_weights(option: &Path) -> Result<Option<ClassWeights>> {
    match option.to_str() {
        Some("none") => return Ok(None),
        Some("auto") => return Ok(Some(ClassWeights::Auto)),
        _ => {}
    }
    let explain = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Error::file(option, "no such file; --class-weights takes auto, none or a file of weights")
        }
        _ => Error::io(option, error),
    };
    let text = files::read_text(option).map_err(explain)?;
    parse(&text).map(|weights| Some(ClassWeights::Given(weights))).map_err(|message| Error::file(option, message))
}

/// Parses lines of a class name, which may contain spaces, and a weight.
fn parse(text: &str) -> Result<BTreeMap<String, f64>, String> {
    let mut weights = BTreeMap::new();
    for (i, line) in text.lines().enumerate().map(|(i, line)| (i, line.trim())).filter(|(_, line)| !line.is_empty()) {
        let parsed = line.rsplit_once(char::is_whitespace).and_then(|(class, x)| Some((class.trim(), x.parse::<f64>().ok()?)));
        let Some((class, weight)) = parsed else {
            return Err(format!("line {}: expected a class and its weight, such as `cat 2.5`", i + 1));
        };
        if !(weight > 0.0 && (weight as f32).is_normal()) {
            return Err(format!("line {}: invalid weight {weight}: must be positive and finite", i + 1));
        }
        if weights.insert(class.to_string(), weight).is_some() {
            return Err(format!("line {}: a second weight for `{class}`", i + 1));
        }
    }
    if weights.is_empty() {
        return Err("no weights: expected a class and its weight per line, such as `cat 2.5`".into());
    }
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_snapshots_need_validation_images() {
        let check = |every, keep, has_validation| check_snapshots(Snapshots { every, keep }, has_validation);
        assert!(check(1, Keep::Best(2), true).is_ok() && check(1, Keep::Last(2), false).is_ok());
        let message = check(1, Keep::Best(2), false).unwrap_err().to_string();
        assert!(message.contains("--keep best:2 needs validation images"), "{message}");
    }

    #[test]
    fn weights_are_a_class_and_a_number_per_line() {
        let expected = BTreeMap::from([("cat".to_string(), 2.5), ("great dane".to_string(), 0.5)]);
        assert_eq!(parse("cat 2.5\n\n  great dane\t0.5 \n").unwrap(), expected);
        for (text, part) in [
            ("", "no weights"),
            ("cat", "line 1: expected"),
            ("cat 1\ndog x", "line 2: expected"),
            ("cat 0", "invalid weight 0"),
            ("cat -1", "invalid weight -1"),
            ("cat nan", "invalid weight NaN"),
            ("cat 1e300", "invalid weight"),
            ("cat 1\ncat 2", "line 2: a second weight for `cat`"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
        let message = class_weights(Path::new("no such file")).unwrap_err().to_string();
        assert!(message.contains("auto, none or a file"), "{message}");
    }
}
