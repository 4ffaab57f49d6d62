//! `clyra approve`: a person answers for one statement, under a signature of theirs. The gateway checks it; here it is
//! only made.

use super::{private, rfc3339, span};
use crate::{
    error::Error,
    peer::{self, GATE, refused},
    standing::Which,
    verbs::say,
};
use clap::{Args, Subcommand};
use clyra_proto::admin::{
    Approval, ApproveRequest, DigestRequest, ListApprovalsRequest, RevokeApprovalRequest, WantedApproval,
};
use clyra_seal::{canonical, dsse};
use clyra_spec::media::APPROVAL_PAYLOAD_TYPE;
use serde::Serialize;
use serde_json::json;
use std::{
    io::Read as _,
    path::PathBuf,
    time::{Duration, SystemTime},
};

/// Gives an approval, unless one of the verbs says otherwise.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ApproveArgs {
    #[command(subcommand)]
    verb: Option<ApproveVerb>,
    #[command(flatten)]
    give: Give,
}

/// What is approved, why, for how long, and by whom.
#[derive(Debug, Args)]
pub(crate) struct Give {
    /// The digest that the refusal named
    #[arg(long, value_name = "HEX", required_unless_present = "sql", conflicts_with = "sql")]
    digest: Option<String>,
    /// The message itself, byte for byte as it will be sent; `-` reads standard input. The gateway makes its digest and
    /// keeps nothing of it
    #[arg(long, value_name = "TEXT", requires = "database")]
    sql: Option<String>,
    /// With --sql: the database that it is for
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// With --sql: the tenant that it is for
    #[arg(long, value_name = "NAME", default_value = "")]
    tenant: String,
    /// Why; stands in the log for ever
    #[arg(long, value_name = "TEXT", required = true)]
    reason: Option<String>,
    /// How long it counts: a number and s, m, h or d, 30d at most
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = span)]
    expires: Duration,
    /// The approver's private key, from `clyra keygen`
    #[arg(long, value_name = "FILE", required = true)]
    key: Option<PathBuf>,
    /// The approver's name in the policy [default: the name in the key]
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// Which gateway.
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The other verbs of approvals.
#[derive(Debug, Subcommand)]
pub(crate) enum ApproveVerb {
    /// Show what waits for an approval, and the approvals that the gateway keeps
    #[command(after_help = "Example:\n  clyra approve list --json")]
    List {
        /// Which gateway.
        #[command(flatten)]
        which: Which,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take an approval back before it is used
    #[command(after_help = "Example:\n  clyra approve revoke 0199… --reason \"wrong table\"")]
    Revoke {
        /// The approval's id
        #[arg(value_name = "ID")]
        id: String,
        /// Why; stands in the log for ever
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Who [default: the system's user name]
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
        /// Which gateway.
        #[command(flatten)]
        which: Which,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Does what was asked with approvals.
pub(crate) async fn run(args: ApproveArgs) -> Result<u8, Error> {
    match args.verb {
        Some(ApproveVerb::List { which, json }) => list(&which, json).await,
        Some(ApproveVerb::Revoke { id, reason, by, which, json }) => {
            let by = by.unwrap_or_else(crate::verbs::kill::user_name);
            let mut gate = peer::gate(which.admin()?).await?;
            let asked = gate.revoke_approval(RevokeApprovalRequest { id, reason, by }).await;
            shown(json, &asked.map_err(|status| refused(GATE, &status))?.into_inner())
        }
        None => give(args.give).await,
    }
}

async fn give(give: Give) -> Result<u8, Error> {
    let key = private(&give.key.unwrap_or_default())?;
    let mut gate = peer::gate(give.which.admin()?).await?;
    let digest = match (give.digest, give.sql) {
        (Some(digest), _) => digest,
        (None, sql) => {
            let sql = bytes(sql.unwrap_or_default())?;
            let database = give.database.unwrap_or_default();
            let asked = gate.digest(DigestRequest { sql, database, tenant: give.tenant }).await;
            asked.map_err(|status| refused(GATE, &status))?.into_inner().digest
        }
    };
    let expires = SystemTime::now() + give.expires;
    let payload = json!({
        "approver": give.name.as_deref().unwrap_or(key.name()),
        "digest": digest,
        "expires": rfc3339(expires),
        "id": uuid::Uuid::now_v7().to_string(),
        "reason": give.reason.unwrap_or_default(),
        "v": 1,
    });
    let ours = |error: clyra_seal::Error| Error::Ours { doing: "signing", why: error.to_string() };
    let payload = canonical::to_vec(&payload).map_err(ours)?;
    let envelope = dsse::sign(APPROVAL_PAYLOAD_TYPE, &payload, &key).to_vec().map_err(ours)?;
    let asked = gate.approve(ApproveRequest { envelope }).await;
    shown(give.json, &asked.map_err(|status| refused(GATE, &status))?.into_inner())
}

async fn list(which: &Which, json: bool) -> Result<u8, Error> {
    let mut gate = peer::gate(which.admin()?).await?;
    let asked = gate.list_approvals(ListApprovalsRequest {}).await;
    let list = asked.map_err(|status| refused(GATE, &status))?.into_inner();
    let record = json!({
        "approvals": list.approvals.iter().map(Line::of).collect::<Vec<_>>(),
        "wanted": list.wanted.iter().map(Wanted::of).collect::<Vec<_>>(),
    });
    say(json, &record, || {
        let mut lines: Vec<String> = list
            .wanted
            .iter()
            .map(|one| {
                let WantedApproval { digest, at, actor, database, what } = one;
                format!("wanted   {digest}  {what} by {actor} in {database}, refused at {at}")
            })
            .collect();
        lines.extend(list.approvals.iter().map(sentence));
        if lines.is_empty() { "no approvals, and none wanted".to_owned() } else { lines.join("\n") }
    })?;
    Ok(0)
}

fn shown(json: bool, approval: &Approval) -> Result<u8, Error> {
    say(json, &Line::of(approval), || sentence(approval))?;
    Ok(0)
}

fn sentence(one: &Approval) -> String {
    let Approval { id, approver, digest, reason, expires, state, .. } = one;
    format!("{state:<8} {digest}  by {approver} until {expires}: {reason} ({id})")
}

#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    approver: &'a str,
    digest: &'a str,
    reason: &'a str,
    given: &'a str,
    expires: &'a str,
    state: &'a str,
}

impl<'a> Line<'a> {
    fn of(one: &'a Approval) -> Self {
        let Approval { id, approver, digest, reason, given, expires, state } = one;
        Self { id, approver, digest, reason, given, expires, state }
    }
}

#[derive(Serialize)]
struct Wanted<'a> {
    digest: &'a str,
    at: &'a str,
    actor: &'a str,
    database: &'a str,
    what: &'a str,
}

impl<'a> Wanted<'a> {
    fn of(one: &'a WantedApproval) -> Self {
        let WantedApproval { digest, at, actor, database, what } = one;
        Self { digest, at, actor, database, what }
    }
}

fn bytes(sql: String) -> Result<Vec<u8>, Error> {
    if sql != "-" {
        return Ok(sql.into_bytes());
    }
    let mut read = Vec::new();
    let stdin = std::io::stdin().read_to_end(&mut read);
    stdin.map_err(|error| Error::Usage(format!("cannot read standard input: {error}")))?;
    Ok(read)
}
