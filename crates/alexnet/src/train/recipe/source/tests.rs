//! Recipe files: what they may say, and how they fail.

use super::*;
use crate::train::recipe::{Augmentation, BiasRate, ClassWeights, Colour, CropKind, Schedule, Sgd};
use proptest::prelude::*;

fn read(text: &str) -> Result<Recipe> {
    Recipe::parse(text, "my.toml")
}

#[test]
fn a_file_changes_its_base() {
    let quick = by_name("quick").unwrap();
    assert_eq!(read("").unwrap(), Recipe { name: "my".into(), ..quick.clone() });
    let text = r#"
        base = "paper"
        epochs = 20
        momentum = 0.8          # an alias
        lr = 1                  # an integer for a number
        images = "mean_image"
        schedule.kind = "warmup_poly"
        schedule.power = 3
        [augment]
        kind = "random_resized_crop"
        scale = [0.5, 1]
        [colour]
        sigma = 0.05
        [layer_rates]
        head = 10
        conv1 = 0.5
    "#;
    let paper = by_name("paper").unwrap();
    let wanted = Recipe {
        name: "my".into(),
        epochs: 20,
        lr: 1.0,
        optimizer: Sgd { momentum: 0.8, ..Sgd { form: crate::train::recipe::MomentumForm::RateInside, ..Sgd::default() } }.into(),
        schedule: Schedule::WarmupPoly { epochs: 5.0, power: 3.0 },
        augment: Augmentation {
            kind: CropKind::RandomResizedCrop,
            scale: Some([0.5, 1.0]),
            ratio: Some([3.0 / 4.0, 4.0 / 3.0]),
            ..Augmentation::none()
        },
        colour: Some(Colour { sigma: 0.05, ..paper.colour.unwrap() }),
        layer_rates: [("head".to_string(), 10.0), ("conv1".to_string(), 0.5)].into(),
        ..paper.clone()
    };
    assert_eq!(read(text).unwrap(), wanted);
    // Keys of another kind come with their kind, in any order; shared ones keep their values.
    let plateau = read("schedule.by = 2\nschedule.kind = \"plateau\"").unwrap();
    assert_eq!(plateau.schedule, Schedule::Plateau { patience: 5, by: 2.0, times: 3 });
    let steps = read("base = \"simple\"\nschedule = \"plateau\"").unwrap();
    assert_eq!(steps.schedule, Schedule::Plateau { patience: 5, by: 10.0, times: 3 });
    // Another optimizer scales the learning rate, unless the file states it.
    assert_eq!(read("base = \"simple\"\noptimizer = \"adamw\"").unwrap().lr, 0.001);
    assert_eq!(read("optimizer = \"adamw\"\nlr = 0.01\nbeta1 = 0.8").unwrap().lr, 0.01);
    assert_eq!(read("base = \"large-batch\"\nbatch = 512").unwrap().lr, 0.5);
    // Weights of single classes replace those of all, and the other way.
    let weights = read("class_weights = \"auto\"\nclass_weights.dress = 2").unwrap_err().to_string();
    assert!(weights.contains("line 2"), "{weights}");
    let weighted = |recipe: Recipe, set: &str| recipe.set(set).unwrap();
    let auto = weighted(quick.clone(), "class_weights=auto");
    let given = weighted(auto.clone(), "class_weights.t-shirt=2");
    assert_eq!(given.loss.class_weights, Some(ClassWeights::Given([("t-shirt".to_string(), 2.0)].into())));
    assert_eq!(weighted(given.clone(), "loss.class_weights=auto").loss, auto.loss);
    // Names may have any characters, quoted as in TOML where they need it.
    let any = weighted(auto.clone(), "class_weights.\"a=b.c\" = 2");
    assert_eq!(any.loss.class_weights, Some(ClassWeights::Given([("a=b.c".to_string(), 2.0)].into())));
    assert_eq!(weighted(auto.clone(), "class_weights.b.c=2").loss, read("class_weights.\"b.c\" = 2").unwrap().loss);
    let both = weighted(weighted(quick.clone(), "layer_rates.a.b=2"), "layer_rates.a.b=none");
    assert_eq!(both, quick);
    assert_eq!(weighted(given, "class_weights=none").loss, quick.loss);
    // What a table excludes, and what may be absent.
    assert_eq!(read("bias_lr.fixed = 0.02").unwrap().bias_lr, BiasRate::Fixed(0.02));
    assert_eq!(read("base = \"paper\"\ncolour = \"none\"").unwrap().colour, None);
    assert_eq!(read("base = \"large-batch\"\nlars_trust = \"none\"").unwrap().optimizer.lars_trust(), None);
    assert_eq!(read("[colour]").unwrap().colour, paper.colour);
    assert_eq!(quick.set("name= a b ").unwrap().name, "a b");
}

#[test]
fn a_recipe_comes_back_from_its_file() {
    let more = [
        "class_weights.t-shirt=3",
        "class_weights.v1.2 a=3",
        "loss.class_weights.\"a = \\\"b\\\".c\"=3",
        "layer_rates.features.0=0.5",
        "optimizer=adamw",
        "schedule=every",
        "schedule=constant",
        "layer_rates.fc6=0.1",
        "bias_lr.fixed=0.01",
        "views=3",
    ];
    let changed = more.iter().map(|change| by_name("quick").unwrap().set(change).unwrap());
    for recipe in NAMES.iter().map(|name| by_name(name).unwrap()).chain(changed) {
        let text = recipe.to_toml().unwrap();
        assert_eq!(read(&text).unwrap(), recipe, "{text}");
        assert!(text.lines().skip(2).all(|line| line.is_empty() || line.starts_with('[') || line.contains("  # ")), "{text}");
    }
    let finetune = by_name("finetune").unwrap();
    let text = finetune.to_toml().unwrap();
    assert!(text.contains("lr = 0.001                            # initial learning rate"), "{text}");
    let rows = finetune.differences(&finetune.clone().set("schedule=constant").unwrap()).unwrap();
    assert_eq!(rows, [["schedule.kind", "\"warmup_cosine\"", "\"constant\""], ["schedule.warmup", "0.05", "-"]]);
}

#[test]
fn what_is_stated_stays_and_the_rest_follows() {
    let folder = tempfile::tempdir().unwrap();
    let chosen = |text: &str, base: &'static str, changes: &[&str]| {
        let path = folder.path().join("mine.toml");
        std::fs::write(&path, text).unwrap();
        let changes = changes.iter().map(|change| Change::parse(change, "--set").unwrap()).collect();
        Chosen::open(path.to_str().unwrap(), base).unwrap().with(changes).unwrap()
    };
    let lr = |text: &str, changes: &[&str]| chosen(text, "quick", changes).recipe.lr;
    assert_eq!(lr("base = \"simple\"", &["optimizer=adamw"]), 0.001);
    assert_eq!(lr("lr = 0.02", &["optimizer=adamw"]), 0.02);
    assert_eq!(lr("optimizer = \"adamw\"\nlr = 0.02", &["optimizer=sgd"]), 0.02);
    assert_eq!(lr("lr = 0.02", &["optimizer=adamw", "lr=0.03"]), 0.03);
    assert_eq!(lr("base = \"large-batch\"\nlr = 4", &["batch=512"]), 4.0);
    // Superseded keys are no longer stated, so that the rest can be stated again of another recipe.
    let adamw = chosen("momentum = 0.8\nlr = 0.02", "quick", &["optimizer=adamw"]);
    assert!(adamw.states("lr") && !adamw.states("optimizer.momentum"));
    assert_eq!(adamw.restate(by_name("simple").unwrap()).unwrap().lr, 0.02);
    // Biases decay as the weights do, where they did.
    let decays = |text: &str, changes: &[&str]| {
        let recipe = chosen(text, "simple", changes).recipe;
        (recipe.weight_decay, recipe.bias_weight_decay)
    };
    assert_eq!(decays("weight_decay = 0.01", &[]), (0.01, 0.01));
    assert_eq!(decays("weight_decay = 0.01", &["weight_decay=0.02"]), (0.02, 0.02));
    assert_eq!(decays("weight_decay = 0.01\nbias_weight_decay = 0", &[]), (0.01, 0.0));
    assert_eq!(decays("bias_weight_decay = 5e-4", &["weight_decay=0.02"]), (0.02, 5e-4));
    assert_eq!(decays("base = \"paper\"\nweight_decay = 0.01", &[]), (0.01, 0.0));
    // The base of a file without one is the default recipe.
    assert_eq!(chosen("epochs = 3", "finetune", &[]).base, Some("finetune"));
    assert_eq!(chosen("epochs = 3", "finetune", &[]).recipe.layer_rates["head"], 10.0);
    assert_eq!(chosen("base = \"simple\"", "finetune", &[]).base, Some("simple"));
    let path = folder.path().join("mine.toml");
    std::fs::write(&path, "lr = 0.02").unwrap();
    let settings = crate::train::Settings::default().recipe(path.to_str().unwrap()).optimizer("adamw");
    for (tunes, base) in [(true, "finetune"), (false, "quick")] {
        let chosen = crate::train::resolve::choose(&settings, tunes).unwrap();
        assert_eq!((chosen.base, chosen.recipe.lr, chosen.recipe.optimizer.name()), (Some(base), 0.02, "adamw"));
    }
    // Without batch normalisation, what is not stated is that of plain nets.
    let resolved = |net: &str, changes: &[&str]| {
        let plain = crate::train::Settings::default().net(net);
        let settings = changes.iter().fold(plain, |settings, change| settings.set(*change));
        let chosen = crate::train::resolve::choose(&settings, false).unwrap();
        let recipe = crate::train::resolve::anew(&settings, &chosen, None).unwrap().recipe;
        (recipe.batch_norm, recipe.batch, recipe.lr, recipe.augment.short_side)
    };
    // Random crops come from images of 1.5 times the size, 96 for the built-in set.
    assert_eq!(resolved("torchvision", &[]), (true, 64, 0.04, Some(144)));
    assert_eq!(resolved("torchvision", &["augment.short_side=none"]), (true, 64, 0.04, None));
    assert_eq!(resolved("alexnet-bn", &[]), (false, 32, 0.003, None));
    assert_eq!(resolved("torchvision", &["batch_norm=false"]), (false, 32, 0.003, None));
    assert_eq!(resolved("torchvision", &["batch_norm=false", "lr=0.01"]), (false, 32, 0.01, None));
    // Changes of open_with come in any order.
    let changes = ["augment.scale=[0.5, 1]", "augment.kind=random_resized_crop"].map(String::from);
    assert_eq!(Recipe::open_with("quick", &changes).unwrap().augment.scale, Some([0.5, 1.0]));
    // Switches of tables.
    let quick = by_name("quick").unwrap();
    let ema = quick.clone().set("ema=true").unwrap();
    assert_eq!(ema.ema, Some(crate::train::recipe::Ema::default()));
    assert_eq!((ema.set("ema=false").unwrap(), read("ema = true\nema.decay = 0.9").is_err()), (quick, true));
}

#[test]
fn a_file_s_name_without_its_ending_is_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine");
    std::fs::write(path.with_extension("toml"), "lr = 0.5").unwrap();
    let message = Recipe::open(path.to_str().unwrap()).unwrap_err().to_string();
    assert!(message.contains("did you mean the file ") && message.ends_with("mine.toml?"), "{message}");
}

/// Mistakes that people make, each with what the error says.
const TYPOS: [(&str, &[&str]); 26] = [
    ("epochs = 10\nmomentun = 0.8", &["my.toml, line 2: unknown key `momentun`", "did you mean `momentum`?"]),
    ("epoch = 10", &["line 1: unknown key `epoch`", "`epochs`"]),
    ("epochs = \"ten\"", &["line 1: epochs = \"ten\": expected a whole number from 1"]),
    ("lr = 0,01", &["line 1: not TOML"]),
    ("\n\nlr = -0.1", &["line 3: lr = -0.1: expected a number above 0"]),
    ("batch = 32.5", &["line 1: batch = 32.5: expected a whole number"]),
    ("base = \"quik\"", &["line 1: unknown base `quik`", "did you mean quick?"]),
    ("drop_last = yes", &["line 1: not TOML"]),
    ("drop_last = \"yes\"", &["line 1: drop_last = \"yes\": expected true or false"]),
    ("[optimiser]\nmomentum = 0.8", &["line 2: unknown key `optimiser.momentum`", "`optimizer.momentum`"]),
    ("[schedule]\nkind = \"cosinus\"", &["line 2: schedule.kind = \"cosinus\": expected one of constant, steps"]),
    ("[schedule]\npatience = 5", &["line 2: schedule.patience = 5: only with schedule.kind = plateau, but here it is"]),
    ("optimizer = \"adamw\"\nmomentum = 0.9", &["line 2: momentum = 0.9: only with optimizer.kind = sgd, but here it is adamw"]),
    ("lr = 0.1\nlr = 0.2", &["line 2: not TOML: duplicate key"]),
    ("momentum = 0.1\n[optimizer]\nmomentum = 0.2", &["`optimizer.momentum` is stated twice", "`momentum`"]),
    ("init = he", &["line 1: not TOML"]),
    ("lr = 5000", &["line 1: lr = 5000: expected a number above 0 to 1000"]),
    ("ema = 0.999", &["line 1: ema = 0.999: expected true or none; its keys are `ema.decay`"]),
    ("[scheduler]\nkind = \"cosine\"", &["line 2: unknown key `scheduler.kind`; did you mean `schedule.kind`?"]),
    ("[optimizer]\nlr = 0.1", &["line 2: unknown key `optimizer.lr`; did you mean `lr`, outside of any table?"]),
    ("class_weights = [1, 2]", &["line 1: class_weights = [1, 2]: expected auto, or none; the weight of a single class is"]),
    ("schedule = \"cosine\"\n[schedule]\nfinal_fraction = 0.1", &["line 2: not TOML", "[schedule], as kind ="]),
    ("warmup_epochs = 3", &["warmup_epochs: this schedule has a warm-up of its own, schedule.warmup; set that"]),
    ("augment.auto_magnitude = 31", &["augment.auto_magnitude = 31: expected a whole number from 0 to 30"]),
    ("optimizer = \"adam\"", &["line 1: optimizer = \"adam\": expected sgd or adamw; did you mean adamw?"]),
    ("base = \"other.toml\"", &["line 1: base = \"other.toml\": a base is the name of a recipe, not a file"]),
];

#[test]
fn typical_mistakes_are_named_with_their_line() {
    for (text, parts) in TYPOS {
        let message = read(text).expect_err(text).to_string();
        for part in parts {
            assert!(message.contains(part), "{text:?}: no {part:?} in: {message}");
        }
        assert!(message.starts_with("my.toml") && !message.contains('\n'), "{message}");
    }
    let set = |text: &str| by_name("simple").unwrap().set(text).expect_err(text).to_string();
    assert!(set("momentum").contains("expected key=value"));
    assert_eq!(set("momentum=2"), "set momentum=2: expected a number from 0 to below 1");
    assert!(set("nestrov=true").contains("unknown key"), "{}", set("nestrov=true"));
    // A file that states every key states them all.
    let complete = by_name("quick").unwrap().to_toml().unwrap();
    let without = complete.lines().filter(|line| !line.starts_with("epochs")).collect::<Vec<_>>().join("\n");
    assert!(read(&without).unwrap_err().to_string().contains("`epochs` is missing"));
}

#[test]
fn names_files_and_runs_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    std::fs::write(at("mine.toml"), "lr = 0.5").unwrap();
    assert_eq!((Recipe::open(&at("mine.toml")).unwrap().lr, Recipe::open("paper").unwrap().name), (0.5, "paper".into()));
    assert!(Recipe::open("papper").unwrap_err().to_string().contains("did you mean paper?"));
    assert!(Recipe::open(&at("none.toml")).unwrap_err().to_string().contains("none.toml"));
    assert!(Recipe::open(&at("")).unwrap_err().to_string().contains("no recipe here"));
    std::fs::write(at("recipe.toml"), by_name("caffe").unwrap().to_toml().unwrap()).unwrap();
    assert_eq!(Recipe::open(&at("")).unwrap(), by_name("caffe").unwrap());
    std::fs::write(at("large.toml"), vec![b'#'; 1 << 20]).unwrap();
    assert!(Recipe::from_file(at("large.toml")).unwrap_err().to_string().contains("not a recipe"));
}

proptest! {
    /// Any text is a valid recipe or an error.
    #[test]
    fn any_text_is_a_recipe_or_an_error(text in "\\PC{0,60}") {
        let _ = read(&text).map(|recipe| recipe.check().unwrap());
    }

    /// So is every line made of a key and something.
    #[test]
    fn any_value_of_any_key_is_a_recipe_or_an_error(
        changes in prop::collection::vec((0..super::super::keys::KEYS.len(), prop_oneof![
            "-?[0-9]{1,20}", "-?[0-9]{1,3}\\.[0-9]{1,3}", "\"[a-z_]{0,8}\"", Just("nan".to_string()), Just("\"none\"".to_string()),
            Just("[]".to_string()), "\\[[0-9.]{1,4}, [0-9.]{1,4}\\]", Just("{}".to_string()), Just("1979-05-27".to_string()),
            Just("true".to_string()), Just("{ a = 1 }".to_string()), Just("[[1, 2]]".to_string()),
        ]), 0..4),
        base in prop_oneof![Just("none"), Just("quick"), Just("paper"), Just("large-batch")],
    ) {
        let line = |(key, value): &(usize, String)| format!("{} = {value}\n", super::super::keys::KEYS[*key].name.replace('*', "a"));
        let text = format!("base = \"{base}\"\n{}", changes.iter().map(line).collect::<String>());
        if let Ok(recipe) = read(&text) {
            recipe.check().unwrap();
            prop_assert_eq!(read(&recipe.to_toml().unwrap()).unwrap(), recipe);
        }
    }

    /// Damaged files too.
    #[test]
    fn a_damaged_file_is_a_recipe_or_an_error(at in 0usize..2000, byte in any::<u8>(), keep in 0usize..2000) {
        let mut bytes = by_name("paper").unwrap().to_toml().unwrap().into_bytes();
        bytes.truncate(keep.max(1));
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = read(&String::from_utf8_lossy(&bytes)).map(|recipe| recipe.check().unwrap());
    }
}
