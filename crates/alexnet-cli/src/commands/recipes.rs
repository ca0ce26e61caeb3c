//! `alexnet recipes`: training recipes, listed, shown and compared.

use crate::output::{self, Align};
use alexnet::train::recipe::{self, Recipe, keys};
use serde_json::json;

/// Options of `alexnet recipes`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print one JSON document instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Command {
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

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        None => list(args.json),
        Some(Command::Show { recipe }) => output::print(&Recipe::open(recipe)?.to_toml()?),
        Some(Command::Diff { a, b }) => diff(a, b),
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

fn diff(a: &str, b: &str) -> anyhow::Result<()> {
    let differences = Recipe::open(a)?.differences(&Recipe::open(b)?)?;
    let mut rows = vec![["key".to_string(), a.to_string(), b.to_string()]];
    rows.extend(differences);
    if rows.len() == 1 {
        return output::print("the recipes are equal\n");
    }
    output::print(&output::table([Align::Left; 3], &rows))
}
