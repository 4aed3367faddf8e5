//! Requests under the supervision tree: how many wait at once, and what is left of one whose call ends.

use super::*;

fn function(method: &str, patterns: &[String], pool: PoolSpec) -> FunctionSpec {
    let code = Code::Wasm(fetch(method, patterns));
    FunctionSpec { id: "app:f".parse().unwrap(), code, pool, limits: Limits::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_call_closes_its_connection_and_frees_its_instance() {
    for method in ["get", "measure"] {
        // One server never answers, the other never ends.
        let text = if method == "get" { "" } else { "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf" };
        let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
        let port = serve(move |mut stream| {
            head(&mut stream);
            stream.write_all(text.as_bytes()).unwrap();
            sender.send("waiting").unwrap();
            assert_eq!(stream.read_to_end(&mut Vec::new()).map_err(|error| error.kind()).unwrap_or(0), 0);
            sender.send("closed").unwrap();
        });
        let runtime = Runtime::builder()
            .name(format!("http-killed-{method}"))
            .function(function(method, &allow(&["127.0.0.1:PORT"], port), PoolSpec::inline()))
            .start()
            .await
            .unwrap();
        let all = runtime.instances_available();
        let url = format!("http://127.0.0.1:{port}/");
        let calling = tokio::spawn({
            let runtime = runtime.clone();
            async move { runtime.call_json("app:f", vec![json!(url)], CallOptions::default()).await }
        });
        assert_eq!(events.recv().await, Some("waiting"));
        assert!(runtime.instances_available() < all);
        // A caller that goes away cancels its call.
        calling.abort();
        assert_eq!(events.recv().await, Some("closed"));
        until("the instance is gone", || runtime.instances_available() == all).await;
        assert!(runtime.shutdown(Duration::from_secs(10)).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_sends_faster_than_anybody_reads_is_held_back() {
    let read = Arc::new(AtomicU64::new(0));
    let bytes = Arc::clone(&read);
    let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
    // Reads what was buffered only when the call has ended.
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let port = serve(move |mut stream: TcpStream| {
        head(&mut stream);
        sender.send("begun").unwrap();
        gone.lock().unwrap().recv().unwrap();
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            bytes.fetch_add(length as u64, Ordering::Relaxed);
        }
        drop(stream.shutdown(Shutdown::Both));
        sender.send("ended").unwrap();
    });
    let quick = http(OK);
    let other = function("get", &allow(&["127.0.0.1:PORT"], quick), PoolSpec::inline());
    let runtime = Runtime::builder()
        .name("http-held-back")
        .function(function("upload", &allow(&["127.0.0.1:PORT"], port), PoolSpec::inline()))
        .function(FunctionSpec { id: "app:other".parse().unwrap(), ..other })
        .start()
        .await
        .unwrap();
    let uploading = tokio::spawn({
        let runtime = runtime.clone();
        let args = vec![json!(format!("http://127.0.0.1:{port}/")), json!(1_u64 << 40)];
        async move { runtime.call_json("app:f", args, CallOptions::default()).await }
    });
    assert_eq!(events.recv().await, Some("begun"));
    // While this goes on, the guest could send very much.
    for _ in 0..50 {
        let args = vec![json!(format!("http://127.0.0.1:{quick}/"))];
        runtime.call_json("app:other", args, CallOptions::default()).await.unwrap();
    }
    uploading.abort();
    go.send(()).unwrap();
    assert_eq!(events.recv().await, Some("ended"));
    // What the system buffers for the connection, and a few chunks of ours.
    let read = read.load(Ordering::Relaxed);
    assert!(read < 64 << 20, "{read} bytes were taken from the guest");
}

/// How many requests this process can wait for, with a server in the same process.
fn requests_at_once() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
    let files: usize = files.and_then(|files| files.parse().ok()).unwrap_or(1024);
    (files.saturating_sub(400) / 2).min(1000)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_calls_wait_for_responses_on_two_guest_threads() {
    let calls = requests_at_once();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let come = Arc::new(AtomicUsize::new(0));
    let all_come = Arc::new(tokio::sync::Barrier::new(calls));
    let counted = Arc::clone(&come);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (come, all_come) = (Arc::clone(&counted), Arc::clone(&all_come));
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                come.fetch_add(1, Ordering::Relaxed);
                // Nobody is answered before all have asked.
                all_come.wait().await;
                stream.write_all(OK.as_bytes()).await.unwrap();
            });
        }
    });
    let pool = PoolSpec { buffer: calls, ..PoolSpec::lazy(calls) };
    let runtime = Runtime::builder()
        .name("http-thousand")
        .guest_threads(2)
        .function(function("get", &allow(&["127.0.0.1:PORT"], port), pool))
        .start()
        .await
        .unwrap();
    let url = format!("http://127.0.0.1:{port}/");
    let waiting = (0..calls).map(|_| runtime.call_json("app:f", vec![json!(url)], CallOptions::default()));
    let results = futures::future::join_all(waiting).await;
    for result in results {
        assert_eq!(result.unwrap()["ok"]["body"], json!("hi"));
    }
    assert_eq!(come.load(Ordering::Relaxed), calls);
    runtime.shutdown(Duration::from_secs(10)).await;
}
