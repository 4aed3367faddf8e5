//! Which threads serve connections.

use std::{
    io::{Read, Write},
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver},
    },
};

use futures::future::BoxFuture;
use greenroom::{
    Answer, CallError, Context, Payload, Runtime,
    executor::{Executor, Instance},
    http::{Options, Servers},
    spec::{Code, FunctionSpec, Limits, PoolSpec},
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{PATIENCE, client, endpoint, id, plain, router, serve, server};

#[tokio::test]
async fn a_request_needs_no_thread_but_that_of_its_function() {
    let stage = serve("http-beside", plain()).await;
    let mut raw = stage.connect().await;
    raw.send("GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(raw.response().await.1, "\"hello\"");
    // The only thread of the server waits for the answer, and does nothing else.
    let mut blocking = raw.0.into_std().unwrap();
    blocking.set_nonblocking(false).unwrap();
    blocking.set_read_timeout(Some(PATIENCE)).unwrap();
    blocking.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    while !answer.ends_with(b"\"hello\"") {
        let bytes = blocking.read(&mut piece).expect("there is an answer");
        assert!(bytes > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..bytes]);
    }
}

/// Keeps its thread until it is told to go on, which guests cannot.
struct Keeps {
    thread: Arc<Notify>,
    told: Arc<Mutex<Receiver<()>>>,
}

impl Executor for Keeps {
    fn make(&self) -> BoxFuture<'_, Result<Box<dyn Instance>, CallError>> {
        let instance: Box<dyn Instance> = Box::new(Self { thread: self.thread.clone(), told: self.told.clone() });
        Box::pin(async { Ok(instance) })
    }
}

impl Instance for Keeps {
    fn run<'a>(&'a mut self, _: Payload, _: &'a Arc<Context>) -> BoxFuture<'a, Result<Answer, CallError>> {
        Box::pin(async {
            self.thread.notify_one();
            self.told.lock().unwrap().recv().unwrap();
            Ok(Answer::Json(json!(null)))
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_not_served_beside_functions_do_not_wait_for_them() {
    let (tell, told) = mpsc::channel();
    let thread = Arc::new(Notify::new());
    let keeps = Keeps { thread: thread.clone(), told: Arc::new(Mutex::new(told)) };
    let spec = FunctionSpec {
        id: id("keeps"),
        code: Code::Custom(Arc::new(keeps)),
        pool: PoolSpec::default(),
        limits: Limits::default(),
    };
    let runtime = Runtime::builder().name("http-apart").guest_threads(1).function(spec).start().await.unwrap();
    let spec = server(vec![router("", vec![endpoint("GET", "/", "keeps")])]);
    let options = Options { beside_functions: false, ..Options::default() };
    let servers = Servers::bind(&runtime, &[spec], &options).await.unwrap();
    let url = format!("http://{}/", servers.addresses()[0].1);
    let _serving = servers.serve();
    let call = tokio::spawn(async move { runtime.call::<Value>("test:keeps", ()).await });
    thread.notified().await;
    let answer = client().request(reqwest::Method::OPTIONS, url).send().await;
    tell.send(()).unwrap();
    assert_eq!(answer.unwrap().status(), 204);
    assert_eq!(call.await.unwrap().unwrap(), Value::Null);
}
