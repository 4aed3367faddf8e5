//! HTTPS: certificates of the server and of its clients.

use std::time::Duration;

use greenroom::{
    http::{Options, Servers},
    registry::http::{ClientAuth, ServerSpec, Timeouts, TlsSpec},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::{Certificate, ClientBuilder, Identity, Version};

use super::{Backstage, PATIENCE, Stage, plain, runtime, serve};

/// One that signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for a name, and its key, as PEM.
    pub fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

async fn with(name: &str, authority: &Authority, client_auth: ClientAuth, timeouts: Timeouts) -> Stage {
    let (cert, key) = authority.sign("localhost");
    let client_ca = (client_auth != ClientAuth::None).then(|| authority.0.pem());
    let tls = Some(TlsSpec { cert, key, client_ca, client_auth });
    serve(name, ServerSpec { tls, timeouts, ..plain() }).await
}

fn client(authority: &Authority) -> ClientBuilder {
    // The second time, there is one already.
    drop(tokio_rustls::rustls::crypto::ring::default_provider().install_default());
    let root = Certificate::from_pem(authority.0.pem().as_bytes()).unwrap();
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).tls_certs_only([root])
}

fn url(stage: &Stage) -> String {
    format!("https://localhost:{}/hello", stage.address.port())
}

const HOUR: Duration = Duration::from_secs(3600);
const LONG: Timeouts = Timeouts { read: HOUR, write: HOUR, idle: HOUR };

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_certificate_speaks_https_in_the_version_that_the_client_prefers() {
    let authority = Authority::new();
    let stage = with("http-tls", &authority, ClientAuth::None, LONG).await;
    for (builder, version) in
        [(client(&authority), Version::HTTP_2), (client(&authority).http1_only(), Version::HTTP_11)]
    {
        let response = builder.build().unwrap().get(url(&stage)).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (200, version));
        assert_eq!(response.text().await.unwrap(), "\"hello\"");
    }
    let stranger = client(&Authority::new()).build().unwrap();
    assert!(stranger.get(url(&stage)).send().await.unwrap_err().is_connect());
    // Plain HTTP is none.
    let plain = stage.raw("GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(!plain.contains("HTTP/1.1"), "{plain:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_clients_are_looked_at_as_the_server_says() {
    let authority = Authority::new();
    let identity = |authority: &Authority| {
        let (cert, key) = authority.sign("client");
        Identity::from_pem(format!("{cert}{key}").as_bytes()).unwrap()
    };
    let stranger = Authority::new();
    let expected = [
        ("http-mtls-optional", ClientAuth::Optional, [true, true, false]),
        ("http-mtls-required", ClientAuth::Required, [false, true, false]),
        ("http-mtls-none", ClientAuth::None, [true, true, true]),
    ];
    for (name, client_auth, expected) in expected {
        let stage = with(name, &authority, client_auth, LONG).await;
        let without = client(&authority);
        let good = client(&authority).identity(identity(&authority));
        let bad = client(&authority).identity(identity(&stranger));
        for (builder, expected) in [without, good, bad].into_iter().zip(expected) {
            let response = builder.build().unwrap().get(url(&stage)).send().await;
            assert_eq!(response.is_ok(), expected, "{name}: {response:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_does_not_end_closes_the_connection() {
    let authority = Authority::new();
    let timeouts = Timeouts { read: Duration::from_secs(1), ..LONG };
    let stage = with("http-handshake", &authority, ClientAuth::None, timeouts).await;
    assert_eq!(stage.raw("").await, "");
    // The beginning of a record that has more.
    assert_eq!(stage.raw([22, 3, 1, 2, 0, 1]).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_are_none_are_named_and_not_shown() {
    let runtime = runtime("http-bad-tls", &["hello", "echo", "wait", "large"], &Backstage::new()).await;
    let (cert, key) = Authority::new().sign("localhost");
    let (_, other_key) = Authority::new().sign("localhost");
    let spec = |cert: &str, key: &str, client_ca: Option<&str>| TlsSpec {
        cert: cert.to_owned(),
        key: key.to_owned(),
        client_ca: client_ca.map(str::to_owned),
        client_auth: if client_ca.is_some() { ClientAuth::Required } else { ClientAuth::None },
    };
    for (tls, field) in [
        (spec("secret", &key, None), "tls.cert"),
        (spec(&cert, "secret", None), "tls.key"),
        (spec(&cert, &other_key, None), "tls.key"),
        (spec(&cert, &key, Some("secret")), "tls.client_ca"),
    ] {
        let spec = ServerSpec { id: Some(super::id("api")), tls: Some(tls), ..plain() };
        let error = Servers::bind(&runtime, &[spec], &Options::default()).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("test:api: {field}: ")), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}
