//! A server as a process of its own: found at the port that it chose, and killed when it is dropped. What it serves is the
//! business of `rows/http/programs`.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, anyhow};

/// How long a server may take to compile what it serves, and to listen.
const START_MAX: Duration = Duration::from_secs(120);

/// What it said last is kept for errors, so many lines of it.
const LINES_KEPT_MAX: usize = 20;

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    process: Process,
    address: SocketAddr,
}

/// A process, and what it says.
#[derive(Debug)]
struct Process {
    child: Child,
    said: Arc<Mutex<VecDeque<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts it, and waits until it says on stderr where it listens: `marker`, followed by host and port.
    ///
    /// # Errors
    /// When it ends instead, or says nothing of the kind for two minutes; with what it did say.
    pub fn start(mut command: Command, marker: &'static str) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("{command:?} cannot be started"))?;
        let stderr = child.stderr.take().context("a child without its stderr")?;
        let said = Arc::default();
        let (found, address) = mpsc::channel();
        let mut process = Process { child, said: Arc::clone(&said), reader: None };
        let reader = std::thread::Builder::new().name("stderr".to_owned());
        process.reader = Some(reader.spawn(move || listen(stderr, marker, &found, &said))?);
        match address_in_time(&address) {
            Ok(address) => Ok(Self { process, address }),
            Err(why) => Err(anyhow!("{command:?} {why}{}", process.last_words())),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// An error of whoever asked it, with what it said last.
    pub fn blame(&self, error: anyhow::Error) -> anyhow::Error {
        anyhow!("{error:#}{}", self.process.last_words())
    }
}

fn address_in_time(address: &Receiver<SocketAddr>) -> Result<SocketAddr, String> {
    address.recv_timeout(START_MAX).map_err(|error| match error {
        mpsc::RecvTimeoutError::Disconnected => "ended before it listened".to_owned(),
        mpsc::RecvTimeoutError::Timeout => format!("did not listen within {START_MAX:?}"),
    })
}

/// Reads to the end, so that whoever writes never waits.
fn listen(stderr: impl Read, marker: &str, found: &Sender<SocketAddr>, said: &Mutex<VecDeque<String>>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if let Some(address) = address(&line, marker) {
            // Nobody waits for it any more, if this fails.
            found.send(address).ok();
        }
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() == LINES_KEPT_MAX {
            said.pop_front();
        }
        said.push_back(line);
    }
}

/// The address after the marker.
fn address(line: &str, marker: &str) -> Option<SocketAddr> {
    let (_, after) = line.split_once(marker)?;
    after.split(['/', ' ']).next()?.parse().ok()
}

impl Process {
    fn last_words(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().map(|line| format!("\n  {line}")).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and that is well.
        self.child.kill().ok();
        self.child.wait().ok();
        if let Some(reader) = self.reader.take() {
            reader.join().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_server_is_where_it_says_it_listens() {
        let script =
            "echo metrics on http://127.0.0.1:1/metrics >&2; echo 'at http://127.0.0.1:2/ (x)' >&2; exec sleep 60";
        let server = Server::start(shell(script), "at http://").unwrap();
        assert_eq!(server.address().to_string(), "127.0.0.1:2");
    }

    #[test]
    fn a_server_that_does_not_come_up_is_quoted() {
        let error = Server::start(shell("echo the port is taken >&2; exit 1"), "at http://").unwrap_err().to_string();
        assert!(error.contains("ended before it listened") && error.contains("\n  the port is taken"), "{error}");
    }
}
