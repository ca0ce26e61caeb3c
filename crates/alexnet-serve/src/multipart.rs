//! Parser of `multipart/form-data` bodies in memory (RFC 7578, RFC 2046).
//!
//! Handwritten because existing crates read streams: they copy each part and need an asynchronous reader, while a part here is a
//! slice.

/// A file or field of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// Field name.
    pub name: Option<String>,
    /// File name, if the part is a file.
    pub file: Option<String>,
    /// Content in bytes.
    pub content: &'a [u8],
}

/// Maximum number of parts.
const MOST: usize = 1024;
/// Maximum header length of a part in bytes.
const LONGEST_HEADER: usize = 8192;

/// Splits a body with the given `Content-Type` into its parts.
///
/// # Errors
/// The type or the body is invalid. No input causes a panic or takes more time than a few passes over it.
pub fn parts<'a>(kind: &str, body: &'a [u8]) -> Result<Vec<Part<'a>>, String> {
    let boundary = boundary(kind)?;
    let first = [b"--", boundary.as_bytes()].concat();
    let next = [b"\r\n--", boundary.as_bytes()].concat();
    // Anything before the first boundary is ignored; the boundary starts a line.
    let mut rest = match body.strip_prefix(first.as_slice()) {
        Some(rest) => rest,
        None => {
            after(body, &next).ok_or("the form's first boundary is missing; check that the Content-Type belongs to this body")?.1
        }
    };
    let mut parts = Vec::new();
    loop {
        // The end, or spaces and a new line.
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        let line = rest.iter().position(|&b| b != b' ' && b != b'\t').map_or(&rest[rest.len()..], |at| &rest[at..]);
        let part = line.strip_prefix(b"\r\n").ok_or("a boundary of the form is not followed by a new line")?;
        let (part, following) = after(part, &next).ok_or("the form is truncated: its closing boundary is missing")?;
        if parts.len() == MOST {
            return Err(format!("the form has more than {MOST} parts"));
        }
        parts.push(one(part)?);
        rest = following;
    }
}

/// Extracts the boundary of a content type.
fn boundary(kind: &str) -> Result<String, String> {
    let (media, parameters) = kind.split_once(';').ok_or("the Content-Type multipart/form-data needs a boundary")?;
    if !media.trim().eq_ignore_ascii_case("multipart/form-data") {
        return Err(format!("the Content-Type {} is not multipart/form-data", media.trim()));
    }
    match parameter(parameters, "boundary") {
        Some(boundary) if (1..=70).contains(&boundary.len()) => Ok(boundary),
        _ => Err("the Content-Type multipart/form-data needs a boundary of 1 to 70 characters".into()),
    }
}

/// Value of a header parameter, such as `name` in `form-data; name="a"`; quoted or not.
fn parameter(mut text: &str, wanted: &str) -> Option<String> {
    loop {
        text = text.trim_start_matches([';', ' ', '\t']);
        let (name, rest) = text.split_once('=')?;
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_text(quoted)?,
            None => {
                let end = rest.find(';').unwrap_or(rest.len());
                (rest[..end].trim().to_string(), &rest[end..])
            }
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        text = rest;
    }
}

/// Splits text at the closing quote. Browsers write a quote within as `%22`, others as `\"`.
fn quoted_text(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match characters.next()? {
                (_, escaped @ ('"' | '\\')) => value.push(escaped),
                // Old browsers send Windows paths verbatim.
                (_, other) => value.extend(['\\', other]),
            },
            c => value.push(c),
        }
    }
    None
}

/// Splits at the first `mark`.
fn after<'a>(body: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let mut from = 0;
    loop {
        // A mark begins with a carriage return, which is one in 256 bytes of image data, so most bytes are skipped quickly.
        let at = from + body[from..].iter().position(|&b| b == mark[0])?;
        if body[at..].starts_with(mark) {
            return Some((&body[..at], &body[at + mark.len()..]));
        }
        from = at + 1;
    }
}

/// Parses a part's header lines and content.
fn one(part: &[u8]) -> Result<Part<'_>, String> {
    let (header, content) = match part.strip_prefix(b"\r\n") {
        Some(content) => (&[][..], content),
        None => after(part, b"\r\n\r\n").ok_or("a part of the form has no empty line after its header")?,
    };
    if header.len() > LONGEST_HEADER {
        return Err(format!("a part of the form has a header of more than {LONGEST_HEADER} bytes"));
    }
    let header = String::from_utf8_lossy(header);
    let disposition = header.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    });
    let parameters = disposition.and_then(|value| value.split_once(';')).map_or("", |(_, parameters)| parameters);
    Ok(Part { name: parameter(parameters, "name"), file: parameter(parameters, "filename"), content })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KIND: &str = "multipart/form-data; boundary=xyz";

    fn part<'a>(name: &str, file: Option<&str>, content: &'a [u8]) -> Part<'a> {
        Part { name: Some(name.into()), file: file.map(Into::into), content }
    }

    #[test]
    fn forms_of_curl_and_browsers_are_read() {
        let body = b"--xyz\r\nContent-Disposition: form-data; name=\"picture\"; filename=\"a \\\"b\\\";.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n\xFF\xD8\r\n--xy\r\n\r\n--xyz \t\r\ncontent-disposition: form-data; name=crops\r\n\r\n10\r\n--xyz--\r\nafterwards";
        let expected = [part("picture", Some("a \"b\";.jpg"), b"\xFF\xD8\r\n--xy\r\n"), part("crops", None, b"10")];
        assert_eq!(parts(KIND, body).unwrap(), expected);
        // A quoted boundary among other parameters, and a preamble.
        let kind = "Multipart/Form-Data; charset=utf-8; Boundary=\"x y;z\"";
        let body = b"hello\r\n--x y;z\r\n\r\nplain\r\n--x y;z--";
        assert_eq!(parts(kind, body).unwrap(), [Part { name: None, file: None, content: b"plain" }]);
        assert_eq!(parts(KIND, b"--xyz--").unwrap(), []);
    }

    #[test]
    fn malformed_forms_are_rejected() {
        let fails = |kind: &str, body: &[u8], message: &str| {
            let error = parts(kind, body).unwrap_err();
            assert!(error.contains(message), "{error}, not: {message}");
        };
        fails("multipart/form-data", b"", "needs a boundary");
        fails("multipart/mixed; boundary=x", b"", "multipart/mixed is not");
        fails("multipart/form-data; boundary=\"", b"", "boundary of 1 to 70");
        fails("multipart/form-data; boundary=", b"", "boundary of 1 to 70");
        fails(KIND, b"", "first boundary is missing");
        fails(KIND, b"--xyz", "new line");
        fails(KIND, b"--xyzz\r\n\r\n\r\n--xyz--", "new line");
        fails(KIND, b"--xyz\r\n\r\nabc", "truncated");
        fails(KIND, b"--xyz\r\nno header\r\n--xyz--", "no empty line");
        fails(KIND, &b"--xyz\r\n\r\n\r\n".repeat(MOST + 2), "more than 1024 parts");
        fails(KIND, &[b"--xyz\r\na: ", vec![b'a'; 9000].as_slice(), b"\r\n\r\n\r\n--xyz--"].concat(), "header of more");
    }

    proptest! {
        #[test]
        fn any_contents_come_back(contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..5)) {
            let mut body = Vec::new();
            for (i, content) in contents.iter().enumerate() {
                body.extend(format!("--b0undary\r\nContent-Disposition: form-data; name=\"n{i}\"\r\n\r\n").bytes());
                body.extend(content);
                body.extend(b"\r\n");
            }
            body.extend(b"--b0undary--\r\n");
            let found = parts("multipart/form-data; boundary=b0undary", &body).unwrap();
            prop_assert_eq!(found.iter().map(|p| p.content.to_vec()).collect::<Vec<_>>(), contents);
        }

        #[test]
        fn nothing_makes_it_panic(kind in ".{0,40}", noise in prop::collection::vec(prop::sample::select(
            ["--xyz", "\r\n", "\r", "--", ":", ";", "\"", "\\", "=", "name", "content-disposition", "a", "\u{e9}"].to_vec()), 0..60)) {
            let body = noise.concat();
            let _ = parts(KIND, body.as_bytes());
            let _ = parts(&format!("multipart/form-data;{kind}{body}"), body.as_bytes());
            let _ = parts(&kind, body.as_bytes());
        }
    }
}
