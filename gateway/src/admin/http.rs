//! `/metrics`, `/healthz` and `/readyz`. Ready means: receipts can be kept.

use super::closing;
use crate::gate::Gate;
use axum::{
    Router, extract::State, http::StatusCode, http::header::CONTENT_TYPE, response::IntoResponse,
    routing::get,
};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::watch};

pub(super) async fn serve(listener: TcpListener, gate: Arc<Gate>, shutdown: watch::Receiver<bool>) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(gate);
    let _ = axum::serve(listener, router).with_graceful_shutdown(closing(shutdown)).await;
}

/// Drains the histograms, so that their samples do not pile up between scrapes.
pub(super) async fn upkeep(gate: Arc<Gate>, shutdown: watch::Receiver<bool>) {
    let mut every = tokio::time::interval(UPKEEP_EVERY);
    let closing = closing(shutdown);
    tokio::pin!(closing);
    loop {
        tokio::select! {
            _ = every.tick() => {
                gate.metrics.upkeep();
                gate.caps.upkeep();
                gate.keys.upkeep(crate::gate::now_us());
            }
            () = &mut closing => return,
        }
    }
}

async fn metrics(State(gate): State<Arc<Gate>>) -> impl IntoResponse {
    for stand in gate.catalogs.iter().flat_map(|catalogs| catalogs.stands()) {
        gate.metrics.catalog(&stand);
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], gate.metrics.render(&gate.standing()))
}

async fn ready(State(gate): State<Arc<Gate>>) -> impl IntoResponse {
    match gate.outbox.shut() {
        None => (StatusCode::OK, format!("ready\n{}", kills(&gate))),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("shut: {why}\n")),
    }
}

/// What stands of the kill switch: the gateway is ready all the same, since it answers for it.
fn kills(gate: &Gate) -> String {
    let set = gate.kill.stand();
    let line = |kill: &crate::kill::Kill| {
        let class = if kill.class.is_all() { "" } else { kill.class.as_str() };
        // A scope's name may be a person's.
        format!("kill switch: {} for {} {class}", kill.level.as_str(), kill.scope.kind.as_str())
            .trim_end()
            .to_owned()
    };
    set.kills.iter().map(|kill| line(kill) + "\n").collect()
}

const UPKEEP_EVERY: Duration = Duration::from_secs(1);
