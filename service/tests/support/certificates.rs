//! A CA of the test's own, and certificates that it signed.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use uuid::Uuid;

/// A CA with a folder for what it signs; gone with the value.
pub struct CertificateAuthority {
    folder: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key, as PEM files.
#[derive(Clone)]
pub struct LeafCertificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl CertificateAuthority {
    pub fn new() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("certificates-{}", Uuid::new_v4().simple()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::default();
        // Each has a name of its own, or a stranger would seem to be known.
        let name = Uuid::new_v4().to_string();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.join("ca.crt"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    /// The file with the CA's own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// The same for a client.
    pub fn root_certificate(&self) -> reqwest::Certificate {
        reqwest::Certificate::from_pem(self.issuer.pem().as_bytes()).unwrap()
    }

    /// For this machine.
    pub fn leaf(&self) -> LeafCertificate {
        self.leaf_for("127.0.0.1")
    }

    pub fn leaf_for(&self, name: &str) -> LeafCertificate {
        self.sign(name, (2000, 4000))
    }

    /// Valid from the beginning of one year to that of the other.
    pub fn leaf_valid(&self, from: i32, to: i32) -> LeafCertificate {
        self.sign("127.0.0.1", (from, to))
    }

    fn sign(&self, name: &str, (from, to): (i32, i32)) -> LeafCertificate {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        self.write(&signed.pem(), &key.serialize_pem())
    }

    fn write(&self, certificate: &str, key: &str) -> LeafCertificate {
        let name = Uuid::new_v4().simple().to_string();
        let leaf = LeafCertificate {
            certificate: self.folder.join(format!("{name}.crt")),
            key: self.folder.join(format!("{name}.key")),
        };
        std::fs::write(&leaf.certificate, certificate).unwrap();
        std::fs::write(&leaf.key, key).unwrap();
        leaf
    }
}

impl Drop for CertificateAuthority {
    fn drop(&mut self) {
        // Best effort: a file more in the build folder harms nobody.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The CA that signed the certificate of the tests' Postgres.
pub fn postgres_ca() -> PathBuf {
    let folder = std::env::var_os("ORDERLY_TEST_CERTIFICATES")
        .expect("ORDERLY_TEST_CERTIFICATES is not set: run the tests with `make test`");
    PathBuf::from(folder).join("ca.crt")
}
