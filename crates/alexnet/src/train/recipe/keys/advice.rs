//! Advice on names and words that a recipe does not have: the nearest one, or what stands for another library's.

use super::foreign::{self, Instead};
use super::{KEYS, Key, Kind, of_name};
use toml::Value;

/// What an unknown name probably means, as a sentence or a question.
pub(in crate::train::recipe) fn advice(name: &str) -> Option<String> {
    let (table, last) = name.rsplit_once('.').unwrap_or(("", name));
    let table = our_table(table);
    // PyTorch's and ultralytics' word for the kind of an optimizer or schedule.
    let last = if !table.is_empty() && ["name", "type", "policy"].contains(&plain(last).as_str()) { "kind" } else { last };
    let moved = if table.is_empty() { last.to_string() } else { format!("{table}.{last}") };
    if !of_name(&moved).is_empty() {
        return Some(question(&moved, name));
    }
    if let Some(known) = same_but_for_spelling(&moved) {
        return Some(question(known, name));
    }
    let parts = [name, last, name.split('.').next().unwrap_or(name)];
    if let Some(instead) = parts.into_iter().find_map(|part| foreign::name(&plain(part))) {
        return Some(match instead {
            Instead::Key(key) => question(key, name),
            Instead::TrainOption(option) => format!("it is not part of a recipe: `train` has the option {option}."),
            Instead::Keys(text) => format!("{text}."),
        });
    }
    let key = nearest(&moved, last)?;
    Some(question(key, name))
}

/// What an unaccepted value probably means.
pub(in crate::train::recipe) fn value_advice(key: &Key, value: &Value) -> Option<String> {
    match (key.kind, value) {
        (Kind::Word(words), Value::String(word)) => {
            let written = plain(word);
            let same = words.iter().copied().find(|known| plain(known) == written);
            let meant = same.or_else(|| foreign::word(key.name, &written));
            let meant = meant.or_else(|| alexnet_hub::nearest_of(word, words.iter().copied()))?;
            Some(format!("did you mean {meant}?"))
        }
        (Kind::Table, _) => {
            let own = KEYS.iter().filter(|other| other.parts().0 == key.name);
            let names: Vec<String> = own.map(|other| format!("`{}`", other.name)).collect();
            Some(format!("its keys are {}", names.join(", ")))
        }
        (Kind::Number(_), Value::Float(x)) if x.is_finite() && !(*x as f32).is_finite() => Some("the largest is 3.4e38".into()),
        _ if key.name == "loss.class_weights" => Some("the weight of a single class is `class_weights.NAME = 2`".into()),
        _ => None,
    }
}

/// The question whether a key was meant, with its place if this is outside the table that was written.
fn question(key: &str, written: &str) -> String {
    let outside = if written.contains('.') && !key.contains('.') { ", outside of any table" } else { "" };
    format!("did you mean `{key}`{outside}?")
}

/// A name without what libraries spell differently: case, underscores and hyphens.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

/// Keys with their names and aliases.
fn names() -> impl Iterator<Item = (&'static Key, &'static str)> {
    KEYS.iter().flat_map(|key| std::iter::once(key.name).chain(key.aliases.iter().copied()).map(move |name| (key, name)))
}

fn last_of(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// The name of a recipe's table that was probably meant.
fn our_table(table: &str) -> &str {
    let written = plain(table);
    let ours = || KEYS.iter().map(|key| key.parts().0).filter(|table| !table.is_empty());
    let same = ours().find(|known| plain(known) == written).or_else(|| foreign::table(&written));
    same.or_else(|| alexnet_hub::nearest_of(table, ours())).unwrap_or(table)
}

fn same_but_for_spelling(name: &str) -> Option<&'static str> {
    let written = plain(name);
    names().map(|(_, known)| known).find(|known| plain(known) == written)
}

/// The known name that is most similar to a misspelt one.
fn nearest(name: &str, last: &str) -> Option<&'static str> {
    // An alias outside tables would mislead inside one.
    let shown =
        |(key, known): (&'static Key, &'static str)| if name.contains('.') && !known.contains('.') { key.name } else { known };
    let written = plain(last);
    // A key's last part may be right, in another table or in none.
    let elsewhere = names().filter(|_| written != "kind").find(|(_, known)| plain(last_of(known)) == written);
    elsewhere.map(shown).or_else(|| alexnet_hub::nearest_of(name, names().map(|(_, known)| known))).or_else(|| {
        let near = alexnet_hub::nearest_of(last, names().map(|(_, known)| last_of(known)))?;
        names().find(|(_, known)| last_of(known) == near).map(shown)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_are_answered_with_what_they_mean() {
        for (name, part) in [
            ("momentun", "did you mean `momentum`?"),
            ("EMA.decay", "`ema.decay`"),
            ("Epochs", "`epochs`"),
            ("weight-decay", "`weight_decay`"),
            ("scheduler.kind", "`schedule.kind`"),
            ("scheduler.warmup", "`schedule.warmup`"),
            ("lr_scheduler", "`schedule.kind`"),
            ("optimizer.name", "`optimizer.kind`"),
            ("optimizer.type", "`optimizer.kind`"),
            ("optimizer.weight_decay", "`weight_decay`, outside of any table?"),
            ("optimizer.lr", "`lr`, outside of any table?"),
            ("optim.wd", "`weight_decay`, outside of any table?"),
            ("optimiser.momentun", "`optimizer.momentum`"),
            ("loss.label_smoothing", "`loss.smoothing`"),
            ("schedule.warmup_epochs", "`warmup_epochs`, outside of any table?"),
            ("training.epochs", "`epochs`, outside of any table?"),
            ("augmentation.hue", "`augment.hue`"),
            ("augment.random_erasing", "`augment.erasing`"),
            ("RandomErasing", "`augment.erasing`"),
            ("color_jitter", "`augment.brightness`"),
            ("augment.ColorJitter", "`augment.hue`"),
            ("cutmix_alpha", "`augment.cutmix`"),
            ("mixup_alpha", "`augment.mixup`"),
            ("num_epochs", "`epochs`"),
            ("wd", "`weight_decay`"),
            ("clip_grad_norm", "`clip_norm`"),
            ("clip_grad", "`clip_norm`"),
            ("model_ema", "`ema`"),
            ("model_ema_decay", "`ema.decay`"),
            ("drop", "`dropout`"),
            ("hflip", "`augment.flip`"),
            ("hsv_h", "`augment.hue`"),
            ("reprob", "`augment.erasing`"),
            ("layer_rate.fc6", "`layer_rates.fc6`"),
            ("seed", "--seed"),
            ("image_size", "--image-size"),
            ("imgsz", "--image-size"),
            ("model.name", "--net"),
            ("freeze", "`layer_rates.conv1 = 0`"),
        ] {
            let found = advice(name).unwrap_or_default();
            assert!(found.contains(part), "{name}: {found}");
        }
        assert_eq!(advice("quux"), None);
    }

    #[test]
    fn unknown_words_are_answered_with_the_nearest() {
        let of = |name: &str, value: Value| value_advice(of_name(name)[0], &value).unwrap_or_default();
        let word = |name: &str, word: &str| of(name, Value::String(word.into()));
        for (name, written, meant) in [
            ("schedule", "cosinus", "cosine"),
            ("schedule", "OneCycle", "one_cycle"),
            ("schedule", "CosineAnnealingLR", "cosine"),
            ("schedule", "ReduceLROnPlateau", "plateau"),
            ("optimizer", "Adam", "adamw"),
            ("augment.auto", "RandAugment", "rand"),
            ("augment.kind", "RandomResizedCrop", "random_resized_crop"),
            ("monitor", "macro_f1", "macro-f1"),
            ("monitor", "val_loss", "loss"),
            ("init", "kaiming", "he"),
        ] {
            assert_eq!(word(name, written), format!("did you mean {meant}?"), "{name} = {written}");
        }
        assert_eq!(of("ema", Value::Float(0.999)), "its keys are `ema.decay`, `ema.every`, `ema.warmup`");
        assert!(of("class_weights", Value::Array(Vec::new())).contains("class_weights.NAME = 2"));
    }
}
