//! Gateway, recorder and cluster as one thing that opens in order and closes in reverse. Whatever fails on the way
//! up, what is up already is closed again.

use super::{
    data::{Data, Keys},
    doors::{self, Doors},
    faults,
};
use crate::{cluster::Cluster, error::Error, rules::Follow, standing::Standing};
use clyra_gateway::{ClientTls, Gateway, PolicyInForce, Upstream, gateway_key};
use clyra_recorder::Recorder;
use clyra_spec::Mode;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::pin,
};

/// What to open.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) doors: Doors,
    /// Where the recorder shows its log over HTTP, for reading only.
    pub(crate) log_http: Option<SocketAddr>,
    pub(crate) data: PathBuf,
    /// A server of somebody else's; without it a cluster of our own.
    pub(crate) upstream: Option<String>,
    /// Without it the data folder's own.
    pub(crate) policy: Option<PathBuf>,
    /// Instead of the policy's own mode.
    pub(crate) mode: Option<Mode>,
    /// A file that raises the kill switch while it stands.
    pub(crate) kill_file: Option<PathBuf>,
    /// Whose signature the policy must bear.
    pub(crate) signing: clyra_gateway::Signing,
    pub(crate) workers: usize,
    pub(crate) pg_bin: Option<PathBuf>,
    pub(crate) limits: clyra_gateway::Limits,
    /// How connections to the server are shared.
    pub(crate) pool: Option<clyra_gateway::PoolSettings>,
    /// TLS towards clients.
    pub(crate) tls: Option<ClientTls>,
    /// The login file.
    pub(crate) login: Option<PathBuf>,
    /// The gateway's own password at the server.
    pub(crate) upstream_password: Option<String>,
    /// How the gateway learns what the databases define.
    pub(crate) follow: Follow,
}

/// A house that stands.
#[derive(Debug)]
pub(crate) struct House {
    gateway: Gateway,
    recorder: Recorder,
    cluster: Option<Cluster>,
    policy: PolicyInForce,
    standing: Standing,
    data: Data,
}

impl House {
    /// Opens the house: looks first, then cluster, recorder, gateway, and at last `up.json`.
    ///
    /// # Errors
    /// The first thing that does not hold; nothing stays behind running.
    pub(crate) async fn open(plan: Plan, say: &(dyn Fn(&str) + Sync)) -> Result<Self, Error> {
        let data = Data::open(&plan.data)?;
        Standing::remove(data.folder())?;
        let policy = data.policy(plan.policy.as_deref())?;
        let upstream = plan.upstream.as_deref().map(parse).transpose()?;
        plan.doors.check()?;
        let shown = plan.log_http.filter(|address| !address.ip().is_loopback());
        for (flag, address) in plan.doors.exposed().chain(shown.map(|address| ("--log-http", address))) {
            say(&format!(
                "take care: {flag} {address} can be reached from other machines, and asks for no login"
            ));
        }
        let Some(upstream) = upstream else {
            let cluster = Cluster::start(data.folder(), plan.pg_bin.as_deref(), say).await?;
            let upstream = parse(&cluster.url())?;
            return Self::around(&plan, data, policy, upstream, Some(cluster)).await;
        };
        doors::greet(&upstream).await?;
        Self::around(&plan, data, policy, upstream, None).await
    }

    /// Opens the house unless `stop` comes meanwhile: then it is closed again as soon as it is open, so that nothing
    /// is left half made.
    ///
    /// # Errors
    /// As [`House::open`] and [`House::close`].
    pub(crate) async fn open_unless(
        plan: Plan,
        say: &(dyn Fn(&str) + Sync),
        stop: impl Future<Output = ()>,
    ) -> Result<Option<Self>, Error> {
        let mut opening = pin!(Self::open(plan, say));
        tokio::select! {
            opened = &mut opening => return opened.map(Some),
            () = stop => say("stopping as soon as it is open"),
        }
        opening.await?.close().await?;
        Ok(None)
    }

    /// Recorder and gateway around a server that is there.
    async fn around(
        plan: &Plan,
        data: Data,
        policy: PathBuf,
        upstream: Upstream,
        cluster: Option<Cluster>,
    ) -> Result<Self, Error> {
        let recorder = match start_recorder(plan, &data).await {
            Ok(recorder) => recorder,
            Err(error) => return Err(after(error, None, cluster).await),
        };
        let url = cluster.as_ref().map_or_else(|| plan.upstream.clone().unwrap_or_default(), Cluster::url);
        let own = cluster.as_ref().map(|_| &upstream);
        let catalog = plan.follow.settings(own, plan.login.is_some());
        let settings = clyra_gateway::Settings {
            listen: plan.doors.listen,
            admin: plan.doors.admin,
            metrics: plan.doors.metrics,
            data: data.folder().to_path_buf(),
            upstream,
            policy_file: Some(policy.clone()),
            kill_file: plan.kill_file.clone(),
            mode: plan.mode,
            signing: plan.signing.clone(),
            recorder: recorder.addr(),
            workers: plan.workers,
            tls: plan.tls.clone(),
            login: plan.login.clone(),
            upstream_password: plan.upstream_password.clone(),
            limits: plan.limits,
            pool: plan.pool,
            catalog,
        };
        let gateway = match Gateway::start(settings).await {
            Ok(gateway) => gateway,
            Err(error) => {
                return Err(after(faults::of_gateway(error, data.folder()), Some(recorder), cluster).await);
            }
        };
        let standing = Standing {
            pid: std::process::id(),
            listen: gateway.listen(),
            admin: gateway.admin(),
            metrics: gateway.metrics(),
            recorder: recorder.addr(),
            upstream: url,
            trust: PathBuf::new(),
            policy,
        };
        let in_force = gateway.policy();
        let house = Self { gateway, recorder, cluster, policy: in_force, standing, data };
        house.announced().await
    }

    /// Writes trust file and `up.json`; closes the house again when the disk does not take them.
    async fn announced(mut self) -> Result<Self, Error> {
        let announce = || -> Result<PathBuf, Error> {
            let gateway = gateway_key(self.data.folder());
            let gateway = gateway.map_err(|error| faults::of_gateway(error, self.data.folder()))?;
            let keys = Keys { log: self.recorder.log_key(), gateway, recorder: self.recorder.bundle_key() };
            let trust = self.data.trust(&keys)?;
            Standing { trust: trust.clone(), ..self.standing.clone() }.write(self.data.folder())?;
            Ok(trust)
        };
        match announce() {
            Ok(trust) => {
                self.standing.trust = trust;
                Ok(self)
            }
            Err(error) => {
                // The first fault is the one to tell.
                let _later = self.close().await;
                Err(error)
            }
        }
    }

    /// Where everything is.
    pub(crate) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Where the log is shown over HTTP.
    pub(crate) fn log_http(&self) -> Option<SocketAddr> {
        self.recorder.log_http()
    }

    /// What people should know about rules about names.
    pub(crate) fn about_names(&self) -> Vec<String> {
        self.gateway.about_names()
    }

    pub(crate) fn policy(&self) -> &PolicyInForce {
        &self.policy
    }

    pub(crate) fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.data.folder()
    }

    /// `up.json` as one line.
    pub(crate) fn ready_record(&self) -> Result<String, Error> {
        serde_json::to_string(&self.standing)
            .map_err(|error| Error::Ours { doing: "writing JSON", why: error.to_string() })
    }

    /// Blocks every statement, since a signal asks for it; what came of it.
    pub(crate) async fn block(&self) -> String {
        match self.gateway.block("SIGUSR1").await {
            Ok(()) => "kill switch turned by SIGUSR1: every statement is refused; see `clyra kill status`"
                .to_owned(),
            Err(error) => format!("kill switch turned by SIGUSR1, and not kept: {error}"),
        }
    }

    /// Ends when a part has ended by itself, and says which and why.
    pub(crate) async fn ended(&mut self) -> Error {
        let cluster = async {
            match &mut self.cluster {
                Some(cluster) => cluster.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            error = self.gateway.failed() => faults::of_gateway(error, self.data.folder()),
            error = self.recorder.failed() => faults::of_recorder(error, self.data.folder()),
            error = cluster => error,
        }
    }

    /// Ends the cluster's server without waiting for anything.
    pub(crate) fn abandon(&self) -> impl Fn() + use<> {
        let server = self.cluster.as_ref().map(Cluster::abandon);
        move || {
            if let Some(abandon) = &server {
                abandon();
            }
        }
    }

    /// Closes in order: the gateway drains, the recorder publishes, the cluster shuts down. Every part is closed
    /// whatever the others say; the first fault is told.
    ///
    /// # Errors
    /// A part did not close as it should.
    pub(crate) async fn close(self) -> Result<(), Error> {
        let folder = self.data.folder().to_path_buf();
        let gateway = self.gateway.stop().await.map_err(|error| faults::of_gateway(error, &folder));
        let recorder = self.recorder.stop().await.map_err(|error| faults::of_recorder(error, &folder));
        let cluster = match self.cluster {
            Some(cluster) => cluster.stop().await,
            None => Ok(()),
        };
        gateway.and(recorder).and(cluster).and(Standing::remove(&folder))
    }
}

async fn start_recorder(plan: &Plan, data: &Data) -> Result<Recorder, Error> {
    let maker = gateway_key(data.folder()).map_err(|error| faults::of_gateway(error, data.folder()))?;
    let settings = clyra_recorder::Settings {
        listen: plan.doors.recorder,
        log_http: plan.log_http,
        data: data.folder().join("recorder"),
        makers: vec![maker],
    };
    Recorder::start(settings).await.map_err(|error| match error {
        clyra_recorder::Error::Listen { addr, source } if Some(addr) == plan.log_http => {
            doors::taken("--log-http", addr, &source)
        }
        other => faults::of_recorder(other, data.folder()),
    })
}

/// Closes what is up already after a fault on the way up, and gives the fault back.
async fn after(error: Error, recorder: Option<Recorder>, cluster: Option<Cluster>) -> Error {
    if let Some(recorder) = recorder {
        // The first fault is the one to tell.
        let _later = recorder.stop().await;
    }
    if let Some(cluster) = cluster {
        let _later = cluster.stop().await;
    }
    error
}

fn parse(url: &str) -> Result<Upstream, Error> {
    Upstream::parse(url).map_err(|error| Error::Usage(error.to_string()))
}
