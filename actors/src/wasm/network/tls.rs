//! Whom outgoing requests trust: certificates, loaded once, off the threads of guests.

use std::{fmt, io, net::IpAddr, sync::Arc};

use tokio::{net::TcpStream, sync::Mutex};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName},
    },
};
use url::Host;
use wasmtime_wasi_http::Error;

/// Whom outgoing `https` requests trust.
#[derive(Clone, Default)]
pub enum TrustedRoots {
    /// The certificates of the system, or those of the files that `SSL_CERT_FILE` and `SSL_CERT_DIR` name. Read when the
    /// first request needs them.
    #[default]
    System,
    /// These certificates alone, in DER.
    Certificates(Vec<Vec<u8>>),
}

impl fmt::Debug for TrustedRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("System"),
            Self::Certificates(certificates) => write!(f, "Certificates({} of them)", certificates.len()),
        }
    }
}

/// Makes connections secret, and sure of whom they reach.
pub(super) struct Tls {
    roots: TrustedRoots,
    /// Made when it is first needed; while it is being made, others wait.
    connector: Mutex<Option<TlsConnector>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.roots).finish()
    }
}

impl Tls {
    pub(super) fn new(roots: TrustedRoots) -> Self {
        Self { roots, connector: Mutex::default() }
    }

    /// Agrees on a secret with a server that proves to be the host.
    ///
    /// # Errors
    /// When it does not, as `wasi:http` names it.
    pub(super) async fn connect(&self, host: &Host, stream: TcpStream) -> Result<TlsStream<TcpStream>, Error> {
        let name = match host {
            Host::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(name).to_owned();
                ServerName::try_from(name).map_err(|_| Error::HttpRequestUriInvalid)?
            }
            Host::Ipv4(address) => ServerName::from(IpAddr::from(*address)),
            Host::Ipv6(address) => ServerName::from(IpAddr::from(*address)),
        };
        self.connector().await?.connect(name, stream).await.map_err(|error| refused(&error))
    }

    async fn connector(&self) -> Result<TlsConnector, Error> {
        let mut connector = self.connector.lock().await;
        match &*connector {
            Some(connector) => Ok(connector.clone()),
            None => Ok(connector.insert(self.load().await?).clone()),
        }
    }

    async fn load(&self) -> Result<TlsConnector, Error> {
        let roots = self.roots.clone();
        let loading = tokio::task::spawn_blocking(move || config(roots));
        let config = match loading.await {
            Ok(Ok(config)) => config,
            Ok(Err(error)) => {
                tracing::error!("https requests of guests cannot be made: {error}");
                return Err(Error::ConfigurationError);
            }
            Err(_) => return Err(Error::InternalError(None)),
        };
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

fn config(roots: TrustedRoots) -> Result<ClientConfig, rustls::Error> {
    let certificates = match roots {
        TrustedRoots::Certificates(certificates) => certificates.into_iter().map(CertificateDer::from).collect(),
        TrustedRoots::System => {
            let found = rustls_native_certs::load_native_certs();
            for error in &found.errors {
                tracing::warn!("a certificate of the system cannot be read: {error}");
            }
            found.certs
        }
    };
    let mut store = RootCertStore::empty();
    // The system may keep some that nobody can use any more.
    let (used, unusable) = store.add_parsable_certificates(certificates);
    if used == 0 {
        tracing::warn!(
            unusable,
            "no certificate is trusted, so https requests of guests will fail; install ca-certificates, or name a file \
             in SSL_CERT_FILE"
        );
    }
    // Named here, because a process-wide provider is for the embedder to choose.
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn refused(error: &io::Error) -> Error {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    tracing::debug!("no TLS connection: {error}");
    match cause {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Error::TlsCertificateError
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            Error::TlsAlertReceived { alert_id: Some(u8::from(*alert)), alert_message: Some(format!("{alert:?}")) }
        }
        Some(_) => Error::TlsProtocolError,
        None if error.kind() == io::ErrorKind::UnexpectedEof => Error::ConnectionTerminated,
        None => Error::TlsProtocolError,
    }
}
