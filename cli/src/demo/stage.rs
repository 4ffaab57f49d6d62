//! Where the demo plays: the running house of a data folder, or one of its own. It closes only what it opened.

use crate::{
    error::Error,
    standing::Standing,
    tell,
    up::{Doors, House, Plan, is_held, workers},
};
use std::path::PathBuf;
use tempfile::TempDir;

/// A house to play against.
#[derive(Debug)]
pub(super) struct Stage {
    /// Where it stands.
    pub(super) standing: Standing,
    /// Ours to close; absent when somebody else runs it.
    pub(super) house: Option<House>,
    /// A folder that goes when the demo is over.
    temporary: Option<TempDir>,
}

impl Stage {
    /// The running house of the folder, or a new one: there when a folder was named, else in a temporary one.
    pub(super) async fn open(
        data: Option<PathBuf>,
        pg_bin: Option<PathBuf>,
        json: bool,
        stop: impl Future<Output = ()>,
    ) -> Result<Self, Error> {
        let looked = data.clone().unwrap_or_else(|| "clyra-data".into());
        if is_held(&looked) {
            let standing = Standing::read(&looked)?.ok_or_else(|| Error::Refused {
                what: "the running `clyra up`",
                why: format!("it is not ready yet: no `{}`; try again", Standing::path(&looked).display()),
            })?;
            return Ok(Self { standing, house: None, temporary: None });
        }
        let say = move |line: &str| {
            if !json {
                tell::note(line);
            }
        };
        let (folder, temporary) = match data {
            Some(folder) => (folder, None),
            None => temporary_folder().map(|folder| (folder.path().to_path_buf(), Some(folder)))?,
        };
        say(&format!(
            "no house runs in `{}`; the demo opens its own in `{}`",
            looked.display(),
            folder.display()
        ));
        let plan = Plan {
            doors: Doors::any(),
            log_http: None,
            data: folder,
            upstream: None,
            kill_file: None,
            policy: None,
            // The story's own rules are built in.
            signing: clyra_gateway::Signing { keys: Vec::new(), allow_unsigned: true, own: None },
            mode: None,
            workers: workers(),
            pg_bin,
            tls: None,
            login: None,
            upstream_password: None,
            limits: clyra_gateway::Limits::default(),
            pool: None,
            follow: crate::rules::Follow::default(),
        };
        let house = House::open_unless(plan, &say, stop).await?;
        let house = house.ok_or_else(|| Error::Usage(super::INTERRUPTED.into()))?;
        Ok(Self { standing: house.standing().clone(), house: Some(house), temporary })
    }

    /// Whether nothing of it stays.
    pub(super) fn passes_away(&self) -> bool {
        self.temporary.is_some()
    }

    pub(super) async fn close(self) -> Result<(), Error> {
        match self.house {
            Some(house) => house.close().await,
            None => Ok(()),
        }
    }
}

fn temporary_folder() -> Result<TempDir, Error> {
    tempfile::Builder::new()
        .prefix("clyra-demo-")
        .tempdir()
        .map_err(|error| Error::file(&std::env::temp_dir(), "make a folder in it", &error))
}
