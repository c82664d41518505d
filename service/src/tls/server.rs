//! The certificate that clients see.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore, ServerConfig};

use super::load_certificates;
use crate::config::{HttpConfig, variable_name};

/// What the API listener needs for TLS 1.2 and 1.3; `None` without a certificate.
///
/// # Errors
/// Returns an error if a file can't be read, the key is the one of another certificate, or the certificate is not
/// valid today.
pub fn config(http: &HttpConfig) -> anyhow::Result<Option<ServerConfig>> {
    let (Some(certificate), Some(key)) = (&http.tls_certificate, &http.tls_key) else {
        return Ok(None);
    };
    let (certificate_variable, key_variable) = (
        variable_name("http.tls_certificate"),
        variable_name("http.tls_key"),
    );
    let chain = load_certificates(certificate, &certificate_variable)?;
    require_valid_today(&chain, certificate, &certificate_variable)?;
    let private_key = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("{key_variable}: {} can't be read", key.display()))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, private_key)
        .with_context(|| {
            let (certificate, key) = (certificate.display(), key.display());
            format!("{key_variable}: {key} is not the key of {certificate}")
        })?;
    config.alpn_protocols = match http.http2 {
        true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        false => vec![b"http/1.1".to_vec()],
    };
    Ok(Some(config))
}

/// Asks what a client would ask first. Whether it would trust the CA is its own affair, so the certificate vouches for
/// itself here.
fn require_valid_today(
    chain: &[CertificateDer<'static>],
    path: &Path,
    variable: &str,
) -> anyhow::Result<()> {
    let Some(leaf) = chain.first() else {
        return Ok(());
    };
    let mut roots = RootCertStore::empty();
    let unusable = || format!("{variable}: {} can't be used", path.display());
    roots.add(leaf.clone()).with_context(unusable)?;
    let verifier = WebPkiServerVerifier::builder(Arc::new(roots))
        .build()
        .with_context(unusable)?;
    let name = ServerName::try_from("localhost").with_context(unusable)?;
    match verifier.verify_server_cert(leaf, &chain[1..], &name, &[], UnixTime::now()) {
        Err(rustls::Error::InvalidCertificate(
            error @ (CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
            | CertificateError::BadEncoding),
        )) => Err(anyhow::Error::new(rustls::Error::InvalidCertificate(error)).context(unusable())),
        _ => Ok(()),
    }
}
