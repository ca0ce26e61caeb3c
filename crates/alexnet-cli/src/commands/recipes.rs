//! `alexnet recipes`: training recipes, listed, shown and compared.

use crate::output::{self, Align};
use alexnet::train::recipe::keys::{self, KEYS, Key};
use alexnet::train::recipe::{self, Recipe};
use serde_json::json;

/// Options of `alexnet recipes`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the recipes that come with the program, as without a subcommand
    List,
    /// Print a recipe as a file, with a comment for every key
    Show {
        /// Name, file, or folder of a run
        #[arg(value_name = "NAME|FILE|RUN")]
        recipe: String,
    },
    /// Print the keys in which two recipes differ
    Diff {
        /// Name, file, or folder of a run
        #[arg(value_name = "A")]
        a: String,
        /// Another one
        #[arg(value_name = "B")]
        b: String,
    },
    /// Print the table of all keys: values, defaults, meanings
    Keys,
}

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    match &args.command {
        None | Some(Command::List) => list(args.json),
        Some(Command::Show { recipe }) => {
            let recipe = Recipe::open(recipe)?;
            if args.json { output::print_json(&recipe.to_json()?) } else { output::print(&recipe.to_toml()?) }
        }
        Some(Command::Diff { a, b }) => diff([a, b], args.json, quiet),
        Some(Command::Keys) if args.json => output::print_json(&KEYS.iter().map(about).collect::<Vec<_>>()),
        Some(Command::Keys) => output::print(&keys::markdown()?),
    }
}

fn list(json: bool) -> anyhow::Result<()> {
    let recipes = recipe::NAMES.map(|name| recipe::by_name(name).map(|recipe| (name, recipe)));
    let recipes = recipes.into_iter().collect::<Result<Vec<_>, _>>()?;
    if json {
        let all: Vec<_> = recipes
            .iter()
            .map(|(name, recipe)| json!({ "name": name, "about": recipe::summary(name), "recipe": recipe }))
            .collect();
        return output::print_json(&all);
    }
    let mut rows = vec![["recipe", "epochs", "batch", "rate", "optimizer", ""].map(String::from)];
    rows.extend(recipes.iter().map(|(name, recipe)| {
        let (epochs, batch, lr) = (recipe.epochs.to_string(), recipe.batch.to_string(), recipe.lr.to_string());
        [name.to_string(), epochs, batch, lr, recipe.optimizer.name().into(), recipe::summary(name).into()]
    }));
    use Align::{Left, Right};
    output::print(&output::table([Left, Right, Right, Right, Left, Left], &rows))
}

fn diff(names: [&str; 2], json: bool, quiet: bool) -> anyhow::Result<()> {
    let [a, b] = [Recipe::open(names[0])?, Recipe::open(names[1])?];
    let differences = a.differences(&b)?;
    if json {
        // TOML writes these values as JSON does, except text with quotes, which stays as it is.
        let value = |text: &str| match text {
            "-" => serde_json::Value::Null,
            _ => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        };
        let rows = differences.iter().map(|[key, a, b]| json!({ "key": key, "a": value(a), "b": value(b) }));
        return output::print_json(&rows.collect::<Vec<_>>());
    }
    if differences.is_empty() {
        return if quiet { Ok(()) } else { output::print("the recipes are equal\n") };
    }
    let mut rows = vec![["key", names[0], names[1]].map(String::from)];
    rows.extend(differences);
    output::print(&output::table([Align::Left; 3], &rows))
}

/// A key as JSON.
fn about(key: &Key) -> serde_json::Value {
    let default = Some(key.default).filter(|default| !default.is_empty());
    json!({
        "key": key.name, "aliases": key.aliases, "value": key.accepts(), "default": default, "kinds": key.only, "meaning": key.meaning,
    })
}
