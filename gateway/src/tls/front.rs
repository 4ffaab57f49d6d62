//! The gateway's side of TLS towards clients. It accepts handshakes with the newest certificate on disk; a handshake
//! under way keeps the one that it began with. It never falls back to plain text.

use super::{ALPN, certificate, pem, pem::Sources, provider};
use crate::{Error, settings::ClientTls};
use arc_swap::ArcSwap;
use rustls::{ServerConfig, pki_types::CertificateDer, server::WebPkiClientVerifier};
use std::{io, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// TLS towards clients.
#[derive(Debug)]
pub(crate) struct Front {
    settings: ClientTls,
    newest: ArcSwap<Generation>,
}

/// One state of the files.
#[derive(Debug)]
struct Generation {
    sources: Sources,
    config: Arc<ServerConfig>,
    end_point: Option<Vec<u8>>,
}

/// What a handshake has shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handshake {
    /// The client's own certificate, verified.
    pub(crate) certificate: Option<CertificateDer<'static>>,
    /// Digest of the gateway's certificate for `tls-server-end-point`, where one is defined.
    pub(crate) end_point: Option<Vec<u8>>,
}

impl Handshake {
    /// The names in the client's certificate: common name, and URIs.
    pub(crate) fn names(&self) -> (Option<String>, Vec<String>) {
        let Some(shown) = &self.certificate else { return (None, Vec::new()) };
        (certificate::common_name(shown), certificate::uris(shown))
    }
}

impl Front {
    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be read, holds something else, or key and certificate do not belong together.
    pub(crate) fn load(settings: &ClientTls) -> Result<Self, Error> {
        let newest = ArcSwap::from_pointee(Generation::of(settings, Self::sources(settings)?)?);
        Ok(Self { settings: settings.clone(), newest })
    }

    /// Reads the files again and takes them into use if they have changed; true if so.
    ///
    /// # Errors
    /// As [`Front::load`]; what was in use stays so.
    pub(crate) fn reread(&self) -> Result<bool, Error> {
        let sources = Self::sources(&self.settings)?;
        if sources == self.newest.load().sources {
            return Ok(false);
        }
        self.newest.store(Arc::new(Generation::of(&self.settings, sources)?));
        Ok(true)
    }

    /// Whether clients without TLS are turned away.
    pub(crate) fn required(&self) -> bool {
        self.settings.required
    }

    /// Answers a handshake; `direct` ones must name the protocol.
    ///
    /// # Errors
    /// The client's hello, certificate or protocol is not accepted; it has been told by an alert.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
        direct: bool,
    ) -> io::Result<(TlsStream<TcpStream>, Handshake)> {
        let generation = self.newest.load_full();
        let stream = TlsAcceptor::from(Arc::clone(&generation.config)).accept(stream).await?;
        let (_, session) = stream.get_ref();
        if direct && session.alpn_protocol() != Some(ALPN) {
            return Err(io::Error::other("a direct handshake without ALPN `postgresql`"));
        }
        let certificate = session
            .peer_certificates()
            .and_then(<[_]>::first)
            .map(|certificate| certificate.clone().into_owned());
        Ok((stream, Handshake { certificate, end_point: generation.end_point.clone() }))
    }

    fn sources(settings: &ClientTls) -> Result<Sources, Error> {
        let files = [
            Some(&settings.cert),
            Some(&settings.key),
            settings.client_ca.as_ref(),
            settings.client_crl.as_ref(),
        ];
        Sources::read(files.into_iter().flatten().map(std::path::PathBuf::as_path))
    }
}

impl Generation {
    fn of(settings: &ClientTls, sources: Sources) -> Result<Self, Error> {
        let chain = sources.certificates(&settings.cert)?;
        let key = sources.key(&settings.key)?;
        let end_point = chain.first().and_then(|own| certificate::server_end_point(own));
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| pem::fault(&settings.cert, &error))?;
        let builder = match &settings.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut verifier =
                    WebPkiClientVerifier::builder_with_provider(sources.roots(path)?, provider());
                if let Some(lists) = &settings.client_crl {
                    // An unknown or outdated word about a certificate is a no.
                    verifier = verifier
                        .with_crls(sources.revocations(lists)?)
                        .only_check_end_entity_revocation()
                        .enforce_revocation_expiration();
                }
                let path = settings.client_crl.as_ref().unwrap_or(path);
                let verifier = verifier.build().map_err(|error| pem::fault(path, &error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config =
            builder.with_single_cert(chain, key).map_err(|error| pem::fault(&settings.cert, &error))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self { sources, config: Arc::new(config), end_point })
    }
}
