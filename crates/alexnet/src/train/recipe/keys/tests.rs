//! The table of keys against the fields that recipes have, and against the guide's page.

use super::*;
use crate::train::recipe::edit::table_of;
use crate::train::recipe::{NAMES, by_name};
use std::path::Path;

/// A value of a key that is not its default.
fn example(key: &Key) -> String {
    let candidates: Vec<String> = match key.kind {
        Kind::Word(words) => words.iter().map(|word| word.to_string()).collect(),
        Kind::Words(words) => vec![format!("[\"{}\"]", words[0]), "[]".into()],
        Kind::Switch => vec!["true".into(), "false".into()],
        Kind::Text => vec!["mine".into()],
        Kind::Count(min) | Kind::Between(min, _) => vec![(min + 2).to_string()],
        Kind::Number(range) => vec![(range.min + 0.25 * (range.max.min(range.min + 2.0) - range.min)).to_string(), "0.75".into()],
        Kind::Pair(_) => vec!["[0.25, 0.5]".into()],
        Kind::Numbers(_) => vec!["[0.25]".into()],
        Kind::Fractions => vec!["[[1, 3]]".into()],
        Kind::RateChanges => vec!["[[1, 3, \"fc6\", 0.5]]".into()],
        Kind::Legs => vec!["[[0, 0.0, 9], [3, 0.5, 12]]".into()],
        Kind::Table => vec![],
    };
    let default = key.default_value();
    candidates.into_iter().find(|text| key.kind.accept(&key.kind.parse(text)) != default).unwrap_or_default()
}

/// The key's name, with a layer's name for `*`.
fn in_full(key: &Key) -> String {
    key.name.replace('*', "fc6")
}

/// A recipe without options of its own, with the right `kind` for a key.
fn with_kind(key: &Key) -> Recipe {
    let simple = by_name("simple").unwrap();
    match key.only.first() {
        Some(kind) => simple.set(&format!("{}.kind={kind}", key.parts().0)).unwrap_or_else(|e| panic!("{}: {e}", key.name)),
        // Other schedules have a warm-up of their own.
        None if key.name.starts_with("warmup_") => simple.set("schedule.kind=constant").unwrap(),
        None => simple,
    }
}

#[test]
fn every_key_is_a_field_and_its_default_changes_nothing() {
    for key in KEYS.iter().filter(|key| key.kind != Kind::Table) {
        let (name, value) = (in_full(key), example(key));
        let changed = with_kind(key).set(&format!("{name}={value}")).unwrap_or_else(|e| panic!("{name}={value}: {e}"));
        let table = table_of(&changed).unwrap();
        let found = find(&table, &key.stored.replace('*', "fc6")).unwrap_or_else(|| panic!("{name} = {value} is not stored"));
        assert_eq!(*found, to_stored(key, key.kind.accept(&key.kind.parse(&value)).unwrap()), "{name}");
        // A field that is not stored has the default of the table.
        let same = with_kind(key);
        if !key.default.is_empty() && !key.alone && key.only.is_empty() && !name.contains("colour") && !name.contains("ema") {
            let stated = same.clone().set(&format!("{name}={}", key.default)).unwrap();
            assert_eq!(stated, same, "{name} = {} is not the default", key.default);
        }
        for alias in key.aliases {
            assert_eq!(of_name(&alias.replace('*', "x")), of_name(&key.name.replace('*', "x")), "{alias}");
        }
    }
}

/// The field names that serde lists for a table with an unknown one. Variants without fields accept any.
fn fields(recipe: Table) -> Vec<String> {
    let Err(error) = Recipe::deserialize(Value::Table(recipe)) else { return Vec::new() };
    let error = error.to_string();
    // The lines after the first one name the place.
    let (_, list) = error
        .lines()
        .next()
        .unwrap_or_default()
        .split_once("expected")
        .unwrap_or_else(|| panic!("no list of fields in: {error}"));
    list.split('`').skip(1).step_by(2).map(String::from).collect()
}

#[test]
fn every_field_is_a_key() {
    let unknown = |recipe: &Recipe, table: &str| {
        let mut recipe = table_of(recipe).unwrap();
        let at = match table {
            "" => &mut recipe,
            _ => recipe.entry(table).or_insert_with(|| Value::Table(Table::new())).as_table_mut().unwrap(),
        };
        at.insert("zzz".into(), Value::Boolean(true));
        fields(recipe)
    };
    let stored = |name: &str| {
        KEYS.iter()
            .any(|key| key.stored == name || key.stored.starts_with(&format!("{name}.")) || key.stored == format!("{name}.*"))
    };
    let all = by_name("paper").unwrap();
    let top = unknown(&all, "");
    assert!(top.len() > 15, "{top:?}");
    for name in top {
        assert!(stored(&name), "the field `{name}` of Recipe is missing in KEYS");
    }
    // Tables with a kind, each with every one; and other tables.
    let kinds = KEYS.iter().filter_map(|key| match key.kind {
        Kind::Word(words) => Some((key.name.strip_suffix(".kind")?, words)),
        _ => None,
    });
    for (table, words) in kinds {
        for word in words {
            let recipe = all.clone().set(&format!("{table}.kind={word}")).unwrap();
            for field in unknown(&recipe, table).iter().filter(|field| *field != "kind") {
                let name = format!("{table}.{field}");
                // One struct has the fields of all crops, and its check refuses those of others.
                let is_shared = table == "augment";
                let known = of_name(&name).iter().any(|key| is_shared || key.only.is_empty() || key.only.contains(word));
                assert!(known, "the field `{name}` of kind {word} is missing in KEYS");
            }
        }
    }
    for field in unknown(&all, "loss") {
        assert!(!of_name(&format!("loss.{field}")).is_empty(), "the field `loss.{field}` is missing in KEYS");
    }
    for key in KEYS.iter().filter(|key| key.kind == Kind::Table) {
        let recipe = edit_table(&all, key.name);
        for field in unknown(&recipe, key.stored) {
            let name = format!("{}.{field}", key.name);
            assert!(!of_name(&name).is_empty(), "the field `{name}` is missing in KEYS");
        }
    }
    // Two keys of one name differ in their kinds of table.
    for (i, key) in KEYS.iter().enumerate() {
        for other in &KEYS[..i] {
            let apart = !key.only.is_empty() && !key.only.iter().any(|word| other.only.contains(word));
            assert!(key.name != other.name || apart, "{} twice", key.name);
        }
    }
}

/// A recipe in which an optional table is present.
fn edit_table(recipe: &Recipe, name: &str) -> Recipe {
    Recipe::parse(&format!("base = \"{}\"\n[{name}]\n", recipe.name), "x.toml").unwrap()
}

#[test]
fn the_guide_s_page_is_what_the_table_makes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/recipes.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (text, _) = page.split_once(PAGE_START).expect("the line from which on the page is generated");
    let wanted = format!("{text}{PAGE_START}\n\n{}", markdown().unwrap());
    if page != wanted {
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, wanted).unwrap();
            return;
        }
        panic!("docs/guide/recipes.md is not up to date; run: UPDATE_DOCS=1 cargo test -p alexnet --lib recipe::keys");
    }
}

#[test]
fn every_preset_passes_the_checks_of_its_keys() {
    for name in NAMES {
        check(&by_name(name).unwrap(), &[]).unwrap();
    }
    let error = check(&Recipe { bias_weight_decay: -1.0, ..by_name("simple").unwrap() }, &[]).unwrap_err().to_string();
    assert_eq!(error, "invalid recipe: bias_weight_decay = -1.0: expected a number of at least 0");
}
