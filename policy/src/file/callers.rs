//! Reads one entry of `callers:`; it never looks at a login.

use super::fields::{Fault, Fields, glob_list, label, list_of, text, word};
use super::yaml::{Spot, Yaml};
use super::{kind, mode, unparsed};
use crate::policy::{CallerEntry, KindOf, Template, WantedClaim};

/// Reads an entry.
pub(super) fn caller(value: &Spot<Yaml>) -> Result<CallerEntry, Fault> {
    let fields =
        Fields::new(value, &["match", "actor", "kind", "tenant", "mode", "unparsed", "replication"])?;
    let place = fields.required("match", matched)?;
    let own = |name| fields.optional(name, |value| own(value, &place));
    let (actor, tenant) = (own("actor")?, own("tenant")?);
    let kind = fields.optional("kind", |value| match text(value)? {
        named if named.contains('{') => own_kind(value, &place),
        _ => kind(value).map(KindOf::Fixed),
    })?;
    let (mode, unparsed) = (fields.optional("mode", mode)?, fields.optional("unparsed", unparsed)?);
    let words = [("allow", true), ("deny", false)];
    let replication = fields.optional("replication", |value| word(value, "answer", &words))?;
    let replication = replication.unwrap_or(false);
    Ok(CallerEntry { actor, kind, tenant, mode, unparsed, replication, ..place })
}

fn matched(value: &Spot<Yaml>) -> Result<CallerEntry, Fault> {
    let allowed = ["user", "application", "database", "cert_san", "cert_cn", "jwt"];
    let place = Fields::new(value, &allowed)?;
    if place.is_empty() {
        let allowed = allowed.join(", ");
        return Err(Fault::at(value, format!("an empty `match`; give at least one of: {allowed}")));
    }
    let globs = |name| place.optional(name, glob_list).map(Option::unwrap_or_default);
    let templates = |name| {
        place.optional(name, |value| list_of(value, bound)).map(Option::<Box<[Template]>>::unwrap_or_default)
    };
    Ok(CallerEntry {
        user: globs("user")?,
        application: globs("application")?,
        database: globs("database")?,
        cert_san: templates("cert_san")?,
        cert_cn: templates("cert_cn")?,
        claims: place.optional("jwt", token)?.unwrap_or_default(),
        ..CallerEntry::default()
    })
}

/// What a token must say: `{iss, claim: {NAME: pattern}}`.
fn token(value: &Spot<Yaml>) -> Result<Box<[WantedClaim]>, Fault> {
    let fields = Fields::new(value, &["iss", "claim"])?;
    let mut claims = Vec::new();
    if let Some(issuer) = fields.optional("iss", glob_list)? {
        claims.push(("iss".into(), issuer));
    }
    if let Some(named) = fields.get("claim") {
        let Yaml::Map(pairs) = &named.value else {
            let found = named.value.kind();
            return Err(Fault::at(named, format!("expected a map of claims and patterns, found {found}")));
        };
        for (at, (name, wanted)) in pairs.iter().enumerate() {
            if name.value.is_empty() || pairs.iter().take(at).any(|(earlier, _)| earlier.value == name.value)
            {
                return Err(Fault::at(
                    name,
                    format!("claim `{}` is empty, or stands here twice", name.value),
                ));
            }
            claims.push((name.value.as_str().into(), glob_list(wanted)?));
        }
    }
    if claims.is_empty() {
        return Err(Fault::at(value, "a `jwt` that asks for nothing; give at least one of: iss, claim"));
    }
    Ok(claims.into())
}

/// A template that takes names out of a certificate.
fn bound(value: &Spot<Yaml>) -> Result<Template, Fault> {
    let text = label(value)?;
    let template =
        Template::parse(&text, true).map_err(|why| Fault::at(value, format!("`{text}`: {why}")))?;
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if let Some(name) = template.names().find(|name| !plain(name)) {
        let allowed = "lower-case letters and `_`, as in {actor}, {tenant}, {kind}";
        return Err(Fault::at(value, format!("`{{{name}}}` is no name of a place; allowed: {allowed}")));
    }
    if template.names().any(|name| name == "user") {
        return Err(Fault::at(value, "`{user}` is the login's own user; allowed: any other name"));
    }
    Ok(template)
}

/// A template that is filled with what the entry's `match` has proved.
fn own(value: &Spot<Yaml>, place: &CallerEntry) -> Result<Template, Fault> {
    let text = label(value)?;
    let template =
        Template::parse(&text, false).map_err(|why| Fault::at(value, format!("`{text}`: {why}")))?;
    let names = || place.cert_san.iter().chain(&place.cert_cn).flat_map(Template::names);
    // A place stands for something only if every way in which the entry can match fills it.
    let filled = |name: &str| {
        let all = |templates: &[Template]| {
            !templates.is_empty() && templates.iter().all(|one| one.names().any(|own| own == name))
        };
        all(&place.cert_san) || all(&place.cert_cn)
    };
    let unfilled = |name: &&str| match *name {
        "user" => false,
        "cert.cn" => place.cert_cn.is_empty() && place.cert_san.is_empty(),
        name if name.starts_with("claim.") => place.claims.is_empty() || name == "claim.",
        name => !filled(name),
    };
    let Some(unknown) = template.names().find(unfilled).map(str::to_owned) else { return Ok(template) };
    let mut allowed = vec!["{user}".to_owned()];
    if !place.cert_cn.is_empty() || !place.cert_san.is_empty() {
        allowed.push("{cert.cn}".to_owned());
    }
    allowed.extend(names().filter(|name| filled(name)).map(|name| format!("{{{name}}}")));
    if !place.claims.is_empty() {
        allowed.push("{claim.NAME}".to_owned());
    }
    allowed.dedup();
    let message = format!("nothing in `match` fills `{{{unknown}}}`; allowed: {}", allowed.join(", "));
    Err(Fault::at(value, message))
}

fn own_kind(value: &Spot<Yaml>, place: &CallerEntry) -> Result<KindOf, Fault> {
    own(value, place).map(KindOf::Named)
}
