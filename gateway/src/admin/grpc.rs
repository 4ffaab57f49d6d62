//! The admin gRPC service, with health and reflection.

use super::{Desk, approvals, closing, keys, kill};
use crate::{Error, catalog::CatalogStand, force::Force, kill::Scope};
use clyra_proto::{
    DESCRIPTORS,
    admin::{
        Approval, ApprovalList, ApproveRequest, Catalog, CloseRunRequest, ClosedRun, DigestReply,
        DigestRequest, GetKillRequest, GetPolicyRequest, KeyList, Kill, ListApprovalsRequest,
        ListKeysRequest, NameKillReply, NameKillRequest, PolicyInForce, ReloadPolicyRequest,
        ResolveKeyRequest, ResolvedKey, RevokeApprovalRequest, SetKillRequest, StandReply, StandRequest,
        gate_server::{Gate as GateService, GateServer},
    },
};
use clyra_spec::limits::LABEL_BYTES_MAX;
use std::{path::PathBuf, time::Instant};
use tokio::{net::TcpListener, sync::watch};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

pub(super) async fn serve(listener: TcpListener, desk: Desk, shutdown: watch::Receiver<bool>) {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<GateServer<Desk>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1();
    let router = Server::builder()
        .add_optional_service(reflection.ok())
        .add_service(health_service)
        .add_service(GateServer::new(desk));
    let _ = router.serve_with_incoming_shutdown(TcpListenerStream::new(listener), closing(shutdown)).await;
}

#[tonic::async_trait]
impl GateService for Desk {
    async fn get_kill(&self, _: Request<GetKillRequest>) -> Result<Response<Kill>, Status> {
        Ok(Response::new(kill::stand(&self.gate.kill.stand())))
    }

    async fn set_kill(&self, request: Request<SetKillRequest>) -> Result<Response<Kill>, Status> {
        let began = Instant::now();
        let wish = kill::wish(&self.gate, request.into_inner())?;
        let turned = self.gate.turn(wish).await.map_err(|why| kill::status(&why))?;
        Ok(Response::new(kill::turned(&turned, began)))
    }

    async fn name_kill(&self, request: Request<NameKillRequest>) -> Result<Response<NameKillReply>, Status> {
        let scope = Scope::parse(&request.into_inner().scope).map_err(Status::invalid_argument)?;
        Ok(Response::new(NameKillReply { name: self.gate.name_in_entries(&scope) }))
    }

    async fn get_policy(&self, _: Request<GetPolicyRequest>) -> Result<Response<PolicyInForce>, Status> {
        let (force, file) = self.gate.in_force();
        Ok(Response::new(in_force(&force, file)))
    }

    async fn reload_policy(
        &self,
        _: Request<ReloadPolicyRequest>,
    ) -> Result<Response<PolicyInForce>, Status> {
        self.secure.reread().map_err(|err| Status::invalid_argument(err.to_string()))?;
        let force = self.gate.reload().map_err(|err| match err {
            Error::Policy(_) | Error::PolicyFile { .. } | Error::Unsigned { .. } | Error::Seal(_) => {
                Status::invalid_argument(err.to_string())
            }
            other => Status::internal(other.to_string()),
        })?;
        Ok(Response::new(in_force(&force, self.gate.in_force().1)))
    }

    async fn digest(&self, request: Request<DigestRequest>) -> Result<Response<DigestReply>, Status> {
        let DigestRequest { sql, database, tenant } = request.into_inner();
        Ok(Response::new(DigestReply { digest: self.gate.digest(&tenant, &database, &sql) }))
    }

    async fn approve(&self, request: Request<ApproveRequest>) -> Result<Response<Approval>, Status> {
        let taken = self.gate.approve(request.into_inner().envelope).await;
        taken.map(|one| Response::new(approvals::told(&one))).map_err(|why| approvals::status(&why))
    }

    async fn revoke_approval(
        &self,
        request: Request<RevokeApprovalRequest>,
    ) -> Result<Response<Approval>, Status> {
        let RevokeApprovalRequest { id, reason, by } = request.into_inner();
        said(&[("reason", &reason), ("by", &by)])?;
        let revoked = self.gate.revoke(id, by, reason).await;
        revoked.map(|one| Response::new(approvals::told(&one))).map_err(|why| approvals::status(&why))
    }

    async fn list_approvals(
        &self,
        _: Request<ListApprovalsRequest>,
    ) -> Result<Response<ApprovalList>, Status> {
        Ok(Response::new(approvals::list(&self.gate)))
    }

    async fn close_run(&self, request: Request<CloseRunRequest>) -> Result<Response<ClosedRun>, Status> {
        let CloseRunRequest { run_id } = request.into_inner();
        match self.gate.outbox.close_run(&run_id).await {
            Some(count) => Ok(Response::new(ClosedRun { run_id, count })),
            None => Err(Status::not_found(format!("run `{run_id}` is not open at this gateway"))),
        }
    }

    async fn list_keys(&self, _: Request<ListKeysRequest>) -> Result<Response<KeyList>, Status> {
        Ok(Response::new(keys::list(&self.gate)))
    }

    async fn resolve_key(
        &self,
        request: Request<ResolveKeyRequest>,
    ) -> Result<Response<ResolvedKey>, Status> {
        let ResolveKeyRequest { key, done } = request.into_inner();
        keys::resolve(&self.gate, &key, done).map(|()| Response::new(ResolvedKey {}))
    }

    async fn stand(&self, _: Request<StandRequest>) -> Result<Response<StandReply>, Status> {
        Ok(Response::new(StandReply {
            gateway: self.gateway.clone(),
            epoch: self.epoch,
            sessions: self.gate.sessions(),
            outbox_depth: self.gate.outbox.depth(),
            recorder_connected: self.gate.outbox.connected(),
            shut: self.gate.outbox.shut().unwrap_or_default(),
            catalogs: self.gate.catalogs.iter().flat_map(|all| all.stands()).map(told).collect(),
            about_names: self.gate.about_names(),
        }))
    }
}

/// Words that go into the log for ever say something.
pub(super) fn said(words: &[(&str, &str)]) -> Result<(), Status> {
    match words.iter().find(|(_, word)| word.trim().is_empty() || word.len() > LABEL_BYTES_MAX) {
        None => Ok(()),
        Some((name, _)) => Err(Status::invalid_argument(format!(
            "`{name}` must say something, in at most {LABEL_BYTES_MAX} bytes"
        ))),
    }
}

/// How a catalog stands, for people.
fn told(stand: CatalogStand) -> Catalog {
    let age = stand.age.unwrap_or_default();
    Catalog {
        database: stand.database,
        snapshot: stand.number,
        held: stand.is_held,
        age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
        pending: stand.pending as u64,
        failure: stand.failure,
    }
}

/// The policy in force, for people.
pub(crate) fn in_force(force: &Force, file: Option<&PathBuf>) -> PolicyInForce {
    PolicyInForce {
        name: force.policy.name().to_owned(),
        version: force.policy.version(),
        digest: force.policy.digest().to_owned(),
        mode: force.policy.mode().as_str().to_owned(),
        file: file.map(|path| path.display().to_string()).unwrap_or_default(),
        rules: u32::try_from(force.policy.rules()).unwrap_or(u32::MAX),
    }
}
