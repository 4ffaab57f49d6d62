//! One entry of `callers:`: which logins it is about, and who they are. It takes a name out of a proof only whole, and never
//! out of what a caller merely says.

use super::Unparsed;
use super::caller::{Login, Proof};
use super::pattern::Glob;
use super::template::{Bound, Template};
use clyra_spec::{ActorKind, Mode, limits::LABEL_BYTES_MAX};

/// One entry of `callers:`.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallerEntry {
    pub(crate) user: Box<[Glob]>,
    pub(crate) application: Box<[Glob]>,
    pub(crate) database: Box<[Glob]>,
    /// URIs of a certificate; empty where none is asked for.
    pub(crate) cert_san: Box<[Template]>,
    /// Common name of a certificate.
    pub(crate) cert_cn: Box<[Template]>,
    /// Claims of a token, each with what it may be; the issuer is one of them.
    pub(crate) claims: Box<[WantedClaim]>,
    pub(crate) actor: Option<Template>,
    pub(crate) kind: Option<KindOf>,
    pub(crate) tenant: Option<Template>,
    pub(crate) mode: Option<Mode>,
    pub(crate) unparsed: Option<Unparsed>,
    /// It may open replication connections.
    pub(crate) replication: bool,
}

/// A claim's name, and what it may be.
pub(crate) type WantedClaim = (Box<str>, Box<[Glob]>);

/// Where the kind of an actor comes from.
#[derive(Clone, Debug)]
pub(crate) enum KindOf {
    Fixed(ActorKind),
    Named(Template),
}

/// Who a login is after an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) actor: Option<Box<str>>,
    pub(crate) kind: Option<ActorKind>,
    pub(crate) tenant: Option<Box<str>>,
}

impl CallerEntry {
    /// What the entry takes out of the proof, when it is about this login; every part that is given must match.
    pub(crate) fn fits(&self, login: &Login<'_>, proof: &Proof) -> Option<Result<Vec<Bound>, String>> {
        let any =
            |globs: &[Glob], label: &str| globs.is_empty() || globs.iter().any(|one| one.matches(label));
        let said = any(&self.user, login.user)
            && any(&self.application, login.application)
            && any(&self.database, login.database);
        let token = self.claims.iter().all(|(name, wanted)| {
            proof.claims.get(&**name).is_some_and(|values| values.iter().any(|value| any(wanted, value)))
        });
        if !said || !token {
            return None;
        }
        let by_name = taken(&self.cert_cn, proof.common_name.as_deref().into_iter())?;
        let by_uri = taken(&self.cert_san, proof.uris.iter().map(String::as_str))?;
        Some(by_name.and_then(|mut bound| {
            bound.extend(by_uri?);
            Ok(bound)
        }))
    }

    /// Who that is.
    ///
    /// # Errors
    /// What is missing in the proof.
    pub(crate) fn name(&self, login: &Login<'_>, proof: &Proof, bound: &[Bound]) -> Result<Named, String> {
        let place = |name: &str| -> Option<Box<str>> {
            match (name, name.strip_prefix("claim.")) {
                ("user", _) => Some(login.user.into()),
                ("cert.cn", _) => proof.common_name.as_deref().map(Into::into),
                (_, Some(claim)) => match proof.claims.get(claim).map(Vec::as_slice) {
                    // Of several values nobody could say which is meant.
                    Some([value]) => Some(value.as_str().into()),
                    _ => None,
                },
                _ => bound.iter().find(|(own, _)| **own == *name).map(|(_, text)| text.clone()),
            }
        };
        let filled = |template: &Template, what: &str| {
            let text = template.fill(&place).map_err(|name| missing(name, what))?;
            sound(text, what)
        };
        let implied = |what: &str| place_of(bound, what).map(|text| sound(text, what)).transpose();
        let given = |template: &Option<Template>, what: &str| match template {
            Some(template) => filled(template, what).map(Some),
            None => implied(what),
        };
        let kind = match &self.kind {
            Some(KindOf::Fixed(kind)) => Some(*kind),
            Some(KindOf::Named(template)) => Some(kind(&filled(template, "kind")?)?),
            None => implied("kind")?.map(|word| kind(&word)).transpose()?,
        };
        Ok(Named { actor: given(&self.actor, "actor")?, kind, tenant: given(&self.tenant, "tenant")? })
    }
}

/// What one of the templates takes out of one of the names; `None` when none fits. Two names that fit and say different
/// things are no proof of either.
fn taken<'n>(
    templates: &[Template],
    names: impl Iterator<Item = &'n str> + Clone,
) -> Option<Result<Vec<Bound>, String>> {
    if templates.is_empty() {
        return Some(Ok(Vec::new()));
    }
    let template = templates.iter().find(|one| names.clone().any(|name| one.take(name).is_some()))?;
    let mut fitting = names.filter_map(|name| template.take(name));
    let first = fitting.next()?;
    Some(match fitting.any(|other| other != first) {
        true => Err("the certificate bears several names that fit, and they differ".to_owned()),
        false => Ok(first),
    })
}

fn place_of(bound: &[Bound], name: &str) -> Option<Box<str>> {
    bound.iter().find(|(own, _)| **own == *name).map(|(_, text)| text.clone())
}

fn missing(name: &str, what: &str) -> String {
    match name.strip_prefix("claim.") {
        Some(claim) => {
            format!("the token has no claim `{claim}` with one value, and the {what} comes from it")
        }
        None => format!("nothing stands for `{{{name}}}`, and the {what} comes from it"),
    }
}

/// A name that may stand in receipts and rules.
fn sound(text: Box<str>, what: &str) -> Result<Box<str>, String> {
    match text.len() {
        0 => Err(format!("the {what} is empty")),
        length if length > LABEL_BYTES_MAX => {
            Err(format!("the {what} is {length} bytes long; allowed: at most {LABEL_BYTES_MAX}"))
        }
        _ if text.chars().any(char::is_control) => Err(format!("the {what} holds control characters")),
        _ => Ok(text),
    }
}

fn kind(word: &str) -> Result<ActorKind, String> {
    let kinds = [ActorKind::Person, ActorKind::Service, ActorKind::Agent];
    let found = kinds.into_iter().find(|kind| kind.as_str() == word);
    found.ok_or_else(|| format!("`{}` is no kind; allowed: person, service, agent", word.escape_debug()))
}
