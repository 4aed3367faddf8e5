//! The admin listener of a run: its address, its token and what records its metrics. What it answers is the business of
//! `crate::http`.

use std::{convert::Infallible, fs::File, io, io::Read, path::PathBuf, sync::Arc};

use anyhow::Context;
use clap::{Args, ValueHint};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;

use super::{failure::Failure, metrics, run::host_and_port};
use crate::{
    CallError, ErrorKind,
    http::{Admin, AdminOptions, AdminToken},
};

/// Where it listens unless the user says otherwise.
const ADDRESS_DEFAULT: &str = "127.0.0.1:9464";

/// What is read of a token's file, in bytes.
const TOKEN_BYTES_MAX: u64 = 4096;

/// What `run` is told of it.
#[derive(Debug, Args)]
pub(super) struct ListenerOptions {
    /// Where to serve /metrics, /healthz, /readyz and /tree: HOST:PORT, or `off`. Port 0 takes any that is free. Default is
    /// 127.0.0.1:9464
    #[arg(long, value_name = "ADDR", value_parser = place, conflicts_with = "command")]
    metrics: Option<Place>,
    /// Let whoever has the token in this file call functions there, by POST /call/ID
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "command")]
    admin_token_file: Option<PathBuf>,
}

#[derive(Debug, Clone)]
enum Place {
    Off,
    On(String),
}

fn place(text: &str) -> Result<Place, String> {
    if text == "off" {
        return Ok(Place::Off);
    }
    host_and_port(text, 9464).map(Place::On).map_err(|error| format!("{error}, or `off`"))
}

/// A listener that is open, and what answers on it.
pub struct Opened {
    /// What answers.
    pub admin: Arc<Admin>,
    listener: TcpListener,
    metrics: PrometheusHandle,
}

impl Opened {
    /// Records metrics from now on, and answers on this listener once it is served.
    ///
    /// # Errors
    /// When something else records metrics already.
    pub fn new(listener: TcpListener, token: Option<AdminToken>, dev: bool) -> anyhow::Result<Self> {
        let metrics = metrics::record()?;
        let handle = metrics.clone();
        let render: Box<dyn Fn() -> String + Send + Sync> = Box::new(move || handle.render());
        let admin = Arc::new(Admin::new(AdminOptions { metrics: Some(render), token, dev }));
        Ok(Self { admin, listener, metrics })
    }

    /// Answers until it is dropped.
    pub async fn serve(self) -> Infallible {
        tokio::select! {
            never = self.admin.serve(self.listener) => never,
            never = metrics::upkeep(&self.metrics) => never,
        }
    }
}

/// Opens the listener that the user asked for; `None` when it is off.
pub(super) async fn open(options: &ListenerOptions, dev: bool) -> Result<Option<Opened>, Failure> {
    let address = match (&options.metrics, &options.admin_token_file) {
        (None, _) => ADDRESS_DEFAULT,
        (Some(Place::On(address)), _) => address,
        (Some(Place::Off), None) => return Ok(None),
        (Some(Place::Off), Some(_)) => {
            let message = "--admin-token-file is for a listener that is off; leave --metrics off out";
            return Err(CallError::new(ErrorKind::Invalid, message).into());
        }
    };
    let token = match &options.admin_token_file {
        Some(path) => {
            let path = path.clone();
            Some(tokio::task::spawn_blocking(move || read_token(&path)).await.context("the token was not read")??)
        }
        None => None,
    };
    let listener = listen(address).await?;
    let bound = listener.local_addr().context("the admin listener has no address")?;
    tracing::info!("metrics on http://{bound}/metrics");
    if !bound.ip().is_loopback() {
        tracing::warn!(
            "{bound} is reachable from other machines: whoever reaches it sees the metrics and the tree of this process"
        );
    }
    Ok(Some(Opened::new(listener, token, dev)?))
}

/// Reads a token, once: one that changes later is not noticed.
fn read_token(path: &std::path::Path) -> anyhow::Result<AdminToken> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(TOKEN_BYTES_MAX + 1).read_to_string(&mut text))
        .with_context(|| format!("the token in {} cannot be read", path.display()))?;
    anyhow::ensure!(
        text.len() as u64 <= TOKEN_BYTES_MAX,
        "{} is no token: it has more than {TOKEN_BYTES_MAX} bytes",
        path.display()
    );
    AdminToken::new(&text).with_context(|| format!("{} has no token", path.display()))
}

/// Listens where operators will ask.
async fn listen(address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "address in use: {address}; choose another with --metrics HOST:PORT, or have no metrics with --metrics off"
        ),
        _ => anyhow::anyhow!("metrics cannot be served on {address}: {error}; choose another with --metrics HOST:PORT"),
    })
}
