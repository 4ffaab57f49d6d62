//! The gateway's side of TLS towards the server, with libpq's `sslmode`s. It asks before it protects, and never goes on
//! in plain text where the mode wants TLS.

use super::{pem, pem::Sources, provider};
use crate::{
    Error,
    settings::{SslMode, Upstream, UpstreamTls},
};
use arc_swap::ArcSwap;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use std::{io, path::Path, sync::Arc};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// TLS towards the server.
#[derive(Debug)]
pub(crate) struct Back {
    settings: UpstreamTls,
    name: ServerName<'static>,
    newest: ArcSwap<Generation>,
}

/// A connection as the server wanted it.
pub(crate) enum Reached {
    Protected(Box<TlsStream<TcpStream>>),
    Plain(TcpStream),
}

#[derive(Debug)]
struct Generation {
    sources: Sources,
    config: Arc<ClientConfig>,
}

impl Back {
    /// Reads the files; `None` where TLS is not wanted, or the server is reached over a unix socket.
    ///
    /// # Errors
    /// A file cannot be read or holds something else, or the host is neither a name nor an address.
    pub(crate) fn load(upstream: &Upstream) -> Result<Option<Self>, Error> {
        let settings = upstream.tls.clone();
        if settings.mode == SslMode::Disable || upstream.socket().is_some() {
            return Ok(None);
        }
        let name = ServerName::try_from(upstream.host.clone())
            .map_err(|error| pem::fault(Path::new(&upstream.host), &error))?;
        let newest = ArcSwap::from_pointee(Generation::of(&settings, sources(&settings)?)?);
        Ok(Some(Self { settings, name, newest }))
    }

    /// Reads the files again and takes them into use if they have changed; true if so.
    ///
    /// # Errors
    /// As [`Back::load`]; what was in use stays so.
    pub(crate) fn reread(&self) -> Result<bool, Error> {
        let sources = sources(&self.settings)?;
        if sources == self.newest.load().sources {
            return Ok(false);
        }
        self.newest.store(Arc::new(Generation::of(&self.settings, sources)?));
        Ok(true)
    }

    /// Asks the server for TLS, and shakes hands.
    ///
    /// # Errors
    /// The server declines what the mode wants, or does not prove who it is.
    pub(crate) async fn reach(&self, mut stream: TcpStream) -> io::Result<Reached> {
        stream.write_all(&SSL_REQUEST).await?;
        // One byte and no more: what comes behind it belongs to the handshake, or is nobody's.
        match stream.read_u8().await? {
            b'S' => {}
            b'N' if self.settings.mode == SslMode::Prefer => return Ok(Reached::Plain(stream)),
            b'N' => return Err(io::Error::other("it does not speak TLS, and `sslmode` wants it")),
            _ => return Err(io::Error::other("it does not answer like a PostgreSQL server")),
        }
        let connector = TlsConnector::from(Arc::clone(&self.newest.load().config));
        Ok(Reached::Protected(Box::new(connector.connect(self.name.clone(), stream).await?)))
    }
}

fn sources(settings: &UpstreamTls) -> Result<Sources, Error> {
    let files = [&settings.root, &settings.cert, &settings.key];
    Sources::read(files.into_iter().flatten().map(std::path::PathBuf::as_path))
}

impl Generation {
    fn of(settings: &UpstreamTls, sources: Sources) -> Result<Self, Error> {
        let place = settings.root.as_deref().unwrap_or(Path::new("sslmode"));
        let roots = settings.root.as_deref().map(|path| sources.roots(path)).transpose()?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| pem::fault(place, &error))?
            .dangerous();
        let builder = match (settings.mode, roots) {
            (SslMode::VerifyFull, Some(roots)) => {
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider()).build();
                builder.with_custom_certificate_verifier(verifier.map_err(|error| pem::fault(place, &error))?)
            }
            (SslMode::VerifyFull | SslMode::VerifyCa, None) => {
                return Err(pem::fault(
                    place,
                    &"this `sslmode` verifies the server and needs `sslrootcert=FILE`",
                ));
            }
            // As libpq: whoever names roots with `require` wants them used.
            (_, roots) => {
                builder.with_custom_certificate_verifier(Arc::new(Unnamed { roots, provider: provider() }))
            }
        };
        let config = match (&settings.cert, &settings.key) {
            (Some(cert), Some(key)) => builder
                .with_client_auth_cert(sources.certificates(cert)?, sources.key(key)?)
                .map_err(|error| pem::fault(cert, &error))?,
            _ => builder.with_no_client_auth(),
        };
        Ok(Self { sources, config: Arc::new(config) })
    }
}

/// Verifies that a root has signed, where there are roots, and never looks at the name.
#[derive(Debug)]
struct Unnamed {
    roots: Option<Arc<RootCertStore>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Unnamed {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(end_entity)
                .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Length 8, code 1234 5679 (PostgreSQL protocol, SSLRequest).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
