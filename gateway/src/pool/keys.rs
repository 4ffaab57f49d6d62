//! Keys with which clients cancel: the gateway gives each client a key of its own, since the server's session behind it
//! changes. A request reaches the session that the client has at that moment, or none.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use subtle::ConstantTimeEq as _;

/// The keys of all clients.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    given: Mutex<HashMap<u32, Arc<Given>>>,
}

#[derive(Debug)]
struct Given {
    secret: Box<[u8]>,
    at: Mutex<Target>,
}

#[derive(Debug, Default)]
struct Target {
    /// Process and key of the server's session that the client has now.
    key: Option<Arc<[u8]>>,
    /// A request went to it.
    cancelled: bool,
}

/// A client's key, as long as it is connected.
#[derive(Debug)]
pub(crate) struct Place {
    process: u32,
    given: Arc<Given>,
    keys: Arc<super::Pool>,
}

impl Place {
    /// A new key; a longer one where the protocol of the client (`minor`) knows them.
    pub(crate) fn new(pool: &Arc<super::Pool>, minor: u16) -> Self {
        let secret: Box<[u8]> = (0..if minor >= 2 { 32 } else { 4 }).map(|_| fastrand::u8(..)).collect();
        let given = Arc::new(Given { secret, at: Mutex::default() });
        let mut all = pool.keys.given.lock().unwrap_or_else(PoisonError::into_inner);
        let process = loop {
            let process = fastrand::u32(1..=i32::MAX as u32);
            if !all.contains_key(&process) {
                break process;
            }
        };
        all.insert(process, Arc::clone(&given));
        drop(all);
        Self { process, given, keys: Arc::clone(pool) }
    }

    /// The body of `BackendKeyData`.
    pub(crate) fn body(&self) -> Vec<u8> {
        [&self.process.to_be_bytes(), &*self.given.secret].concat()
    }

    /// The client has this session of the server now.
    pub(crate) fn attach(&self, key: &Arc<[u8]>) {
        let target = Target { key: Some(Arc::clone(key)), cancelled: false };
        *self.given.at.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }

    /// The client has it no longer; true where a request went to it that may still be on its way, so that nobody else
    /// should have it.
    pub(crate) fn detach(&self) -> bool {
        let mut at = self.given.at.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *at).cancelled
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.keys.keys.given.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.process);
    }
}

impl Keys {
    /// The request for the server in the place of a client's; `None` where the key is nobody's, or its client has no
    /// session now.
    pub(crate) fn translated(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let (process, secret) = packet.get(8..)?.split_first_chunk::<4>()?;
        let all = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let given = all.get(&u32::from_be_bytes(*process)).map(Arc::clone)?;
        drop(all);
        if !bool::from(given.secret.ct_eq(secret)) {
            return None;
        }
        let mut at = given.at.lock().unwrap_or_else(PoisonError::into_inner);
        let key = at.key.clone()?;
        at.cancelled = true;
        let length = u32::try_from(key.len() + 8).ok()?;
        Some([&length.to_be_bytes()[..], packet.get(4..8)?, &key].concat())
    }
}
