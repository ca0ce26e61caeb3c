//! Published weights by name, from a server on this machine.

use alexnet_testkit::http_server::{Server, Step, answer, cut, rest, whole};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The published heads of LPIPS.
const HEADS: &[u8] = include_bytes!("../../../alexnet/src/lpips/alex.pth");
/// A small net exported by PyTorch.
const SMALL: &[u8] = include_bytes!("../../../alexnet-formats/tests/fixtures/norm_script.onnx");

/// The program with this cache folder and nothing else from the environment.
fn program(cache: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_alexnet"));
    for name in
        ["ALEXNET_MIRROR", "ALEXNET_NO_VERIFY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"]
    {
        program.env_remove(name);
    }
    program.env("ALEXNET_CACHE", cache).envs(variables.iter().copied()).args(arguments).stdin(Stdio::null());
    program
}

/// Runs the program: exit status, standard output and standard error.
fn run(cache: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = program(cache, variables, arguments).output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (status.code(), text(&stdout), text(&stderr))
}

#[cfg(feature = "download")]
#[test]
fn weights_are_pulled_once_and_then_found_without_a_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    let (status, list, _) = run(&cache, &[], &["pull"]);
    assert_eq!(status, Some(0));
    assert!(list.contains("torchvision  244,408,911  BSD-3-Clause  no") && list.contains("cache folder: "), "{list}");
    assert!(!cache.exists(), "a list creates nothing");

    let server = Server::start(|_, _| whole(HEADS));
    let mirror = server.address();
    let pull = ["pull", "lpips"];
    let (status, line, notes) = run(&cache, &[("ALEXNET_MIRROR", &mirror)], &pull);
    assert_eq!(status, Some(0), "{notes}");
    assert!(line.starts_with("lpips: ") && line.contains("alex.pth, 6,009 bytes, sha256 df73285e"), "{line}");
    assert_eq!(notes, format!("downloading {mirror}/alex.pth\n"));
    assert_eq!(run(&cache, &[], &pull), (Some(0), line, String::new()));
    assert_eq!(server.requests().len(), 1);

    let (_, json, _) = run(&cache, &[], &["pull", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let row = |name: &str| rows.as_array().expect("rows").iter().find(|row| row["name"] == name).expect("a row").clone();
    assert_eq!(row("lpips")["cached"]["published"], true);
    assert_eq!(row("lpips")["cached"]["url"], format!("{mirror}/alex.pth"));
    assert!(row("torchvision")["cached"].is_null() && row("bvlc")["bytes"].is_null());
    let (_, list, _) = run(&cache, &[], &["pull"]);
    assert!(list.contains("lpips              6,009  BSD-2-Clause  yes"), "{list}");
}

#[cfg(feature = "download")]
#[test]
fn a_mirrors_other_file_is_refused_unless_wanted_and_marked_then() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(|_, _| whole(SMALL));
    let mirror = server.address();
    let mirrored = [("ALEXNET_MIRROR", &*mirror)];
    let inspect = ["inspect", "torchvision", "--json"];
    let (status, _, error) = run(folder.path(), &mirrored, &inspect);
    assert_eq!(status, Some(1));
    assert!(error.contains("is not the published file") && error.contains("--no-verify"), "{error}");

    // In one command.
    let all = [mirrored[0], ("ALEXNET_NO_VERIFY", "1")];
    let (status, found, notes) = run(folder.path(), &all, &inspect);
    assert_eq!(status, Some(0), "{notes}");
    assert!(notes.contains(&format!("is not the published torchvision but another file, from {mirror}/")), "{notes}");
    // Then without the server and without the variable, still with the note.
    assert_eq!(
        run(folder.path(), &[], &inspect),
        (Some(0), found.clone(), notes.lines().last().expect("a note").to_string() + "\n")
    );

    // With its checksum, from an address, into another folder.
    let sha256 = serde_json::from_str::<serde_json::Value>(&found).expect("JSON")["sha256"].as_str().expect("text").to_string();
    let other = folder.path().join("other");
    let url = format!("{mirror}/mine.onnx");
    let pull = ["-q", "pull", "torchvision", "--url", &url, "--sha256", &sha256];
    let (status, line, notes) = run(&other, &[], &pull);
    assert_eq!(status, Some(0), "{notes}");
    assert!(line.contains(&sha256) && notes.starts_with("note: ") && notes.lines().count() == 1, "{line}{notes}");
    let (status, _, error) = run(&other, &[], &["pull", "lpips", "bvlc", "--url", &url]);
    assert!(status == Some(1) && error.contains("pull one name at a time"), "{error}");
    let (status, _, error) = run(&other, &[], &["pull", "lpips", "--sha256", "12"]);
    assert!(status == Some(2) && error.contains("64 hexadecimal digits"), "{error}");
}

#[test]
fn a_wrong_name_is_told_from_a_missing_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = |name: &str| {
        let (status, _, error) = run(folder.path(), &[], &["inspect", name]);
        assert_eq!(status, Some(1), "{error}");
        error
    };
    assert_eq!(
        error("torchvison"),
        "error: torchvison: No such file, and no published weights are called \"torchvison\"; did you mean torchvision?\n"
    );
    assert!(error("resnet50").contains("the names are torchvision, bvlc, caffenet"));
    assert!(error("models/torchvision").starts_with("error: models/torchvision: No such file or directory"));
    assert!(error("torchvision.pth").starts_with("error: torchvision.pth: No such file or directory"));
    assert!(error("alexnet-owt-7be5be79.pth").contains("for the published one, give its name: torchvision"));
    let (status, _, usage) = run(folder.path(), &[], &["pull", "cafenet"]);
    assert!(status == Some(2) && usage.contains("caffenet"), "{usage}");
}

#[cfg(feature = "download")]
#[test]
fn an_offline_machine_is_told_what_to_put_where_and_uses_it() {
    let folder = tempfile::tempdir().expect("a folder");
    // A port that nobody listens on.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let mirror = format!("http://{free}");
    let (status, _, error) = run(folder.path(), &[("ALEXNET_MIRROR", &mirror)], &["pull", "lpips"]);
    let place = folder.path().join("alex.pth");
    assert!(status == Some(1) && error.trim_end().ends_with(&format!(" as {}", place.display())), "{error}");
    assert!(
        error.contains("save https://github.com/") && error.contains("sha256 df73285e") && error.lines().count() == 1,
        "{error}"
    );
    std::fs::write(&place, HEADS).expect("a file");
    let (status, line, notes) = run(folder.path(), &[("ALEXNET_MIRROR", &mirror)], &["pull", "lpips"]);
    assert!(status == Some(0) && line.contains("df73285e") && notes.is_empty(), "{notes}");
}

/// Ctrl-C, and a kill without a chance to react.
#[cfg(all(unix, feature = "download"))]
#[test]
fn an_interrupted_pull_resumes() {
    // SIGINT is ignored where the tests were started in the background.
    for signal in ["-TERM", "-KILL"] {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(|number, request| match number {
            0 => [cut(HEADS, 3000), vec![Step::Wait(Duration::from_secs(60))]].concat(),
            _ => rest(HEADS, request.from()),
        });
        let mirror = server.address();
        let mut first =
            program(folder.path(), &[("ALEXNET_MIRROR", &mirror)], &["-q", "pull", "lpips"]).spawn().expect("a process");
        let part = folder.path().join("alex.pth.part");
        let start = Instant::now();
        while part.metadata().map_or(0, |about| about.len()) < 3000 {
            assert!(start.elapsed() < Duration::from_secs(60), "no data arrived");
            std::thread::sleep(Duration::from_millis(5));
        }
        let sent = Command::new("kill").args([signal, &first.id().to_string()]).status().expect("kill");
        assert!(sent.success());
        let status = first.wait().expect("a status");
        assert_eq!(status.code(), (signal == "-TERM").then_some(130));
        let (status, line, notes) = run(folder.path(), &[("ALEXNET_MIRROR", &mirror)], &["pull", "lpips"]);
        assert!(status == Some(0) && line.contains("df73285e"), "{notes}");
        assert!(notes.contains("from byte 3,000 on"), "{notes}");
        assert_eq!(server.requests()[1].header("range"), Some("bytes=3000-"));
    }
}

#[cfg(feature = "download")]
#[test]
fn a_proxy_of_the_environment_is_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let proxy = Server::start(|_, request| match request.path() {
        "weights.example:80" => [vec![Step::Send(b"HTTP/1.1 200 OK\r\n\r\n".into()), Step::Read], whole(HEADS)].concat(),
        _ => answer("403 Forbidden", "", b""),
    });
    let address = proxy.address();
    let pull = |url: &str, variable: &str| run(folder.path(), &[(variable, &address)], &["pull", "lpips", "--url", url]);
    let (status, line, error) = pull("http://weights.example/alex.pth", "http_proxy");
    assert!(status == Some(0) && line.contains("df73285e"), "{error}");
    let (status, _, error) = pull("http://other.example/alex.pth", "ALL_PROXY");
    assert!(status == Some(1) && error.contains("the proxy refused the connection to other.example"), "{error}");
    assert_eq!(proxy.requests().len(), 2);
}
