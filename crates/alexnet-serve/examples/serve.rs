//! Serves a model file over HTTP: `cargo run --release -p alexnet-serve --example serve -- best.safetensors`.

use alexnet_serve::{Error, ModelFile, Server, Settings};

fn main() -> Result<(), Error> {
    let model = std::env::args().nth(1).expect("usage: serve MODEL");
    let server = Server::start(Settings::new(vec![ModelFile::new("alexnet", model)]))?;
    println!("http://{} until Ctrl-C", server.address());
    server.run()
}
