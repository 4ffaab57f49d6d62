//! What is said before a connection is one: settings in the start-up packet, replication, lengths that overflow. It
//! tests no login; those stand with the secure journeys.

use crate::{Said, Stand, corpus};
use clyra_tests::raw::{Raw, message};

/// Whether the start-up packet with these parameters is let in; else what was said.
async fn start(stand: &Stand, parameters: &[(&str, &str)]) -> Result<Raw, Said> {
    let mut raw = Raw::knock(stand.house.addr("listen").unwrap(), parameters).await.unwrap();
    match raw.answer(b"Z").await {
        Ok(_) => Ok(raw),
        Err(_) => Err(Said { heard: raw.heard().to_vec(), gone: true }),
    }
}

#[tokio::test]
async fn a_session_begins_with_no_setting_that_it_could_not_make() {
    let stand = Stand::start().await;
    let before = stand.digest().await;
    let changes: [&[(&str, &str)]; 14] = [
        &[("options", "-c standard_conforming_strings=off")],
        &[("options", "-cstandard_conforming_strings=off")],
        &[("options", "--standard-conforming-strings=off")],
        &[("options", "-c  STANDARD_conforming_strings=0")],
        &[("standard_conforming_strings", "off")],
        &[("client_encoding", "SJIS")],
        &[("options", "-c client_encoding=GBK")],
        &[("search_path", "evil")],
        &[("options", "-c search_path=evil,public")],
        &[("options", "-c search_path=public\\,\\ evil")],
        &[("role", "boss")],
        &[("options", "-c role=boss")],
        &[("options", "-c session_authorization=app")],
        &[("options", "-c statement_timeout=1s -c role=boss")],
    ];
    let mut faults = Vec::new();
    for class in ["no_session_change", "read_only", "tenant_fence"] {
        stand.take(&corpus::policy_against(class, &[])).await;
        for parameters in changes {
            match start(&stand, parameters).await {
                Ok(_) => faults.push(format!("{class}: {parameters:?} is let in")),
                Err(said) if said.refusal().is_none() => {
                    faults.push(format!("{class}: {parameters:?} {:?}", said.errors()));
                }
                Err(_) => {}
            }
        }
        // What a session may set, it may begin with.
        for parameters in [[("options", "-c statement_timeout=1s")], [("DateStyle", "ISO")]] {
            assert!(start(&stand, &parameters).await.is_ok(), "{class}: {parameters:?}");
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert_eq!(stand.digest().await, before);
}

#[tokio::test]
async fn odd_start_up_packets_end_quickly() {
    let stand = Stand::start().await;
    stand.take(&corpus::policy_against("no_session_change", &[])).await;
    let words =
        ["-c=", "-c", "-c =x", "--=", "-", "--", "\\", "-c\\", "-c search_path", "-S 1 -c role = boss"];
    for options in words {
        // Let in or not, it is answered.
        if let Ok(raw) = start(&stand, &[("options", options)]).await {
            raw.leave().await.unwrap();
        }
    }
    for replication in ["database", "true", "on", "1", "yes"] {
        let said = start(&stand, &[("replication", replication)]).await.unwrap_err();
        assert!(said.refusal().is_some(), "{replication}: {:?}", said.errors());
    }
    // A length that has run over begins no other message.
    for length in [0_u32, 3, 0x7fff_ffff, u32::MAX, 4 + (1 << 30) + 1] {
        let mut raw = start(&stand, &[]).await.unwrap();
        let inner = message(b'Q', b"set role boss\0");
        let begun = [&b"Q"[..], &length.to_be_bytes(), &inner].concat();
        raw.say(&begun).await.unwrap();
        let heard = raw.leave().await.unwrap_or_default();
        assert!(!Raw::tags(&heard).contains('C'), "{length}: {}", heard.escape_ascii());
    }
    assert!(start(&stand, &[]).await.is_ok(), "it stands");
}
