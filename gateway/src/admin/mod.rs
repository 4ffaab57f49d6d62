//! Administration, beside the data path: gRPC for the switch, the policy and runs; HTTP for metrics and health.

pub(crate) use grpc::in_force;

mod approvals;
mod grpc;
mod http;
mod keys;
mod kill;

use crate::{Error, Settings, gate::Gate};
use std::{net::SocketAddr, sync::Arc};
use tokio::{net::TcpListener, runtime::Handle, sync::watch, task::JoinHandle};

/// Both admin listeners, open.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) grpc_addr: SocketAddr,
    pub(crate) http_addr: SocketAddr,
    shutdown: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// What the admin rooms know of the gateway.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub(crate) gate: Arc<Gate>,
    pub(crate) secure: Arc<crate::secure::Secure>,
    pub(crate) gateway: String,
    pub(crate) epoch: u64,
}

impl Admin {
    pub(crate) async fn open(settings: &Settings, desk: Desk, runtime: &Handle) -> Result<Self, Error> {
        let grpc = listen(settings.admin, "the admin service").await?;
        let http = listen(settings.metrics, "metrics").await?;
        let (shutdown, watch) = watch::channel(false);
        let grpc_addr =
            grpc.local_addr().map_err(|source| taken(settings.admin, "the admin service", source))?;
        let http_addr = http.local_addr().map_err(|source| taken(settings.metrics, "metrics", source))?;
        let tasks = vec![
            runtime.spawn(grpc::serve(grpc, desk.clone(), watch.clone())),
            runtime.spawn(http::serve(http, Arc::clone(&desk.gate), watch.clone())),
            runtime.spawn(http::upkeep(Arc::clone(&desk.gate), watch.clone())),
            runtime.spawn(crate::kill::watch(desk.gate, settings.kill_file.clone(), watch)),
        ];
        Ok(Self { grpc_addr, http_addr, shutdown, tasks })
    }

    pub(crate) async fn close(self) {
        let _ = self.shutdown.send(true);
        for task in self.tasks {
            let _ = tokio::time::timeout(GRACE, task).await;
        }
    }
}

/// Waits until the admin rooms close.
pub(crate) async fn closing(mut shutdown: watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|down| *down).await;
}

async fn listen(addr: SocketAddr, purpose: &'static str) -> Result<TcpListener, Error> {
    TcpListener::bind(addr).await.map_err(|source| taken(addr, purpose, source))
}

fn taken(addr: SocketAddr, purpose: &'static str, source: std::io::Error) -> Error {
    Error::Listen { addr, purpose, source }
}

const GRACE: std::time::Duration = std::time::Duration::from_secs(1);
