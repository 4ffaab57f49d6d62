//! The object store of the log, for threads that may wait. It never caches.

use crate::Error;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{Error as StoreError, ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tokio::runtime::Handle;

/// A folder of objects. All verbs wait; never call them on a thread of the runtime.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    objects: Arc<LocalFileSystem>,
    runtime: Handle,
}

impl Store {
    pub(crate) fn open(folder: &Path, runtime: Handle) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(Error::file("make", folder))?;
        let objects = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true).with_automatic_cleanup(true);
        Ok(Self { objects: Arc::new(objects), runtime })
    }

    pub(crate) fn get(&self, key: &str) -> Result<Option<Bytes>, Error> {
        let read = async { self.objects.get(&Key::from(key)).await?.bytes().await };
        match self.runtime.block_on(read) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Replaces the object; durable on return.
    pub(crate) fn put(&self, key: &str, bytes: Bytes) -> Result<(), Error> {
        self.runtime.block_on(self.objects.put(&Key::from(key), bytes.into()))?;
        Ok(())
    }

    /// Replaces several objects, some at a time; all are durable on return.
    pub(crate) fn put_all(&self, staged: &mut Vec<(String, Bytes)>) -> Result<(), Error> {
        let puts = staged.drain(..).map(|(key, bytes)| async move {
            self.objects.put(&Key::from(key), bytes.into()).await.map(drop)
        });
        let puts: Vec<_> = puts.collect();
        self.runtime.block_on(stream::iter(puts).buffer_unordered(AT_ONCE).try_collect::<()>())?;
        Ok(())
    }

    /// Writes the object where there is none; false where there is one.
    pub(crate) fn create(&self, key: &str, bytes: Bytes) -> Result<bool, Error> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.runtime.block_on(self.objects.put_opts(&Key::from(key), bytes.into(), options)) {
            Ok(_) => Ok(true),
            Err(StoreError::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Keys below a folder, sorted.
    pub(crate) fn list(&self, folder: &str) -> Result<Vec<String>, Error> {
        let prefix = Key::from(folder);
        let listed = self.objects.list(Some(&prefix)).map_ok(|object| object.location.to_string());
        let mut keys: Vec<String> = self.runtime.block_on(listed.try_collect())?;
        keys.sort_unstable();
        Ok(keys)
    }

    pub(crate) fn delete(&self, key: &str) -> Result<(), Error> {
        match self.runtime.block_on(self.objects.delete(&Key::from(key))) {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Objects under way at a time: enough that one journal commit of the file system serves several.
const AT_ONCE: usize = 16;
