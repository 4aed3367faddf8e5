//! Spans as a collector receives them, of a program that is built with the feature `otlp`.

#[cfg(not(feature = "otlp"))]
#[test]
fn spans_reach_a_collector() {
    use std::io::Write;
    let why = "skipped: this build has no `otlp`; run cargo test --features otlp --test it -- otlp\n";
    std::io::stderr().write_all(why.as_bytes()).unwrap();
}

#[cfg(feature = "otlp")]
mod exported {
    use std::{
        io::{BufRead, BufReader, Read, Write},
        net::TcpListener,
        sync::mpsc,
        time::Duration,
    };

    use greenroom::{
        CallOptions, Context, Runtime,
        http::{Options, Servers},
        otlp::{OtlpLayer, is_exported},
    };
    use tracing_subscriber::{Layer, filter::filter_fn, layer::SubscriberExt};

    use crate::cli::{EXAMPLES, greenroom};

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A collector: its address, and the bodies that it is sent, which have strings and ids as they are.
    fn collector() -> (String, mpsc::Receiver<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (sender, bodies) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let (mut head, mut length) = (String::new(), 0);
                while stream.read_line(&mut head).unwrap() > 2 {
                    let last = head.lines().last().unwrap().to_lowercase();
                    if let Some(found) = last.strip_prefix("content-length: ") {
                        length = found.parse().unwrap();
                    }
                }
                assert!(head.starts_with("POST /v1/traces "), "{head}");
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                stream
                    .get_mut()
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                    .unwrap();
                if sender.send(body).is_err() {
                    break;
                }
            }
        });
        (address, bodies)
    }

    fn has(body: &[u8], bytes: &[u8]) -> bool {
        body.windows(bytes.len()).any(|window| window == bytes)
    }

    #[test]
    fn a_call_of_the_program_is_a_span() {
        let (address, bodies) = collector();
        let done = greenroom(&["--otlp", &address, "call", "compute", "compute:lazy", "6", "7"]);
        assert_eq!((done.code, &*done.stdout), (0, "42\n"), "{done:?}");
        let body = bodies.recv_timeout(PATIENCE).unwrap();
        for text in ["call compute:lazy", "greenroom", "queue_us", "run_us", "outcome"] {
            assert!(has(&body, text.as_bytes()), "{text}");
        }
        let wrong = greenroom(&["--otlp", "localhost", "call", "compute", "compute:lazy", "6", "7"]);
        assert_eq!((wrong.code, wrong.stdout.as_str()), (2, ""));
        assert!(wrong.stderr.contains("--otlp: `localhost` is no address of a collector"), "{wrong:?}");
    }

    #[test]
    fn a_request_and_its_call_are_spans_of_the_trace_of_the_client() {
        let (address, bodies) = collector();
        let (layer, exporting) = OtlpLayer::to(&address).unwrap();
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter_fn(is_exported)));
        let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tracing::subscriber::with_default(subscriber, || {
            threads.block_on(async {
                let root = format!("{EXAMPLES}/http-native");
                let runtime = Runtime::builder().name("otlp").registry(root).start().await.unwrap();
                let listen = Some("127.0.0.1:0".to_owned());
                let options = Options { listen, beside_functions: false, ..Options::default() };
                let servers = Servers::bind(&runtime, runtime.registry().unwrap().servers(), &options).await.unwrap();
                let url = format!("http://{}/", servers.addresses()[0].1);
                let mut serving = servers.serve();
                let request = crate::http::client().get(&url);
                let sampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
                request.try_clone().unwrap().header("traceparent", sampled).send().await.unwrap();
                // A trace that its maker does not want recorded is not.
                let unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
                request.header("traceparent", unsampled).send().await.unwrap();
                let context = Context { request_id: Some("the last".to_owned()), ..Context::default() };
                let options = CallOptions::default().with_context(context);
                runtime.call_with::<()>("native:nothing", (), options).await.unwrap_err();
                serving.stop(PATIENCE).await;
                runtime.shutdown(PATIENCE).await;
            });
        });
        drop(exporting);
        let mut all = Vec::new();
        while let Ok(body) = bodies.try_recv() {
            all.extend_from_slice(&body);
        }
        let trace: u128 = 0x4bf92f3577b34da6a3ce929d0e0e4736;
        assert_eq!(all.windows(16).filter(|window| *window == trace.to_be_bytes()).count(), 2, "request and call");
        assert!(has(&all, &0x00f067aa0ba902b7_u64.to_be_bytes()), "the client's span is the parent");
        assert!(!has(&all, &0x0af7651916cd43dd8448eb211c80319c_u128.to_be_bytes()));
        for text in ["GET /", "call native:hello", "http.response.status_code", "http.route"] {
            assert!(has(&all, text.as_bytes()), "{text}");
        }
    }
}
