//! Puts a gateway together, and takes it apart in the right order.

use crate::{
    Error, PolicyInForce, Settings,
    admin::{Admin, Desk, in_force},
    catalog::Catalogs,
    duty::Approvals,
    force::Source,
    gate::{Gate, Parts, new_id, now_us},
    kill::{KillSwitch, Scope, Wish},
    once::Book,
    outbox::{Outbox, OutboxSettings},
    pg::Door,
    secure::Secure,
    settings::CatalogSource,
};
use clyra_seal::{fingerprint::Secret, key::SigningKey};
use clyra_spec::{KillCause, KillClass, KillLevel};
use std::{net::SocketAddr, path::Path, sync::Arc};
use tokio::runtime::Handle;

/// A gateway at work.
#[derive(Debug)]
pub struct Gateway {
    gate: Arc<Gate>,
    door: Door,
    admin: Admin,
}

impl Gateway {
    /// Opens the outbox, then the gate, then the doors.
    ///
    /// # Errors
    /// When an address is taken, the policy is none, or keys, kill switch or spool are damaged.
    pub async fn start(settings: Settings) -> Result<Self, Error> {
        let runtime = Handle::current();
        let folder = settings.data.join(FOLDER);
        let key = signing_key(&settings.data)?;
        let kill = KillSwitch::open(folder.join("kill.json"))?;
        let secret = Secret::load_or_generate(&folder.join("fingerprint.secret"))?;
        let gateway = key.name().to_owned();
        // A policy that is none must not leave an entry of a start that never was.
        let source = Source {
            file: settings.policy_file.clone(),
            mode: settings.mode,
            signing: settings.signing.clone(),
        };
        source.read()?;
        let approvals = Approvals::open(folder.join("approvals.jsonl"), now_us())?;
        // So must files that TLS cannot be made from.
        let secure = Arc::new(Secure::load(&settings, secret.clone())?);
        let own = || secure.logins.as_ref().is_some_and(|logins| logins.own_user().is_some());
        let catalog = settings.catalog.clone().filter(|one| one.source != CatalogSource::Own || own());
        let catalogs = catalog.map(|catalog| {
            Catalogs::new(catalog, settings.upstream.clone(), Arc::clone(&secure), runtime.clone())
        });
        let outbox_settings = OutboxSettings::new(folder.join("outbox"), settings.recorder);
        let outbox = Outbox::start(outbox_settings, key, runtime.clone())?;
        let gate = Arc::new(Gate::new(Parts {
            source,
            approvals,
            kill,
            cap_journal: folder.join("caps.journal"),
            keys: Book::open(folder.join("keys"), now_us())?,
            outbox: Arc::clone(&outbox),
            secret,
            upstream: settings.upstream.to_string(),
            catalogs,
        })?);
        gate.look_around(settings.upstream.database.as_deref()).await;
        let desk =
            Desk { gate: Arc::clone(&gate), secure: Arc::clone(&secure), gateway, epoch: outbox.epoch() };
        let admin = Admin::open(&settings, desk, &runtime).await?;
        let door = Door::open(&settings, Arc::clone(&gate), secure, &runtime).await?;
        Ok(Self { gate, door, admin })
    }

    /// Where PostgreSQL clients connect.
    pub fn listen(&self) -> SocketAddr {
        self.door.addr
    }

    /// Where the admin gRPC service listens.
    pub fn admin(&self) -> SocketAddr {
        self.admin.grpc_addr
    }

    /// Where metrics and health are served.
    pub fn metrics(&self) -> SocketAddr {
        self.admin.http_addr
    }

    /// The policy in force.
    pub fn policy(&self) -> PolicyInForce {
        let (force, file) = self.gate.in_force();
        in_force(&force, file)
    }

    /// Reads the policy file again; a broken file keeps the policy in force.
    ///
    /// # Errors
    /// When the file cannot be read or is no policy.
    pub fn reload(&self) -> Result<PolicyInForce, Error> {
        let force = self.gate.reload()?;
        Ok(in_force(&force, self.gate.in_force().1))
    }

    /// What people should know about how rules about names are judged, one sentence each.
    pub fn about_names(&self) -> Vec<String> {
        self.gate.about_names()
    }

    /// Blocks every statement of everybody, as a signal to the process asks for it. It takes a person to release it.
    ///
    /// # Errors
    /// When it cannot be journalled, or its entry cannot be kept; it is in effect all the same.
    pub async fn block(&self, signal: &str) -> Result<(), Error> {
        let at_us = now_us();
        let wish = Wish {
            id: new_id(at_us),
            scope: Scope::default(),
            class: KillClass::All,
            level: self.gate.kill.level().max(KillLevel::BlockStatements),
            reason: format!("{signal} to the gateway's process"),
            by: "signal".to_owned(),
            cause: KillCause::Signal,
            at_us,
            expires_us: None,
            signed: None,
        };
        match self.gate.turn(wish).await {
            Ok(_) => Ok(()),
            Err(crate::kill::Refused::Kept(error)) => Err(error),
            Err(why) => Err(Error::NotRecorded(why.to_string())),
        }
    }

    /// Waits until a part of the gateway ends that must not; the process should then stop.
    pub async fn failed(&self) -> Error {
        self.door.fallen().await;
        Error::Stopped("worker thread")
    }

    /// Drains the sessions, writes what is left, and closes.
    ///
    /// # Errors
    /// When the last receipts could not be written to the spool.
    pub async fn stop(self) -> Result<(), Error> {
        self.door.close().await;
        self.gate.caps.close();
        if let Some(catalogs) = &self.gate.catalogs {
            catalogs.close();
        }
        self.gate.keys.upkeep(now_us());
        let stopped = self.gate.outbox.stop().await;
        self.admin.close().await;
        Ok(stopped?)
    }
}

/// The gateway's public key as a vkey; its key pair is made on first use.
///
/// # Errors
/// When the key file cannot be read or made.
pub fn gateway_key(data: &Path) -> Result<String, Error> {
    Ok(signing_key(data)?.verifying().to_string())
}

fn signing_key(data: &Path) -> Result<SigningKey, Error> {
    let folder = data.join(FOLDER);
    std::fs::create_dir_all(&folder).map_err(|source| Error::Data { path: folder.clone(), source })?;
    Ok(SigningKey::load_or_generate(&folder.join("gateway.key"), "gw")?)
}

/// The gateway's folder within the data folder.
const FOLDER: &str = "gateway";
