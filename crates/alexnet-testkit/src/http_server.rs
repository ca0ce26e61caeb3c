//! HTTP server of tests, whose answers are written byte by byte: as slow, short or wrong as a test needs.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request: its first line and its headers in lower case.
#[derive(Debug, Clone)]
pub struct Request {
    text: String,
}

impl Request {
    /// The path; for CONNECT, host and port.
    pub fn path(&self) -> &str {
        self.text.split(' ').nth(1).unwrap_or_default()
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// First byte of the range requested; 0 without a range.
    pub fn from(&self) -> usize {
        let range = self.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        range.map_or(0, |from| from.parse().expect("a number"))
    }
}

/// A step of an answer. The connection is closed after the last one.
#[derive(Debug, Clone)]
pub enum Step {
    /// Bytes to send.
    Send(Vec<u8>),
    /// A pause.
    Wait(Duration),
    /// Another request on the same connection, as through a proxy. It is not counted.
    Read,
}

/// A server on a free port of this machine.
pub struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Starts a server that answers the request of this number, from 0.
    pub fn start(answer: impl Fn(usize, &Request) -> Vec<Step> + Send + Sync + 'static) -> Server {
        Server::listen(usize::MAX, answer)
    }

    /// Starts a server that stops listening after its first request.
    pub fn answering_once(answer: Vec<Step>) -> Server {
        Server::listen(1, move |_, _| answer.clone())
    }

    fn listen(connections: usize, answer: impl Fn(usize, &Request) -> Vec<Step> + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (seen, answer) = (requests.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().take(connections).flatten() {
                let (seen, answer) = (seen.clone(), answer.clone());
                std::thread::spawn(move || {
                    let Some(request) = read(&stream) else { return };
                    let mut all = seen.lock().expect("requests");
                    all.push(request.clone());
                    let number = all.len() - 1;
                    drop(all);
                    write(stream, answer(number, &request));
                });
            }
        });
        Server { port, requests }
    }

    /// Base address.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("requests").clone()
    }
}

fn read(mut stream: &TcpStream) -> Option<Request> {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        text.push(byte[0]);
    }
    let text = String::from_utf8(text).ok()?;
    let (first, headers) = text.split_once("\r\n")?;
    let lower = headers.lines().map(|line| match line.split_once(':') {
        Some((name, value)) => format!("{}:{value}", name.to_lowercase()),
        None => line.into(),
    });
    Some(Request { text: format!("{first}\n{}", lower.collect::<Vec<_>>().join("\n")) })
}

fn write(mut stream: TcpStream, steps: Vec<Step>) {
    for step in steps {
        match step {
            // The client may have gone.
            Step::Send(bytes) => {
                let _ = stream.write_all(&bytes);
            }
            Step::Wait(time) => std::thread::sleep(time),
            Step::Read => {
                let _ = read(&stream);
            }
        }
    }
}

/// An answer with these header lines and this body.
pub fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<Step> {
    vec![Step::Send(format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n").into_bytes()), Step::Send(body.into())]
}

/// A whole file with its length.
pub fn whole(body: &[u8]) -> Vec<Step> {
    answer("200 OK", &format!("Content-Length: {}\r\nETag: \"1\"\r\n", body.len()), body)
}

/// A whole file of which only the first bytes are sent.
pub fn cut(body: &[u8], at: usize) -> Vec<Step> {
    answer("200 OK", &format!("Content-Length: {}\r\nETag: \"1\"\r\n", body.len()), &body[..at])
}

/// The rest of a file from a byte on.
pub fn rest(body: &[u8], from: usize) -> Vec<Step> {
    let range = format!("Content-Range: bytes {from}-{}/{}\r\n", body.len() - 1, body.len());
    answer("206 Partial Content", &format!("{range}Content-Length: {}\r\nETag: \"1\"\r\n", body.len() - from), &body[from..])
}

/// A redirect.
pub fn redirect(to: &str) -> Vec<Step> {
    answer("302 Found", &format!("Location: {to}\r\nContent-Length: 0\r\n"), b"")
}
