//! A turn of the kill switch (spec page `entry.md`): its fields, and the order that an operator signed for it; it knows no
//! trusted key.

use super::envelope::{self, Envelope};
use crate::error::{Flaw, flaw};
use crate::json::canonical;
use crate::json::fields::Fields;
use crate::json::text;
use clyra_spec::{KillCause, KillClass, KillLevel, KillScope, media};

/// One turn, read.
#[derive(Clone, Debug)]
pub(crate) struct Switch {
    pub(crate) at: Box<str>,
    pub(crate) before: Option<KillLevel>,
    pub(crate) cause: KillCause,
    pub(crate) turn: u64,
    pub(crate) told: Told,
    /// What an operator signed; it says the same as the entry.
    pub(crate) order: Option<Envelope>,
}

/// What entry and order both say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) by: Box<str>,
    pub(crate) class: KillClass,
    pub(crate) expires: Option<Box<str>>,
    pub(crate) level: KillLevel,
    pub(crate) name: Option<Box<str>>,
    pub(crate) reason: Box<str>,
    pub(crate) scope: KillScope,
}

/// Reads the fields that only a switch entry has.
pub(crate) fn read(id: &str, at: &str, fields: &mut Fields<'_, '_>) -> Result<Switch, Flaw> {
    let before = fields.maybe_word("before")?;
    if before == Some(KillLevel::Observe) {
        return flaw("field `before` is `observe`, it would be left out");
    }
    let cause = fields.word("cause")?;
    let turn = fields.whole("turn")?;
    if turn == 0 {
        return flaw("field `turn` counts from 1");
    }
    let told = told(fields)?;
    let order = match fields.maybe("dsse") {
        None => None,
        Some(dsse) => {
            let at = |flaw: Flaw| flaw.at("field `dsse`");
            let envelope = envelope::read(dsse, media::SWITCH_PAYLOAD_TYPE).map_err(at)?;
            says(&envelope, id, &told).map_err(at)?;
            if cause != KillCause::Asked {
                return flaw("field `cause`: what an operator signed is `asked`");
            }
            Some(envelope)
        }
    };
    Ok(Switch { at: at.into(), before, cause, turn, told, order })
}

fn told(fields: &mut Fields<'_, '_>) -> Result<Told, Flaw> {
    let class = fields.maybe_word("class")?;
    if class == Some(KillClass::All) {
        return flaw("field `class` is `all`, it would be left out");
    }
    let expires = fields.maybe_text("expires")?;
    expires.map_or(Ok(()), text::time).map_err(|flaw| flaw.at("field `expires`"))?;
    let scope: KillScope = fields.word("scope")?;
    let name = fields.maybe_text("name")?;
    match (scope, name) {
        (KillScope::Global, Some(_)) => return flaw("field `name`: scope `global` has none"),
        (KillScope::Global, None) => {}
        (_, None) => return flaw(format!("field `name` is missing, scope `{}` has one", scope.as_str())),
        (scope, Some(name)) if scope.is_personal() => {
            text::hex::<16>(name).map_err(|flaw| flaw.at("field `name`"))?;
        }
        _ => {}
    }
    Ok(Told {
        by: fields.text("by")?.into(),
        class: class.unwrap_or_default(),
        expires: expires.map(Into::into),
        level: fields.word("level")?,
        name: name.map(Into::into),
        reason: fields.text("reason")?.into(),
        scope,
    })
}

/// The order names the entry that it stands in, and says what it says.
fn says(order: &Envelope, id: &str, entry: &Told) -> Result<(), Flaw> {
    let value = canonical::parse(&order.payload)?;
    let mut fields = Fields::of(&value)?;
    text::time(fields.text("at")?).map_err(|flaw| flaw.at("field `at`"))?;
    if fields.text("id")? != id {
        return flaw("the signed `id` is not the one of the entry");
    }
    if fields.whole("v")? != 1 {
        return flaw("only version 1 of an order is known");
    }
    let told = told(&mut fields)?;
    fields.end()?;
    if told != *entry {
        return flaw("what was signed is not what the entry says");
    }
    Ok(())
}
