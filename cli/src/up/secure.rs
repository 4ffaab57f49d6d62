//! The flags for TLS towards clients and for logins. They are read here and used by the gateway; nothing is opened.

use crate::error::Error;
use clap::{Args, ValueEnum};
use clyra_gateway::ClientTls;
use std::path::PathBuf;

/// TLS towards clients, and logins.
#[derive(Debug, Args)]
#[command(next_help_heading = "TLS and logins")]
pub(crate) struct SecureArgs {
    /// The gateway's certificate chain (PEM); read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key to it (PEM, not encrypted)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Roots for clients' certificates (PEM); turns away whoever has none
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
    /// Lists of revoked clients' certificates (PEM, one from each issuer); read again when it changes. A certificate whose
    /// issuer has no list, or only an outdated one, is turned away
    #[arg(long, value_name = "FILE", requires = "tls_client_ca")]
    tls_client_crl: Option<PathBuf>,
    /// What becomes of clients without TLS [default: required with --tls-cert]
    #[arg(long, value_name = "WHEN", requires = "tls_cert")]
    tls: Option<When>,
    /// Login file (YAML): clients log in at the gateway, by SCRAM, token or certificate, and the gateway goes on with
    /// credentials of its own; docs/logins.md says what stands in it [default: clients log in at the upstream]
    #[arg(long, value_name = "FILE")]
    login: Option<PathBuf>,
    /// Environment variable that holds the gateway's own password at the upstream, read once at the start
    #[arg(long, value_name = "NAME", requires = "login")]
    upstream_password_env: Option<String>,
}

/// What becomes of clients without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum When {
    /// They are turned away; cancel requests, which carry no data, are not
    Required,
    /// They are let in
    Optional,
}

impl SecureArgs {
    /// The login file.
    pub(crate) fn login(&self) -> Option<PathBuf> {
        self.login.clone()
    }

    /// The password in the named variable.
    ///
    /// # Errors
    /// There is no such variable, or it holds no text.
    pub(crate) fn upstream_password(&self) -> Result<Option<String>, Error> {
        let Some(name) = &self.upstream_password_env else { return Ok(None) };
        #[expect(
            clippy::disallowed_methods,
            reason = "a flag names the variable, and it is read once, at the start"
        )]
        let password = std::env::var(name).ok().filter(|password| !password.is_empty());
        let why =
            || Error::Usage(format!("--upstream-password-env `{name}`: no such variable, or it is empty"));
        password.map(Some).ok_or_else(why)
    }

    /// What the gateway is to be told.
    ///
    /// # Errors
    /// Clients' certificates are asked for, and clients without TLS let in.
    pub(crate) fn tls(self) -> Result<Option<ClientTls>, Error> {
        let (Some(cert), Some(key)) = (self.tls_cert, self.tls_key) else { return Ok(None) };
        let required = self.tls != Some(When::Optional);
        if self.tls_client_ca.is_some() && !required {
            return Err(Error::Usage(
                "--tls-client-ca asks every client for a certificate, and --tls optional lets in clients that \
                 cannot show one; leave one of them out"
                    .into(),
            ));
        }
        Ok(Some(ClientTls {
            cert,
            key,
            client_ca: self.tls_client_ca,
            client_crl: self.tls_client_crl,
            required,
        }))
    }
}
