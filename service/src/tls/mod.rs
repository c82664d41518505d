//! TLS: who is believed, and how we make ourselves believed.
//!
//! **The problem.** Encryption without a check of the other side protects against nobody who can get in between: he
//! simply offers a certificate of his own. And a certificate that cannot work (expired, of another key) must stop the
//! start, not the first customer.
//!
//! **How it works.** `client` trusts the CA that it is given, or those of the system. [`server`] looks at its own
//! certificate the way a client would. One library, rustls, and one provider of its cryptography serve the API,
//! Postgres, Redis and the payment gateway. `make certs` makes certificates to try it with.
//!
//! **Watch it break.** `tests/api/tls/server.rs`, `tests/api/tls/postgres.rs`, `tests/api/tls/redis.rs`.

pub(crate) mod client;
pub mod server;

use std::path::Path;

use anyhow::{Context as _, bail};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// The certificates of a PEM file, of which there must be one at least.
fn load_certificates(path: &Path, variable: &str) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let unreadable = || format!("{variable}: {} can't be read", path.display());
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(unreadable)?;
    if certificates.is_empty() {
        bail!("{variable}: {} has no certificate in PEM", path.display());
    }
    Ok(certificates)
}
