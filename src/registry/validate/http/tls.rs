//! The certificates of a server. They are read at load, so that their faults are shown at the entry; no message tells what
//! is in a key.

use tokio_rustls::rustls::{
    self, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use super::super::{
    super::{
        check::place,
        diagnostic::Diagnostic,
        document::{Pair, Value},
        http::{ClientAuth, TlsSpec},
        path::FieldPath,
    },
    Reader, text,
};

/// Bytes of a PEM text at most.
const PEM_BYTES_MAX: u64 = 1 << 20;

const TLS: FieldPath<'static> = FieldPath::Field(&FieldPath::Root, "tls");

impl Reader<'_> {
    /// The inner `None` is plain HTTP, the outer one a fault.
    pub(super) fn tls(&mut self) -> Option<Option<TlsSpec>> {
        let Some(tls) = self.node.get("tls") else { return Some(None) };
        if !matches!(tls.value, Value::Map(_)) {
            return None;
        }
        let cert = tls.pair("cert").and_then(|pair| Some((pair, self.pem(pair)?)));
        let key = tls.pair("key").and_then(|pair| Some((pair, self.pem(pair)?)));
        let client_ca = match tls.pair("client_ca") {
            Some(pair) => self.authorities(pair).map(Some),
            None => Some(None),
        };
        let client_auth = self.client_auth(tls.pair("client_auth"), tls.pair("client_ca"));
        let chain = cert.as_ref().and_then(|(pair, pem)| self.certificates(pair, pem));
        let private = key.as_ref().and_then(|(pair, pem)| self.private_key(pair, pem));
        let ((cert_pair, cert), (key_pair, key)) = (cert?, key?);
        if let Err(error) = CertifiedKey::from_der(chain?, private?, &ring::default_provider()) {
            match error {
                rustls::Error::InconsistentKeys(_) => {
                    self.tls_error(key_pair, "the key does not belong to the certificate")
                        .label("another key than that of the first certificate in `tls.cert`");
                }
                rustls::Error::InvalidCertificate(_) => {
                    self.tls_error(cert_pair, "the first certificate of `tls.cert` cannot be read");
                }
                _ => {
                    self.tls_error(key_pair, "the key cannot be used").label("expected an RSA, ECDSA or Ed25519 key");
                }
            }
            return None;
        }
        Some(Some(TlsSpec { cert, key, client_ca: client_ca?, client_auth: client_auth? }))
    }

    /// A PEM text, in the entry or in a file beside it.
    fn pem(&mut self, pair: &Pair) -> Option<String> {
        let variable = format!("TLS_{}", pair.key.to_uppercase());
        let bounds = text::Bounds {
            what: "a PEM text",
            bytes_max: PEM_BYTES_MAX,
            bound: format!("a PEM text has at most {} MiB", PEM_BYTES_MAX >> 20),
            not_utf8: "PEM is a text, with lines such as `-----BEGIN CERTIFICATE-----`",
            example: "file://name.pem",
            outside: Some(format!(
                "keep it in the registry, or write `${{env:{variable}}}`, with an `env.variable` `{variable}` on an \
                 `env.storage.os`"
            )),
        };
        self.text(pair, FieldPath::Field(&TLS, &pair.key), &bounds)
    }

    fn certificates(&mut self, pair: &Pair, pem: &str) -> Option<Vec<CertificateDer<'static>>> {
        let found = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
        let message = match found {
            Ok(found) if !found.is_empty() => return Some(found),
            Ok(_) => format!("there is no certificate in `tls.{}`", pair.key),
            Err(_) => format!("`tls.{}` is not PEM", pair.key),
        };
        self.tls_error(pair, message)
            .label("expected `-----BEGIN CERTIFICATE-----`")
            .help("for a file, write `file://name.pem`; the path is relative to the YAML file");
        None
    }

    fn private_key(&mut self, pair: &Pair, pem: &str) -> Option<PrivateKeyDer<'static>> {
        if pem.contains("BEGIN ENCRYPTED PRIVATE KEY") || pem.contains("Proc-Type: 4,ENCRYPTED") {
            self.tls_error(pair, "the key is encrypted")
                .label("expected a key without a passphrase")
                .help("`openssl pkey -in encrypted.pem -out key.pem` decrypts it");
            return None;
        }
        // The fault of a parser tells the line it is about.
        let Ok(key) = PrivateKeyDer::from_pem_slice(pem.as_bytes()) else {
            self.tls_error(pair, "there is no private key in `tls.key`")
                .label("expected `-----BEGIN PRIVATE KEY-----`")
                .help("for a file, write `file://name.pem`; the path is relative to the YAML file");
            return None;
        };
        Some(key)
    }

    /// `client_ca`.
    fn authorities(&mut self, pair: &Pair) -> Option<String> {
        let pem = self.pem(pair)?;
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates(pair, &pem)? {
            if roots.add(certificate).is_err() {
                self.tls_error(pair, "a certificate of `tls.client_ca` cannot be read");
                return None;
            }
        }
        Some(pem)
    }

    fn client_auth(&mut self, auth: Option<&Pair>, ca: Option<&Pair>) -> Option<ClientAuth> {
        let asked = match auth.map(|auth| auth.value.text()) {
            Some(Some("optional")) => ClientAuth::Optional,
            Some(Some("required")) => ClientAuth::Required,
            Some(Some("none")) | None => ClientAuth::None,
            Some(_) => return None,
        };
        match (auth, asked, ca) {
            (_, ClientAuth::None, Some(ca)) => {
                self.tls_error(ca, "`tls.client_ca` does nothing here")
                    .label("clients are asked for no certificate")
                    .help("add `client_auth: required`, or `optional`");
                None
            }
            (Some(auth), ClientAuth::Optional | ClientAuth::Required, None) => {
                self.tls_error(auth, "nobody is known to sign certificates of clients")
                    .label("needs `client_ca`")
                    .help("add `client_ca: file://ca.pem`");
                None
            }
            _ => Some(asked),
        }
    }

    fn tls_error(&mut self, pair: &Pair, message: impl Into<String>) -> &mut Diagnostic {
        self.scope.error(place(pair), FieldPath::Field(&TLS, &pair.key), message)
    }
}
