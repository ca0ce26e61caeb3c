//! Recipes: listed, shown, compared, from files, changed on the command line, and given back from a run.

use super::*;

#[test]
fn recipes_are_listed_shown_and_compared() {
    let list: serde_json::Value = serde_json::from_str(&done(&["recipes", "--json"])).expect("JSON");
    assert_eq!((list.as_array().expect("recipes").len(), &list[0]["name"]), (10, &"quick".into()));
    assert!(done(&["recipes"]).contains("paper"));
    assert_eq!(done(&["recipes", "list"]), done(&["recipes"]));
    let json = |arguments: &[&str]| serde_json::from_str::<serde_json::Value>(&done(arguments)).expect("JSON");
    let shown = json(&["-q", "recipes", "show", "paper", "--json"]);
    assert_eq!((&shown["images"], &shown["schedule"]["times"]), (&"mean_image".into(), &3.into()));
    let differences = json(&["recipes", "diff", "quick", "simple", "--json"]);
    assert!(differences.as_array().expect("rows").contains(&serde_json::json!({ "key": "epochs", "a": 30, "b": 24 })));
    assert_eq!(json(&["recipes", "--json", "diff", "quick", "quick"]), serde_json::json!([]));
    assert_eq!(done(&["recipes", "diff", "-q", "quick", "quick"]), "");
    let keys = json(&["recipes", "keys", "--json"]);
    assert!(keys.as_array().expect("keys").iter().any(|key| key["key"] == "optimizer.beta1" && key["kinds"][0] == "adamw"));
    let shown = done(&["recipes", "show", "caffe"]);
    assert!(shown.contains("\nname = \"caffe\" ") && shown.contains("\n[schedule]\n"), "{shown}");
    assert!(done(&["recipes", "diff", "quick", "simple"]).contains("schedule.kind"));
    assert_eq!(done(&["recipes", "diff", "quick", "quick"]), "the recipes are equal\n");
    assert!(done(&["recipes", "keys"]).contains("| `optimizer.momentum`, `momentum` |"));
    fails(1, &["recipes", "show", "quik"], &["unknown recipe `quik`; did you mean quick?"]);
    fails(1, &["recipes", "show", "no/such.toml"], &["no/such.toml"]);
}

#[test]
fn a_run_takes_a_recipe_file_and_changes_and_gives_its_recipe_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).to_str().expect("a plain path").to_string();
    std::fs::write(at("mine.toml"), "epochs = 3\nlr = 0.02\nmomentum = 0.8\n").expect("a file");
    let small = ["-q", "train", "--net", "caffenet", "--image-size", "67", "--batch", "4", "--max-steps", "1", "--no-report"];
    let run = |more: &[&str]| done(&[small.as_slice(), more].concat());
    let (mine, first, second) = (at("mine.toml"), at("first"), at("second"));
    run(&["--recipe", &mine, "--set", "lr=0.005", "--set", "schedule.kind=constant", "--epochs", "2", "--out", &first]);
    let config = std::fs::read_to_string(at("first/config.toml")).expect("the settings");
    for line in ["name = \"mine\"", "epochs = 2", "lr = 0.005", "momentum = 0.8", "kind = \"constant\""] {
        assert!(config.contains(line), "no {line} in {config}");
    }
    // Given back, the recipe is the same, and so is the model.
    let given = done(&[
        "-q",
        "train",
        "--net",
        "caffenet",
        "--image-size",
        "67",
        "--max-steps",
        "1",
        "--no-report",
        "--recipe",
        &first,
        "--out",
        &second,
    ]);
    assert!(given.contains("1 step in"), "{given}");
    for file in ["config.toml", "recipe.toml", "last.safetensors"] {
        let read = |run: &str| std::fs::read(at(&format!("{run}/{file}"))).expect("a file");
        assert!(read("first") == read("second"), "{file} differs");
    }
    let resume = |more: &[&str], parts: &[&str]| fails(1, &[&["train", "--resume", &first], more].concat(), parts);
    resume(&["--set", "lr=0.1"], &["--set lr=0.1", "omit the option"]);
    resume(&["--recipe", &mine], &["another recipe", "omit the option"]);
    done(&["-q", "train", "--resume", &first, "--set", "momentum=0.8", "--max-steps", "1", "--no-report"]);

    fails(1, &["train", "--set", "momentun=0.8"], &["--set momentun=0.8: unknown key `momentun`", "did you mean `momentum`?"]);
    fails(1, &["train", "--set", "momentum=0.8", "--optimizer", "adamw"], &["only with optimizer.kind = sgd"]);
    fails(1, &["train", "--set", "=3"], &["--set =3: expected key=value"]);
    fails(1, &["train", "--set", "seed=3"], &["not part of a recipe", "--seed"]);
    fails(1, &["data", "preview", "--set", "momentum=2"], &["--set momentum=2: expected a number from 0 to below 1"]);
    fails(1, &["train", "--recipe", at("mine.toml").trim_end_matches(".toml")], &["did you mean the file ", "mine.toml?"]);
    std::fs::write(at("bad.toml"), "# mine\nepochs = \"ten\"\n").expect("a file");
    fails(1, &["train", "--recipe", &at("bad.toml")], &["bad.toml, line 2: epochs = \"ten\": expected a whole number"]);
}
