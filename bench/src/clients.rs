//! Clients of a server: connections that are kept, each with its next request as soon as it has its answer. They share one
//! thread, with nothing between it and the sockets: what clients take of the processors, servers lack.

mod answer;

use std::{
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use mio::{Events, Interest, Poll, Token, net::TcpStream};

use self::answer::Answer;
use crate::load::{self, Counted, Window};

/// How long all clients may be without an answer.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// An answer with its head, in bytes.
const ANSWER_MAX: usize = 16 << 10;

/// What is asked again and again, and what the answer must be.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    /// The method; the path is `/`.
    pub method: &'static str,
    /// The status of each answer.
    pub status: u16,
    /// The body of each answer.
    pub body: &'static str,
}

/// Has so many clients ask for this long, and times each answer.
///
/// # Errors
/// An answer that is another, a connection that ends, or none of both for a minute.
pub fn in_a_loop(server: SocketAddr, clients: usize, asked: Question, time: Duration) -> anyhow::Result<Counted> {
    load::threads(&mut [|window| ask(server, clients, asked, window)], time)
}

/// Asks once, on a connection of its own.
///
/// # Errors
/// As [`in_a_loop`].
pub fn once(server: SocketAddr, asked: Question) -> anyhow::Result<()> {
    ask(server, 1, asked, Window::over()).map(drop)
}

fn ask(server: SocketAddr, clients: usize, asked: Question, mut window: Window) -> anyhow::Result<Window> {
    let request = format!("{} / HTTP/1.1\r\nHost: {server}\r\n\r\n", asked.method).into_bytes();
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(clients);
    let mut all = Vec::with_capacity(clients);
    for number in 0..clients {
        let mut client = Client::connect(server)?;
        poll.registry().register(&mut client.stream, Token(number), Interest::READABLE)?;
        client.ask(&request)?;
        all.push(client);
    }
    let mut waiting = clients;
    while waiting > 0 {
        match poll.poll(&mut events, Some(SILENCE_MAX)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        ensure!(!events.is_empty(), "no answer for {SILENCE_MAX:?}");
        for event in &events {
            let client = &mut all[event.token().0];
            let Some(since) = client.asked else { continue };
            if !client.hear(asked)? {
                continue;
            }
            window.count_since(since);
            if window.is_open() {
                client.ask(&request)?;
            } else {
                // What was asked is heard to its end: a server is not to clean up while another is measured.
                client.asked = None;
                waiting -= 1;
            }
        }
    }
    Ok(window)
}

struct Client {
    stream: TcpStream,
    /// Since when it waits for an answer.
    asked: Option<Instant>,
    /// The answer, as far as it has come.
    buffer: Box<[u8; ANSWER_MAX]>,
    filled: usize,
}

impl Client {
    fn connect(server: SocketAddr) -> anyhow::Result<Self> {
        let stream = std::net::TcpStream::connect(server).with_context(|| format!("no connection to {server}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream: TcpStream::from_std(stream), asked: None, buffer: Box::new([0; ANSWER_MAX]), filled: 0 })
    }

    fn ask(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.asked = Some(Instant::now());
        // There is always room: the last request was answered.
        let written = self.stream.write(request).context("a request was not taken")?;
        ensure!(written == request.len(), "a request was taken in part");
        Ok(())
    }

    /// Reads what has come. Returns whether the answer is whole, and fails when it is another.
    fn hear(&mut self, asked: Question) -> anyhow::Result<bool> {
        loop {
            match self.stream.read(&mut self.buffer[self.filled..]) {
                Ok(0) if self.filled == ANSWER_MAX => bail!("an answer is larger than {ANSWER_MAX} bytes"),
                Ok(0) => bail!("the server ended a connection"),
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("a connection broke"),
            }
            let bytes = &self.buffer[..self.filled];
            if let Some(Answer { status, body, length }) = Answer::read(bytes)? {
                let is_right = status == asked.status && *body == *asked.body.as_bytes() && length == bytes.len();
                ensure!(is_right, "answered {:?}", String::from_utf8_lossy(bytes));
                self.filled = 0;
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::BufRead, net::TcpListener};

    use super::*;

    const HELLO: Question = Question { method: "GET", status: 200, body: "hello" };

    /// A server that answers every request of one connection with this.
    fn server(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            for line in std::io::BufReader::new(&stream).lines() {
                if line.unwrap_or_default().is_empty() && (&stream).write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
        });
        address
    }

    #[test]
    fn each_answer_is_followed_by_the_next_request_and_timed() {
        let server = server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        let counted = in_a_loop(server, 1, HELLO, Duration::from_millis(200)).unwrap();
        assert!(counted.calls > 1 && counted.latency(0.99).unwrap() > 0.0);
    }

    #[test]
    fn an_answer_that_is_another_ends_the_measurement() {
        for answer in [
            "HTTP/1.1 500 Oh\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhallo",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more",
        ] {
            let error = once(server(answer), HELLO).unwrap_err().to_string();
            assert!(error.contains(&answer[..15]), "{error}");
        }
    }
}
