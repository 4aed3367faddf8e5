//! What the tests of the network share: guests with sockets and HTTP, a resolver that the test controls, and servers.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::{IpAddr, Shutdown, TcpListener, TcpStream, UdpSocket},
    sync::{Arc, Mutex},
    thread,
};

use futures::future::{BoxFuture, FutureExt};
use greenroom_actors::{
    spec::{Capability, Limits, Network, Source, WasmSpec},
    wasm::{Engine, EngineOptions, NetworkOptions, Prepared, Resolver, TrustedRoots},
};

use super::fixture::{id, spec};

/// A resolver with the names that a test gives it, which counts who asks.
#[derive(Debug, Clone, Default)]
pub struct Names(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    answers: HashMap<String, Vec<Vec<IpAddr>>>,
    asked: Vec<String>,
}

impl Names {
    /// Gives a name its answers: the first for the first question, and so on; the last stays.
    pub fn with(self, name: &str, answers: &[&[&str]]) -> Self {
        let addresses = |texts: &&[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        self.0.lock().unwrap().answers.insert(name.to_owned(), answers.iter().map(addresses).collect());
        self
    }

    pub fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap().asked.clone()
    }

    pub fn options(&self) -> NetworkOptions {
        NetworkOptions { resolver: Arc::new(self.clone()), roots: TrustedRoots::Certificates(Vec::new()) }
    }
}

impl Resolver for Names {
    fn resolve(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let mut known = self.0.lock().unwrap();
        known.asked.push(name.to_owned());
        let Some(answers) = known.answers.get_mut(name) else {
            return futures::future::err(io::ErrorKind::NotFound.into()).boxed();
        };
        let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
        // Not at once, as a look-up is.
        async {
            tokio::task::yield_now().await;
            Ok(answer)
        }
        .boxed()
    }
}

/// A guest of the examples that may use these groups, and reach what these patterns allow.
pub fn guest(file: &str, method: &str, granted: &[Capability], allow: &[String]) -> WasmSpec {
    let path = format!("{}/../registry-examples/network/wasm/{file}", env!("CARGO_MANIFEST_DIR"));
    let mut spec = spec(Source::Bytes(std::fs::read(path).unwrap().into()), method);
    spec.imports = granted.iter().copied().collect();
    spec.wasi.network = Network { allow: allow.iter().map(|text| text.parse().unwrap()).collect() };
    spec
}

pub fn prepare_with(network: NetworkOptions, spec: &WasmSpec) -> Prepared {
    let engine = Engine::new(EngineOptions { instances_max: 8, network, ..EngineOptions::default() }).unwrap();
    engine.prepare(&id(), spec, &Limits::default()).unwrap()
}

/// Serves each TCP connection on a port of its own, until the test ends.
pub fn serve(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            thread::spawn(move || answer(stream));
        }
    });
    port
}

/// Sends back what it was sent, in upper case.
pub fn tcp_shouter() -> u16 {
    serve(|mut stream| {
        let mut text = String::new();
        if stream.read_to_string(&mut text).is_ok() {
            drop(stream.write_all(text.to_uppercase().as_bytes()));
            drop(stream.shutdown(Shutdown::Both));
        }
    })
}

pub fn udp_shouter() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            drop(socket.send_to(&buffer[..length].to_ascii_uppercase(), from));
        }
    });
    port
}

/// Reads the head of a request; what comes after it stays in the connection.
pub fn head(stream: &mut impl Read) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Answers each request with the same bytes, and then lets go of the connection.
pub fn http(response: impl Into<Vec<u8>>) -> u16 {
    let response = response.into();
    serve(move |mut stream| {
        head(&mut stream);
        drop(stream.write_all(&response));
    })
}

pub fn allow(patterns: &[&str], port: u16) -> Vec<String> {
    patterns.iter().map(|pattern| pattern.replace("PORT", &port.to_string())).collect()
}
