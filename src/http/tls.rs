//! TLS: certificates become an acceptor, which prefers HTTP/2. That the handshake ends in time is the business of
//! `connection`.

use std::sync::Arc;

use greenroom_actors::spec::FunctionId;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject},
        },
        server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    },
};

use super::server::BindError;
use crate::registry::http::{ClientAuth, TlsSpec};

/// What answers the handshakes of a server.
pub(super) fn acceptor(id: Option<&FunctionId>, spec: &TlsSpec) -> Result<TlsAcceptor, BindError> {
    let at = |field: &'static str| move |message: String| BindError::Entry { id: id.cloned(), field, message };
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| at("tls")(error.to_string()))?;
    let config = match client_verifier(spec, provider).map_err(at("tls.client_ca"))? {
        None => config.with_no_client_auth(),
        Some(verifier) => config.with_client_cert_verifier(verifier),
    };
    let chain = certificates(&spec.cert).map_err(at("tls.cert"))?;
    let key = PrivateKeyDer::from_pem_slice(spec.key.as_bytes()).map_err(|error| at("tls.key")(of_pem(&error)))?;
    let mut config = config.with_single_cert(chain, key).map_err(|error| at("tls.key")(error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Who looks at the certificates of clients; `None` when none is asked for.
fn client_verifier(
    spec: &TlsSpec,
    provider: Arc<tokio_rustls::rustls::crypto::CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    if spec.client_auth == ClientAuth::None {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    for certificate in certificates(spec.client_ca.as_deref().unwrap_or_default())? {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match spec.client_auth {
        ClientAuth::Optional => builder.allow_unauthenticated(),
        ClientAuth::None | ClientAuth::Required => builder,
    };
    builder.build().map(Some).map_err(|error| error.to_string())
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Vec<_> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(|error| of_pem(&error))?;
    if all.is_empty() { Err("there is no certificate in it".to_owned()) } else { Ok(all) }
}

/// What is wrong with a PEM, without what is in it.
fn of_pem(error: &pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "there is no unencrypted private key in it".to_owned(),
        _ => "it is no PEM".to_owned(),
    }
}
