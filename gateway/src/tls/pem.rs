//! Reads certificates and keys from PEM files, and says what a file should have held. It never writes one.

use crate::Error;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// The bytes of all files that one side of TLS is made from, to see later whether any of them has changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sources(Vec<(PathBuf, Vec<u8>)>);

impl Sources {
    /// Reads all of them.
    pub(super) fn read<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Result<Self, Error> {
        let mut files = Vec::new();
        for path in paths {
            let bytes = std::fs::read(path).map_err(|error| fault(path, &error))?;
            files.push((path.to_path_buf(), bytes));
        }
        Ok(Self(files))
    }

    /// Certificates in the order of the file.
    pub(super) fn certificates(&self, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(self.bytes(path)).collect();
        match found {
            Ok(found) if !found.is_empty() => Ok(found),
            Ok(_) => Err(fault(path, &"holds no certificate; expected `-----BEGIN CERTIFICATE-----`")),
            Err(error) => Err(fault(path, &error)),
        }
    }

    /// The first private key.
    pub(super) fn key(&self, path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
        PrivateKeyDer::from_pem_slice(self.bytes(path)).map_err(|error| {
            fault(
                path,
                &format!("holds no private key ({error}); expected PKCS#8, PKCS#1 or SEC1, not encrypted"),
            )
        })
    }

    /// All certificates as roots that are believed.
    pub(super) fn roots(&self, path: &Path) -> Result<Arc<RootCertStore>, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates(path)? {
            roots.add(certificate).map_err(|error| fault(path, &error))?;
        }
        Ok(Arc::new(roots))
    }

    /// Lists of revoked certificates.
    pub(super) fn revocations(
        &self,
        path: &Path,
    ) -> Result<Vec<CertificateRevocationListDer<'static>>, Error> {
        let found: Result<Vec<_>, _> =
            CertificateRevocationListDer::pem_slice_iter(self.bytes(path)).collect();
        match found {
            Ok(found) if !found.is_empty() => Ok(found),
            Ok(_) => Err(fault(path, &"holds no list; expected `-----BEGIN X509 CRL-----`")),
            Err(error) => Err(fault(path, &error)),
        }
    }

    fn bytes(&self, path: &Path) -> &[u8] {
        self.0.iter().find(|(known, _)| known == path).map_or(&[], |(_, bytes)| bytes)
    }
}

/// A file that TLS cannot be made from.
pub(super) fn fault(path: &Path, why: &impl ToString) -> Error {
    Error::Tls { path: path.to_path_buf(), why: why.to_string() }
}
