//! An example registry that is served, for the lines of its README that run `curl`.

use std::{io::Write, net::SocketAddr, path::Path, process::Command, time::Duration};

use greenroom::{
    Runtime,
    http::{Options, Servers, Serving},
};

/// The address that the READMEs have.
const SHOWN: &str = "127.0.0.1:8080";

/// The servers of a registry, on threads of their own, until it is dropped.
pub struct Served {
    threads: tokio::runtime::Runtime,
    _runtime: Runtime,
    serving: Serving,
    address: SocketAddr,
}

impl Served {
    pub fn new(root: &Path) -> Self {
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (runtime, servers) = threads.block_on(async {
            let name = format!("served-{}", root.file_name().unwrap().display());
            let runtime = Runtime::builder().name(name).guest_threads(1).instances_max(100).registry(root);
            let runtime = runtime.start().await.unwrap();
            let options = Options { listen: Some("127.0.0.1:0".to_owned()), ..Options::default() };
            let servers = Servers::bind(&runtime, runtime.registry().unwrap().servers(), &options).await.unwrap();
            (runtime, servers)
        });
        let (_, address) = servers.addresses().into_iter().find(|(id, _)| id.is_none()).unwrap();
        let serving = {
            let _entered = threads.enter();
            servers.serve()
        };
        Self { threads, _runtime: runtime, serving, address }
    }

    /// A line of a README as it finds this server.
    pub fn line(&self, shown: &str) -> String {
        assert!(shown.contains(SHOWN), "{shown}");
        shown.replace(SHOWN, &self.address.to_string())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.threads.block_on(self.serving.stop(Duration::ZERO));
    }
}

/// Whether there is a `curl` to run.
pub fn curl_is_there() -> bool {
    let found = Command::new("curl").arg("--version").output();
    if let Err(error) = &found {
        std::io::stderr().write_all(format!("skipped: the lines with curl: {error}\n").as_bytes()).unwrap();
    }
    found.is_ok()
}
