//! The login file: who may log in at the gateway, and as whom the gateway goes on to the server. It is read as a whole,
//! with every file that it names, and never in part.

use super::lookup::Lookup;
use crate::{
    Error,
    proof::{scram::Verifier, token::Tokens, users},
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

/// The login file and all that it names, read.
pub(super) struct Book {
    /// What it was made from, to see changes.
    sources: Vec<(PathBuf, Vec<u8>)>,
    pub(super) users: BTreeMap<String, Verifier>,
    pub(super) tokens: Option<Tokens>,
    pub(super) certificates: Option<Names>,
    /// How users that are not in the file are looked up at the server.
    pub(super) lookup: Option<Lookup>,
    pub(super) upstream: Credentials,
}

/// As whom the gateway goes on.
pub(super) struct Credentials {
    /// Nobody here: under the client's own name.
    pub(super) user: Option<String>,
    pub(super) password: Password,
}

/// Where the gateway's password comes from.
#[derive(Clone)]
pub(super) enum Password {
    None,
    Fixed(String),
    Command { words: Vec<String>, ttl: Duration },
}

/// How a certificate names a user.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// By its common name.
    Common,
    /// By a URI of this form.
    Uri {
        /// What stands in front of the user.
        before: String,
        /// What stands behind.
        after: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    users: Option<PathBuf>,
    jwt: Option<JwtPart>,
    certificates: Option<CertificatePart>,
    auth_query: Option<LookupPart>,
    upstream: UpstreamPart,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JwtPart {
    jwks: PathBuf,
    issuer: String,
    audience: String,
    #[serde(default = "subject")]
    user_claim: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificatePart {
    user: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LookupPart {
    query: String,
    database: String,
    #[serde(default = "a_minute")]
    ttl_s: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpstreamPart {
    user: Option<String>,
    password_file: Option<PathBuf>,
    password_command: Option<Vec<String>>,
    password_ttl_s: Option<u32>,
}

fn a_minute() -> u32 {
    60
}

fn subject() -> String {
    "sub".to_owned()
}

impl Book {
    /// Reads the file; paths in it start from its folder. `password` is one that was given another way.
    ///
    /// # Errors
    /// It, or a file that it names, cannot be read or holds something else.
    pub(super) fn open(path: &Path, password: Option<&str>) -> Result<Self, Error> {
        let mut reader = Reader { folder: path.parent().unwrap_or(Path::new("")), sources: Vec::new() };
        let text = reader.text(path)?;
        let file: File = serde_saphyr::from_str(&text)
            .map_err(|error| fault(path, error.without_snippet().to_string()))?;
        let users = match &file.users {
            None => BTreeMap::new(),
            Some(users) => {
                let text = reader.text(users)?;
                users::parse(&text).map_err(|why| fault(users, why))?
            }
        };
        let tokens = match &file.jwt {
            None => None,
            Some(JwtPart { jwks, issuer, audience, user_claim }) => {
                let text = reader.text(jwks)?;
                let tokens = Tokens::load(text.as_bytes(), issuer, audience, user_claim);
                Some(tokens.map_err(|why| fault(jwks, why))?)
            }
        };
        let certificates = match &file.certificates {
            None => None,
            Some(part) => Some(Names::parse(&part.user).ok_or_else(|| {
                fault(
                    path,
                    format!(
                        "certificates: user `{}` is neither `cn` nor a URI with one `{{user}}`",
                        part.user
                    ),
                )
            })?),
        };
        let lookup = file.auth_query.map(|part| Lookup::read(path, part)).transpose()?;
        if file.users.is_none() && tokens.is_none() && certificates.is_none() && lookup.is_none() {
            return Err(fault(
                path,
                "nobody could log in; name `users`, `auth_query`, `jwt` or `certificates`".to_owned(),
            ));
        }
        if certificates.is_some() && (file.users.is_some() || tokens.is_some() || lookup.is_some()) {
            return Err(fault(
                path,
                "`certificates` stands alone: with it, the certificate is the login of every client"
                    .to_owned(),
            ));
        }
        let upstream = reader.credentials(path, file.upstream, password)?;
        if lookup.is_some() && upstream.user.is_none() {
            return Err(fault(
                path,
                "auth_query asks the server as the gateway; name it in `upstream: {user: …}`".to_owned(),
            ));
        }
        Ok(Self { sources: reader.sources, users, tokens, certificates, lookup, upstream })
    }

    /// Whether any of its files reads otherwise than it did.
    pub(super) fn has_changed(&self) -> bool {
        self.sources.iter().any(|(path, known)| std::fs::read(path).ok().as_ref() != Some(known))
    }
}

struct Reader<'p> {
    folder: &'p Path,
    sources: Vec<(PathBuf, Vec<u8>)>,
}

impl Reader<'_> {
    fn text(&mut self, path: &Path) -> Result<String, Error> {
        // The login file's own path starts from where the process runs, and so does its folder.
        let path = if self.sources.is_empty() { path.to_path_buf() } else { self.folder.join(path) };
        let bytes = std::fs::read(&path).map_err(|error| fault(&path, error.to_string()))?;
        let text = String::from_utf8(bytes.clone()).map_err(|_| fault(&path, "is not UTF-8".to_owned()))?;
        self.sources.push((path, bytes));
        Ok(text)
    }

    fn credentials(
        &mut self,
        path: &Path,
        part: UpstreamPart,
        given: Option<&str>,
    ) -> Result<Credentials, Error> {
        if given.is_some() && (part.password_file.is_some() || part.password_command.is_some()) {
            return Err(fault(
                path,
                "upstream: a password is named here and by --upstream-password-env; one is enough".to_owned(),
            ));
        }
        if part.password_ttl_s.is_some() && part.password_command.is_none() {
            return Err(fault(path, "upstream: password_ttl_s is about a password_command".to_owned()));
        }
        let ttl = Duration::from_secs(part.password_ttl_s.unwrap_or_else(a_minute).into());
        let password = match (part.password_file, part.password_command) {
            (None, None) => given.map_or(Password::None, |password| Password::Fixed(password.to_owned())),
            (Some(file), None) => {
                let text = self.text(&file)?;
                Password::Fixed(text.trim_end_matches(['\r', '\n']).to_owned())
            }
            (None, Some(words)) if !words.is_empty() => Password::Command { words, ttl },
            (None, Some(_)) => return Err(fault(path, "upstream: password_command is empty".to_owned())),
            (Some(_), Some(_)) => {
                return Err(fault(
                    path,
                    "upstream: password_file and password_command are both named; one is enough".to_owned(),
                ));
            }
        };
        Ok(Credentials { user: part.user.filter(|user| !user.is_empty()), password })
    }
}

impl Lookup {
    fn read(path: &Path, part: LookupPart) -> Result<Self, Error> {
        let LookupPart { query, database, ttl_s } = part;
        if !query.contains("$1") {
            return Err(fault(path, "auth_query: the query has no `$1` for the user".to_owned()));
        }
        Ok(Self { sql: query, database, ttl: Duration::from_secs(ttl_s.into()) })
    }
}

impl Names {
    fn parse(template: &str) -> Option<Self> {
        if template == "cn" {
            return Some(Self::Common);
        }
        let (before, after) = template.split_once("{user}")?;
        (before.contains("://") && !after.contains("{user}"))
            .then(|| Self::Uri { before: before.to_owned(), after: after.to_owned() })
    }

    /// Whether a certificate with this common name and these URIs belongs to the user.
    pub(super) fn fit(&self, user: &str, common_name: Option<&str>, uris: &[String]) -> bool {
        match self {
            Self::Common => common_name == Some(user),
            // A user with a `/` in it would make one form read as another.
            Self::Uri { before, after } => {
                !user.contains('/') && uris.iter().any(|uri| *uri == format!("{before}{user}{after}"))
            }
        }
    }
}

fn fault(path: &Path, why: String) -> Error {
    Error::Tls { path: path.to_path_buf(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_name_users() {
        let spiffe = Names::parse("spiffe://shop.example/agent/{user}").unwrap();
        let uris = ["spiffe://shop.example/agent/seven".to_owned()];
        assert!(spiffe.fit("seven", None, &uris));
        assert!(!spiffe.fit("seve", None, &uris));
        assert!(!Names::parse("spiffe://shop.example/{user}").unwrap().fit("agent/seven", None, &uris));
        assert!(!spiffe.fit("seven", Some("seven"), &[]));
        assert!(Names::Common.fit("ann", Some("ann"), &[]));
        assert!(!Names::Common.fit("ann", None, &uris));
        for template in ["", "CN", "user", "{user}", "spiffe://x/{user}/{user}"] {
            assert_eq!(Names::parse(template), None, "{template}");
        }
    }

    #[test]
    fn files_are_refused_with_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("login.yaml");
        std::fs::write(folder.path().join("users.txt"), "\"ann\" \"secret\"\n").unwrap();
        std::fs::write(folder.path().join("jwks.json"), "{\"keys\":[]}").unwrap();
        let certificates = "certificates: {user: cn}\n";
        for (text, why) in [
            ("upstream: {}\n", "nobody could log in"),
            ("upstream: {}\nuser: users.txt\n", "`user`"),
            ("users: users.txt\nupstream: {}\n", "line 1: the secret of `ann`"),
            ("users: gone.txt\nupstream: {}\n", "gone.txt"),
            ("certificates: {user: x}\nupstream: {}\n", "neither `cn`"),
            ("jwt: {jwks: jwks.json, issuer: i, audience: a}\nupstream: {}\n", "no key that signs"),
            (&format!("{certificates}upstream: {{password_command: []}}\n"), "empty"),
            (
                &format!("{certificates}upstream: {{password_file: a, password_command: [a]}}\n"),
                "one is enough",
            ),
            (certificates, "upstream"),
            ("auth_query: {query: select 1, database: d}\nupstream: {user: a}\n", "no `$1`"),
            ("auth_query: {query: select $1, database: d}\nupstream: {}\n", "name it in `upstream"),
            ("auth_query: {query: select $1}\nupstream: {}\n", "database"),
            (&format!("{certificates}upstream: {{password_ttl_s: 1}}\n"), "is about a password_command"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Book::open(&path, None).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(why), "{text}: {error}");
        }
        std::fs::write(&path, format!("{certificates}upstream: {{user: app}}\n")).unwrap();
        let book = Book::open(&path, None).unwrap();
        assert!(!book.has_changed());
        std::fs::write(&path, "changed").unwrap();
        assert!(book.has_changed());
    }
}
