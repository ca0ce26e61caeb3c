//! Downloads that succeed, at the first attempt or later.

use crate::{HEADS, assert_installed, download, get, heads, hub, names};
use alexnet_hub::{Accept, Hub};
use alexnet_testkit::http_server::{Server, Step, answer, cut, redirect, rest, whole};
use std::time::Duration;

#[test]
fn a_file_is_downloaded_once_and_then_found_without_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("new").join("cache");
    let server = Server::start(|_, _| whole(HEADS));
    let hub = hub(&cache, &server);
    assert_eq!(hub.find(heads()).unwrap(), None);
    let (found, events) = get(&hub);
    assert_eq!(found.as_ref().unwrap().url.as_deref(), Some(&*format!("{}/alex.pth", server.address())));
    assert_installed(&cache, found.clone());
    assert_eq!(events, ["from 0 of Some(6009)"]);
    let request = &server.requests()[0];
    assert_eq!((request.path(), request.header("range")), ("/alex.pth", None));
    assert_eq!((request.header("accept-encoding"), request.header("user-agent")), (Some("identity"), Some("alexnet/0.1.0")));
    assert_eq!(get(&hub), (found, vec![]));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn bodies_without_a_length_are_accepted() {
    let chunked = |_: usize, _: &_| {
        let mut body = Vec::new();
        for piece in HEADS.chunks(1000) {
            body.extend(format!("{:x}\r\n", piece.len()).as_bytes());
            body.extend(piece);
            body.extend(b"\r\n");
        }
        body.extend(b"0\r\n\r\n");
        answer("200 OK", "Transfer-Encoding: chunked\r\n", &body)
    };
    let closed = |_: usize, _: &_| answer("200 OK", "", HEADS);
    for server in [Server::start(chunked), Server::start(closed)] {
        let folder = tempfile::tempdir().unwrap();
        assert_installed(folder.path(), get(&hub(folder.path(), &server)).0);
    }
}

#[test]
fn a_cut_download_resumes_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|number, request| match number {
        0 => cut(HEADS, 3000),
        // Without an end of its body, the second answer is cut as well.
        1 => rest(HEADS, request.from()).into_iter().take(1).chain([Step::Send(HEADS[3000..4000].into())]).collect(),
        _ => rest(HEADS, request.from()),
    });
    let (found, events) = get(&hub(folder.path(), &server));
    assert_installed(folder.path(), found);
    let cut = "again: the connection was cut off";
    assert_eq!(events, ["from 0 of Some(6009)", cut, "from 3000 of Some(6009)", cut, "from 4000 of Some(6009)"]);
    let requests = server.requests();
    assert_eq!((requests[1].header("range"), requests[1].header("if-range")), (Some("bytes=3000-"), Some("\"1\"")));
}

#[test]
fn a_server_that_ignores_ranges_sends_the_whole_file_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|number, _| if number == 0 { cut(HEADS, 3000) } else { whole(HEADS) });
    let (found, events) = get(&hub(folder.path(), &server));
    assert_installed(folder.path(), found);
    assert_eq!(events.last().unwrap(), "from 0 of Some(6009)");
}

#[test]
fn a_stalled_download_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|number, request| match number {
        0 => [cut(HEADS, 1000), vec![Step::Wait(Duration::from_secs(3))]].concat(),
        _ => rest(HEADS, request.from()),
    });
    let (found, events) = get(&hub(folder.path(), &server));
    assert_installed(folder.path(), found);
    assert_eq!(events[1..], ["again: the server stopped sending data", "from 1000 of Some(6009)"]);
}

#[test]
fn a_slow_download_is_patient() {
    let folder = tempfile::tempdir().unwrap();
    // Twice the stall limit in all, and less between the pieces.
    let server = Server::start(|_, _| {
        let mut steps = cut(HEADS, 0);
        for piece in HEADS.chunks(1000) {
            steps.extend([Step::Wait(Duration::from_millis(90)), Step::Send(piece.into())]);
        }
        steps
    });
    let (found, events) = get(&hub(folder.path(), &server));
    assert_installed(folder.path(), found);
    assert_eq!(events.len(), 1);
}

#[test]
fn an_earlier_processes_part_is_resumed_and_a_part_of_another_file_replaced() {
    let server = Server::start(|_, request| if request.from() > 0 { rest(HEADS, request.from()) } else { whole(HEADS) });
    for (part, requests) in
        [(HEADS[..2000].to_vec(), 1), (vec![7; 2000], 2), (vec![7; 6009], 1), (vec![7; 7000], 1), (HEADS.to_vec(), 0)]
    {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("alex.pth.part"), &part).unwrap();
        let before = server.requests().len();
        assert_installed(folder.path(), get(&hub(folder.path(), &server)).0);
        assert_eq!(server.requests().len() - before, requests, "{} bytes of {}", part.len(), part[0]);
    }
}

#[test]
fn redirects_are_followed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, request| match request.path() {
        "/alex.pth" => redirect("/store/1"),
        "/store/1" => redirect("2?token=x"),
        "/store/2?token=x" => whole(HEADS),
        other => panic!("{other}"),
    });
    assert_installed(folder.path(), get(&hub(folder.path(), &server)).0);
}

#[test]
fn a_busy_server_is_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|number, _| match number {
        0 => answer("503 Service Unavailable", "", b""),
        1 => answer("429 Too Many Requests", "", b""),
        _ => whole(HEADS),
    });
    let (found, events) = get(&hub(folder.path(), &server));
    assert_installed(folder.path(), found);
    assert_eq!(events[0], "again: the server answered 503 (service unavailable)");
}

#[test]
fn processes_that_want_the_same_file_share_one_download() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| {
        let mut steps = whole(HEADS);
        steps.insert(1, Step::Wait(Duration::from_millis(150)));
        steps
    });
    // Locks belong to an opened file, so threads exclude each other like processes.
    let found: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| get(&hub(folder.path(), &server)))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(server.requests().len(), 1);
    assert_eq!(found.iter().filter(|(_, events)| events == &["waiting"]).count(), 3);
    found.into_iter().for_each(|(found, _)| assert_installed(folder.path(), found));
}

#[test]
fn another_file_is_accepted_on_request_and_marked() {
    let folder = tempfile::tempdir().unwrap();
    let mine = b"PK\x03\x04my own heads".to_vec();
    let server = Server::start({
        let mine = mine.clone();
        move |_, _| whole(&mine)
    });
    let hub = hub(folder.path(), &server);
    let found = download(&hub, &server, Accept::Any).unwrap();
    assert!(!found.published);
    assert_eq!(std::fs::read(&found.path).unwrap(), mine);
    // From now on it is used without asking, and without the server.
    assert_eq!(get(&hub), (Ok(found.clone()), vec![]));
    assert_eq!(download(&hub, &server, Accept::sha256(&found.sha256).unwrap()), Ok(found.clone()));
    let wrong = download(&hub, &server, Accept::Sha256("0".repeat(64))).unwrap_err();
    assert!(wrong.contains(&found.sha256) && wrong.contains("not the expected file"), "{wrong}");
    // An error leaves what was there.
    assert_eq!(hub.find(heads()).unwrap(), Some(found));
    // The published file replaces it.
    let publisher = Server::start(|_, _| whole(HEADS));
    assert_installed(folder.path(), download(&hub, &publisher, Accept::Published));
}

#[test]
fn a_hub_may_accept_whatever_its_mirror_has() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| whole(b"PK\x03\x04my own heads"));
    let found = get(&hub(folder.path(), &server).accepting(Accept::Any)).0.unwrap();
    assert!(!found.published && server.requests().len() == 1);
}

#[test]
fn files_copied_by_hand_are_verified() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::in_folder(folder.path());
    let path = hub.path(heads());
    std::fs::write(&path, HEADS).unwrap();
    let found = hub.find(heads()).unwrap().unwrap();
    assert!(found.published && found.url.is_none());
    assert_eq!(names(folder.path()), ["alex.pth", "alex.pth.json"]);
    // The record does not vouch for what replaces the file later.
    std::fs::write(&path, b"something else").unwrap();
    let error = hub.find(heads()).unwrap_err().to_string();
    assert!(error.contains("alex.pth: not the published file: sha256 ") && error.contains("df73285e"), "{error}");
    assert!(hub.clone().accepting(Accept::Any).find(heads()).unwrap().is_some());
}
