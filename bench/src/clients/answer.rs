//! An answer of HTTP/1.1, as far as it has come.

use std::borrow::Cow;

use anyhow::{Context, bail};
use httparse::{EMPTY_HEADER, Header, Response, Status};

const HEADERS_MAX: usize = 32;

/// An answer that is whole.
#[derive(Debug, PartialEq)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// The body; put together, if it came in chunks.
    pub body: Cow<'a, [u8]>,
    /// How many bytes all of it takes.
    pub length: usize,
}

impl<'a> Answer<'a> {
    /// Reads an answer; `None` when more is to come.
    ///
    /// # Errors
    /// When this is no answer, or its length is not told.
    pub fn read(bytes: &'a [u8]) -> anyhow::Result<Option<Self>> {
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        let mut response = Response::new(&mut headers);
        let Status::Complete(head) = response.parse(bytes).context("an answer cannot be read")? else {
            return Ok(None);
        };
        let status = response.code.unwrap_or_default();
        let after = &bytes[head..];
        if status == 204 {
            return Ok(Some(Self { status, body: Cow::Borrowed(&[]), length: head }));
        }
        for Header { name, value } in response.headers {
            if name.eq_ignore_ascii_case("content-length") {
                let length: usize = std::str::from_utf8(value)?.parse().context("a length that is none")?;
                let body = after.get(..length);
                return Ok(body.map(|body| Self { status, body: Cow::Borrowed(body), length: head + length }));
            }
            if name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case(b"chunked") {
                let chunks = chunks(after)?;
                return Ok(chunks.map(|(body, length)| Self { status, body: body.into(), length: head + length }));
            }
        }
        bail!("an answer whose length is not told")
    }
}

/// The body in these chunks, and how many bytes they take; `None` when more is to come.
fn chunks(bytes: &[u8]) -> anyhow::Result<Option<(Vec<u8>, usize)>> {
    const LINE_END: usize = 2;
    let mut body = Vec::new();
    let mut read = 0;
    loop {
        let parsed = httparse::parse_chunk_size(&bytes[read..]);
        let Status::Complete((line, size)) = parsed.ok().context("a chunk whose size is none")? else {
            return Ok(None);
        };
        let (begin, size) = (read + line, usize::try_from(size)?);
        let Some(chunk) = bytes.get(begin..).and_then(|after| after.get(..size + LINE_END)) else { return Ok(None) };
        body.extend_from_slice(&chunk[..size]);
        read = begin + size + LINE_END;
        if size == 0 {
            return Ok(Some((body, read)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of an answer, which is read of no part of it.
    fn read(text: &'static str) -> (u16, String) {
        for part in 0..text.len() {
            assert_eq!(Answer::read(&text.as_bytes()[..part]).unwrap(), None, "after {part} bytes");
        }
        let answer = Answer::read(text.as_bytes()).unwrap().expect("all of it is there");
        assert_eq!(answer.length, text.len());
        (answer.status, String::from_utf8(answer.body.into_owned()).unwrap())
    }

    #[test]
    fn a_body_has_the_length_that_is_told() {
        assert_eq!(read("HTTP/1.1 200 OK\r\ncontent-LENGTH: 5\r\n\r\nhello"), (200, "hello".to_owned()));
        assert_eq!(read("HTTP/1.1 204 No Content\r\nallow: GET\r\n\r\n"), (204, String::new()));
    }

    #[test]
    fn chunks_are_put_together() {
        let text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
        assert_eq!(read(text), (200, "hello".to_owned()));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for text in [
            "GET / HTTP/1.1\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        ] {
            assert!(Answer::read(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
