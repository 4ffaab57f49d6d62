//! What a caller claims about its run, read from the settings of its start-up packet. Claims are recorded, never
//! believed.

use crate::draft::RunClaims;
use clyra_spec::limits::LABEL_BYTES_MAX;

/// The claims in `clyra.*` settings; `None` without a `clyra.run_id`.
pub(crate) fn of_settings(settings: &[(String, String)]) -> Option<RunClaims> {
    let value = |name: &str| {
        settings.iter().rev().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| bounded(value))
    };
    let list = |name: &str| {
        let value = value(name).unwrap_or_default();
        value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(Into::into).collect()
    };
    let run_id = value("clyra.run_id").filter(|id| !id.is_empty())?;
    Some(RunClaims {
        run_id,
        change_intent: value("clyra.change_intent"),
        asset_ids: list("clyra.asset_ids"),
        business_metric_refs: list("clyra.business_metric_refs"),
        payout_ref: value("clyra.payout_ref"),
        currency: value("clyra.currency"),
    })
}

/// The label within its bound, without control characters.
pub(crate) fn bounded(label: &str) -> Box<str> {
    let mut kept = String::with_capacity(label.len().min(LABEL_BYTES_MAX));
    for char in label.chars().filter(|char| !char.is_control()) {
        if kept.len() + char.len_utf8() > LABEL_BYTES_MAX {
            break;
        }
        kept.push(char);
    }
    kept.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_read_and_bounded() {
        let settings = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(of_settings(&settings(&[("clyra.payout_ref", "p")])), None);
        let claims = of_settings(&settings(&[
            ("clyra.run_id", "old"),
            ("Clyra.Run_Id", "r\n1"),
            ("clyra.asset_ids", "a, b,"),
        ]))
        .unwrap();
        assert_eq!(&*claims.run_id, "r1");
        assert_eq!(claims.asset_ids, ["a".into(), "b".into()]);
        assert_eq!(bounded(&"é".repeat(400)).len(), LABEL_BYTES_MAX - 1);
    }
}
