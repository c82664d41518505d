//! A Redis of the test's own that speaks TLS and asks for a password.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use super::certificates::LeafCertificate;
use super::redis_server::RedisServer;

/// A Redis behind a TLS port of its own; gone with the value. The test terminates TLS, because not
/// every build of Redis can.
pub struct TlsRedisServer {
    url: String,
    _listener: AbortOnDropHandle<()>,
    _redis: RedisServer,
}

impl TlsRedisServer {
    /// Starts one with that certificate, and waits until it listens.
    pub async fn start(leaf: &LeafCertificate, password: &str) -> Self {
        let redis = RedisServer::start_with_password(password).await;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepting = accept(listener, acceptor(leaf), redis.socket().to_owned());
        Self {
            url: format!("rediss://:{password}@127.0.0.1:{port}"),
            _listener: AbortOnDropHandle::new(tokio::spawn(accepting)),
            _redis: redis,
        }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }
}

fn acceptor(leaf: &LeafCertificate) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(&leaf.certificate).unwrap();
    let key = PrivateKeyDer::from_pem_file(&leaf.key).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Arc::new(config).into()
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, socket: PathBuf) {
    while let Ok((client, _)) = listener.accept().await {
        let (acceptor, socket) = (acceptor.clone(), socket.clone());
        // A client that rejects the certificate ends its connection, and no other.
        tokio::spawn(async move { forward(client, acceptor, socket).await.ok() });
    }
}

async fn forward(client: TcpStream, acceptor: TlsAcceptor, socket: PathBuf) -> std::io::Result<()> {
    let mut client = acceptor.accept(client).await?;
    let mut redis = UnixStream::connect(socket).await?;
    copy_bidirectional(&mut client, &mut redis).await?;
    Ok(())
}
