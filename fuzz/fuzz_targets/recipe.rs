//! Recipe files: any text is a valid recipe or an error.
#![no_main]

use alexnet::train::recipe::Recipe;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(recipe) = Recipe::parse(&String::from_utf8_lossy(bytes), "recipe.toml") {
        recipe.check().expect("a recipe that was read is valid");
        let again = Recipe::parse(&recipe.to_toml().expect("text"), "recipe.toml").expect("its own file is read");
        assert_eq!(again, recipe);
    }
});
