//! Whom a guest's `https` requests trust.

use std::{net::SocketAddr, process::Command};

use greenroom_actors::wasm::{NetworkOptions, Prepared, TrustedRoots};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::{io::AsyncReadExt, io::AsyncWriteExt, net::TcpListener};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use super::*;

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn issuer() -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Serves `https` with a certificate for these hosts, in a thread of its own.
fn https(issuer: &Issuer, hosts: &[&str]) -> u16 {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()).unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (sender, address) = mpsc::channel::<SocketAddr>();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                // A client that trusts nobody breaks off.
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                stream.write_all(OK.as_bytes()).await.unwrap();
                drop(stream.shutdown().await);
            }
        });
    });
    address.recv().unwrap().port()
}

fn trusting(issuer: &Issuer, port: u16) -> Prepared {
    let names = names().with("other.test", &[&["127.0.0.1"]]);
    let roots = TrustedRoots::Certificates(vec![issuer.as_ref().der().to_vec()]);
    let options = NetworkOptions { roots, ..names.options() };
    prepare_with(options, &fetch("get", &allow(&["*.test:PORT", "127.0.0.0/8:PORT"], port)))
}

#[test]
fn a_server_is_trusted_for_the_names_of_its_certificate() {
    let issuer = issuer();
    let port = https(&issuer, &["api.test", "127.0.0.1"]);
    let prepared = trusting(&issuer, port);
    for host in ["api.test", "API.test", "127.0.0.1"] {
        assert_eq!(get(&prepared, &format!("https://{host}:{port}/")), json!({ "ok": [200, "hi"] }), "{host}");
    }
    for host in ["other.test", "127.0.0.2"] {
        let outcome = get(&prepared, &format!("https://{host}:{port}/"));
        let expected = if host == "other.test" { "TLS-certificate-error" } else { "connection-refused" };
        assert_eq!(outcome, refused(expected), "{host}");
    }
}

#[test]
fn a_server_whose_issuer_is_not_trusted_is_refused() {
    let port = https(&issuer(), &["api.test"]);
    let prepared = trusting(&issuer(), port);
    assert_eq!(get(&prepared, &format!("https://api.test:{port}/")), refused("TLS-certificate-error"));
}

#[test]
fn a_server_without_tls_is_no_https_server() {
    let port = silent_after("HTTP/1.1 400 Bad Request\r\n\r\n");
    let prepared = trusting(&issuer(), port);
    assert_eq!(get(&prepared, &format!("https://api.test:{port}/")), refused("TLS-protocol-error"));
}

/// Set in the process that the test below starts: the port of its server.
const PORT_VARIABLE: &str = "GREENROOM_TEST_HTTPS_PORT";

#[test]
fn the_certificates_of_ssl_cert_file_are_trusted() {
    if let Ok(port) = std::env::var(PORT_VARIABLE) {
        let port = port.parse().unwrap();
        let options = NetworkOptions { roots: TrustedRoots::System, ..names().options() };
        let prepared = prepare_with(options, &fetch("get", &allow(&["api.test:PORT", "127.0.0.1:PORT"], port)));
        assert_eq!(get(&prepared, &format!("https://api.test:{port}/")), json!({ "ok": [200, "hi"] }));
        return;
    }
    let issuer = issuer();
    let port = https(&issuer, &["api.test"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    // The variable is of a whole process, so this very test goes on in another one.
    let again = |certificates: &str| {
        std::fs::write(&file, certificates).unwrap();
        let mut test = Command::new(std::env::current_exe().unwrap());
        test.args(["--exact", "wasm::http::tls::the_certificates_of_ssl_cert_file_are_trusted"]);
        test.env("SSL_CERT_FILE", &file).env_remove("SSL_CERT_DIR").env(PORT_VARIABLE, port.to_string());
        let output = test.output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(stdout.contains("running 1 test"), "{stdout}");
        output.status.success()
    };
    assert!(again(&issuer.as_ref().pem()));
    assert!(!again(&self::issuer().as_ref().pem()));
}
