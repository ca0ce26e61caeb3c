//! Downloads that fail: one clear error, and nothing wrong in the cache folder.

use crate::{HEADS, download, get, hub, names};
use alexnet_hub::{Accept, Hub};
use alexnet_testkit::http_server::{Server, Step, answer, cut, redirect, rest, whole};
use std::net::TcpListener;

/// The error of a download, after which the folder holds `left`.
#[track_caller]
fn error(server: &Server, left: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let error = get(&hub(folder.path(), server)).0.expect_err("a failure");
    assert_eq!(names(folder.path()), left, "{error}");
    assert!(!error.contains('\n'), "{error}");
    error
}

#[test]
fn wrong_bytes_are_refused_with_both_checksums() {
    let mut wrong = HEADS.to_vec();
    wrong[4000] ^= 1;
    let message = error(&Server::start(move |_, _| whole(&wrong)), &[]);
    assert!(message.contains("is not the published file: the checksum is wrong: sha256 "), "{message}");
    assert!(message.contains("expected sha256 df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"), "{message}");
    assert!(
        message.contains("alexnet pull lpips --url http://127.0.0.1:") && message.ends_with("/alex.pth --no-verify"),
        "{message}"
    );
}

#[test]
fn a_wrong_size_is_refused_before_the_download() {
    let server = Server::start(|_, _| cut(&[0; 5000], 0));
    let message = error(&server, &[]);
    assert!(message.contains("has 5000 bytes, the published one 6009"), "{message}");
    assert_eq!(server.requests().len(), 1);
    let huge = Server::start(|_, _| answer("200 OK", "Content-Length: 99999999999999\r\n", b"PK"));
    let folder = tempfile::tempdir().unwrap();
    let message = download(&hub(folder.path(), &huge), &huge, Accept::Any).unwrap_err();
    assert!(message.contains("too many for an AlexNet"), "{message}");
}

#[test]
fn a_body_without_end_is_cut_off() {
    // Ten megabytes would be sent.
    let server = Server::start(|_, _| {
        let mut steps = answer("200 OK", "", HEADS);
        steps.extend((0..160).map(|_| Step::Send(vec![0; 1 << 16])));
        steps
    });
    let message = error(&server, &[]);
    assert!(message.contains("sends more than the 6009 bytes"), "{message}");
}

#[test]
fn a_short_body_without_a_length_is_not_taken_for_the_file() {
    let server = Server::start(|_, _| answer("200 OK", "", &HEADS[..3000]));
    let message = error(&server, &["alex.pth.part", "alex.pth.part.json"]);
    assert!(message.contains("cut off after 3000 of 6009 bytes; the first 3000 bytes are kept"), "{message}");
}

#[test]
fn a_download_without_progress_ends() {
    let server = Server::start(|_, _| cut(HEADS, 3000));
    let message = error(&server, &["alex.pth.part", "alex.pth.part.json"]);
    assert!(message.contains("the connection was cut off; the first 3000 bytes are kept"), "{message}");
    assert_eq!(server.requests().len(), 3, "the first one made progress");
    let broken = Server::start(|_, _| answer("500 Internal Server Error", "", b"oops"));
    let message = error(&broken, &[]);
    assert!(message.contains("the server answered 500 (internal server error)"), "{message}");
    assert_eq!(broken.requests().len(), 3);
}

#[test]
fn a_server_that_disappears_leaves_a_part() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::answering_once(cut(HEADS, 3000));
    let (result, events) = get(&hub(folder.path(), &server));
    let message = result.unwrap_err();
    assert!(message.contains("Connection refused") && message.contains("the first 3000 bytes are kept"), "{message}");
    assert_eq!((events.len(), server.requests().len()), (3, 1), "{events:?}");
    // Another mirror with another file leaves it alone, and one with the file completes it.
    let other = Server::start(|_, _| cut(&[0; 5000], 0));
    assert!(get(&hub(folder.path(), &other)).0.unwrap_err().contains("has 5000 bytes"));
    let right = Server::start(|_, request| rest(HEADS, request.from()));
    assert_eq!(get(&hub(folder.path(), &right)).1, ["from 3000 of Some(6009)"]);
}

#[test]
fn a_missing_file_says_what_to_put_where() {
    let server = Server::start(|_, _| answer("404 Not Found", "Content-Type: text/html\r\n", b"<html>no</html>"));
    let message = error(&server, &[]);
    assert!(
        message.contains("/alex.pth: the server answered 404 (not found); to install it by hand, save https://"),
        "{message}"
    );
    assert!(message.contains("(6009 bytes, sha256 df73285e") && message.ends_with("alex.pth"), "{message}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn redirects_end() {
    let server = Server::start(|number, _| redirect(&format!("/{number}")));
    assert!(error(&server, &[]).contains("more than 8 redirects"));
    assert_eq!(server.requests().len(), 9);
    let nowhere = Server::start(|_, _| redirect("ftp://example.org/alex.pth"));
    assert!(error(&nowhere, &[]).contains("redirects to \"ftp://example.org/alex.pth\", which is not an address"));
}

#[test]
fn a_sign_in_page_is_recognised() {
    let page = b"<!DOCTYPE html><title>Welcome to the hotel</title>";
    let typed = Server::start(|_, _| answer("200 OK", "Content-Type: text/html; charset=utf-8\r\n", page));
    let untyped = Server::start(|_, _| answer("200 OK", "", page));
    let redirected = Server::start(|_, request| match request.path() {
        "/login" => answer("200 OK", "Content-Type: text/html\r\n", page),
        _ => redirect("/login"),
    });
    for server in [typed, untyped, redirected] {
        let message = error(&server, &[]);
        assert!(message.contains("a web page instead of the file"), "{message}");
    }
}

#[test]
fn an_offline_machine_is_told_at_once_what_to_do() {
    // A port that nobody listens on.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::in_folder(folder.path()).with_mirror(format!("http://{free}"));
    let message = get(&hub).0.unwrap_err();
    assert!(
        message.contains("no connection to 127.0.0.1") && message.contains("to install it by hand, save https://github.com/"),
        "{message}"
    );
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_server_that_is_no_http_server_is_an_error() {
    for garbage in [&b"SSH-2.0-OpenSSH_9.6\r\n"[..], b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", b"\0\0\0\0", b""] {
        let server = Server::start(move |_, _| vec![Step::Send(garbage.into())]);
        let message = error(&server, &[]);
        assert!(message.starts_with("cannot download http://127.0.0.1:"), "{message}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| whole(HEADS));
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let message = get(&hub(&file.join("cache"), &server)).0.unwrap_err();
    assert!(message.contains("cache: cannot write") && server.requests().is_empty(), "{message}");
    std::fs::create_dir(folder.path().join("alex.pth.part")).unwrap();
    let message = get(&hub(folder.path(), &server)).0.unwrap_err();
    assert!(message.contains("alex.pth.part: not a regular file"), "{message}");
}
