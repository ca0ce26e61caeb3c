//! `alexnet nets`: the presets.

/// Options of `alexnet nets`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// One JSON document instead of a table.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let net = alexnet::net::presets::by_name("torchvision")?;
    if args.json {
        println!("{}", serde_json::to_string(&net)?);
    } else {
        println!("{}", net.name);
    }
    Ok(())
}
