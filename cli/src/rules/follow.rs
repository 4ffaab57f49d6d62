//! The flags of `clyra up` about catalogs: where they come from, how fresh they must be. They are read here and used by
//! the gateway; nothing is opened.

use crate::error::Error;
use clap::Args;
use clyra_gateway::{CatalogSettings, CatalogSource, Upstream};
use std::{path::PathBuf, time::Duration};

/// What the databases behind the gate define, and how the gateway learns it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Catalogs")]
pub(crate) struct FollowArgs {
    /// What the database defines, as a file of `clyra policy catalog`; read again when it changes. Views, functions and
    /// parent tables are then seen through by rules about names; docs/catalog.md says how [default: the gateway reads it
    /// itself where it has a login of its own, and for its own cluster; otherwise statements are judged by their text alone]
    #[arg(long, value_name = "FILE", conflicts_with = "catalog_url")]
    catalog: Option<PathBuf>,
    /// Where the gateway reads that itself, postgres://USER[:PASSWORD]@HOST[:PORT][/DATABASE], with the parameters of
    /// --upstream; for each database that clients use. The role needs no rights but to connect
    #[arg(long, value_name = "URL")]
    catalog_url: Option<String>,
    /// Environment variable that holds the password for --catalog-url, read once at the start
    #[arg(long, value_name = "NAME", requires = "catalog_url")]
    catalog_password_env: Option<String>,
    /// Seconds between two looks whether anything has changed; a change that passes the gateway is seen at once
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    catalog_refresh: u32,
    /// Seconds after which a catalog that cannot be looked at counts for nothing: enforced rules about names then refuse
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    catalog_max_age: u32,
}

/// What is known before a server is.
#[derive(Debug)]
pub(crate) struct Follow {
    source: Option<CatalogSource>,
    refresh: Duration,
    age_max: Duration,
}

impl FollowArgs {
    /// What the flags say.
    ///
    /// # Errors
    /// The URL is none, or there is no such variable.
    pub(crate) fn read(self) -> Result<Follow, Error> {
        if self.catalog_max_age < self.catalog_refresh {
            return Err(Error::Usage(format!(
                "--catalog-max-age `{}` is below --catalog-refresh `{}`; allowed: as much or more",
                self.catalog_max_age, self.catalog_refresh
            )));
        }
        let source = match (self.catalog, self.catalog_url) {
            (Some(file), _) => Some(CatalogSource::File(file)),
            (None, Some(url)) => Some(login(&url, self.catalog_password_env.as_deref())?),
            (None, None) => None,
        };
        let seconds = |count: u32| Duration::from_secs(count.into());
        Ok(Follow { source, refresh: seconds(self.catalog_refresh), age_max: seconds(self.catalog_max_age) })
    }
}

impl Follow {
    /// How a house with a cluster of its own, or none, that lets clients log in or not, learns of its databases; `None`
    /// where it cannot.
    pub(crate) fn settings(&self, cluster: Option<&Upstream>, logs_in: bool) -> Option<CatalogSettings> {
        let own_cluster = || {
            let upstream = cluster?.clone();
            Some(CatalogSource::Login { upstream, user: SUPERUSER.to_owned(), password: None })
        };
        let source =
            self.source.clone().or_else(own_cluster).or_else(|| logs_in.then_some(CatalogSource::Own))?;
        Some(CatalogSettings { source, refresh: self.refresh, age_max: self.age_max })
    }
}

impl Default for Follow {
    fn default() -> Self {
        Self { source: None, refresh: Duration::from_secs(30), age_max: Duration::from_secs(600) }
    }
}

/// Takes user and password out of a URL; what is left is a server.
fn login(url: &str, password_env: Option<&str>) -> Result<CatalogSource, Error> {
    let wrong = |why: &str| {
        Error::Usage(format!(
            "--catalog-url: {why}; expected `postgres://USER[:PASSWORD]@HOST[:PORT][/DATABASE][?sslmode=MODE]`"
        ))
    };
    let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("no `postgres://` in front"))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let (login, host) = authority.rsplit_once('@').ok_or_else(|| wrong("no user in it"))?;
    let (user, password) = login.split_once(':').map_or((login, None), |(user, word)| (user, Some(word)));
    let user = plain(user).filter(|user| !user.is_empty()).ok_or_else(|| wrong("no user in it"))?;
    let mut password = match password {
        None => None,
        Some(word) => Some(plain(word).ok_or_else(|| wrong("the password is not percent-encoded text"))?),
    };
    if let Some(name) = password_env {
        #[expect(
            clippy::disallowed_methods,
            reason = "a flag names the variable, and it is read once, at the start"
        )]
        let found = std::env::var(name).ok().filter(|word| !word.is_empty());
        let none =
            || Error::Usage(format!("--catalog-password-env `{name}`: no such variable, or it is empty"));
        password = Some(found.ok_or_else(none)?);
    }
    let upstream = Upstream::parse(&format!("{scheme}://{host}{path}"))
        .map_err(|error| Error::Usage(format!("--catalog-url: {error}")))?;
    Ok(CatalogSource::Login { upstream, user, password })
}

/// A text without its percent signs.
fn plain(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok())?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = rest.get(2..)?;
    }
    String::from_utf8(bytes).ok()
}

/// The superuser of the house's own cluster.
const SUPERUSER: &str = "postgres";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_server_and_a_login() {
        let read = |url: &str| match login(url, None) {
            Ok(CatalogSource::Login { upstream, user, password }) => {
                (upstream.to_string(), user, password.unwrap_or_default())
            }
            other => panic!("{other:?}"),
        };
        let expected =
            |host: &str, user: &str, word: &str| (host.to_owned(), user.to_owned(), word.to_owned());
        assert_eq!(read("postgres://eye:p%40ss@db:6000/shop"), expected("db:6000", "eye", "p@ss"));
        assert_eq!(read("postgres://eye@db"), expected("db:5432", "eye", ""));
        for (url, why) in [
            ("db", "no `postgres://`"),
            ("postgres://db/shop", "no user"),
            ("postgres://:x@db/shop", "no user"),
            ("postgres://eye:%zz@db", "percent"),
            ("postgres://eye:secret@db:x", "not a port"),
        ] {
            let message = login(url, None).unwrap_err().to_string();
            assert!(message.contains(why) && !message.contains("secret"), "{message}");
        }
    }
}
