//! A signed order to turn the kill switch, as an operator gives it. The gateway checks it; here it is only made.

use super::{private, rfc3339};
use crate::{
    error::Error,
    peer::{self, GATE, refused},
};
use clyra_proto::admin::NameKillRequest;
use clyra_seal::{canonical, dsse};
use clyra_spec::{KillClass, KillLevel, media::SWITCH_PAYLOAD_TYPE};
use serde_json::json;
use std::{
    path::Path,
    time::{Duration, SystemTime},
};

/// What is ordered.
#[derive(Debug)]
pub(crate) struct Said<'a> {
    pub(crate) scope: &'a str,
    pub(crate) class: KillClass,
    pub(crate) level: KillLevel,
    pub(crate) ttl: Option<Duration>,
    pub(crate) reason: &'a str,
}

impl Said<'_> {
    /// The order, under this key; the gateway says what it calls the scope, since a person's name is not for the log.
    pub(crate) async fn signed(
        &self,
        gate: &mut peer::Gate,
        key: &Path,
        by: Option<&str>,
    ) -> Result<Vec<u8>, Error> {
        let key = private(key)?;
        let asked = gate.name_kill(NameKillRequest { scope: self.scope.to_owned() }).await;
        let name = asked.map_err(|status| refused(GATE, &status))?.into_inner().name;
        let now = SystemTime::now();
        let mut payload = json!({
            "at": rfc3339(now),
            "by": by.unwrap_or(key.name()),
            "id": uuid::Uuid::now_v7().to_string(),
            "level": self.level.as_str(),
            "reason": self.reason,
            "scope": self.scope.split(':').next().unwrap_or_default(),
            "v": 1,
        });
        let more = [
            ("class", (!self.class.is_all()).then(|| self.class.as_str().to_owned())),
            ("expires", self.ttl.map(|ttl| rfc3339(now + ttl))),
            ("name", (!name.is_empty()).then_some(name)),
        ];
        for (field, value) in more.into_iter().filter_map(|(field, value)| Some((field, value?))) {
            if let Some(object) = payload.as_object_mut() {
                object.insert(field.to_owned(), value.into());
            }
        }
        let ours = |error: clyra_seal::Error| Error::Ours { doing: "signing", why: error.to_string() };
        let payload = canonical::to_vec(&payload).map_err(ours)?;
        dsse::sign(SWITCH_PAYLOAD_TYPE, &payload, &key).to_vec().map_err(ours)
    }
}
