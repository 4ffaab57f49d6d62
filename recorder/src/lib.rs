//! The memory: takes signed batches from gateways, keeps them in a tamper-evident log, and cuts bundles out of it.
//!
//! A batch is acknowledged only when it is checked, in order and durable. One writer thread per log commits all batches that
//! wait as one group with one sync; once a second a second thread shows what is durable: a commit that only one recorder can
//! win, the tiles, then the signed checkpoint. The recorder reads nothing of an entry but its envelope, and only to cut a
//! bundle. It knows no policy, holds no secret of a gateway, and changes or deletes no entry. What it cannot place without
//! doubt it refuses: an unknown key, a hole, a fork, a damaged file.
//!
//! ```text
//! gateways ══gRPC══▶ intake ─▶ log (one writer: wal/, fdatasync) ─▶ ack
//!                                 └─▶ shelf: commit/ ─▶ tile/ ─▶ checkpoint ─▶ index ─▶ cut: bundle of a run
//!                                                         readers ◀── http ◀──┘     fsck: all of it, at rest
//! ```
//!
//! ```
//! # let runtime = tokio::runtime::Runtime::new()?;
//! # let folder = std::env::temp_dir().join(format!("clyra-recorder-doc-{}", std::process::id()));
//! # runtime.block_on(async {
//! use clyra_recorder::{Recorder, Settings};
//! let settings =
//!     Settings { listen: "127.0.0.1:0".parse()?, log_http: None, data: folder.clone(), makers: vec![] };
//! let recorder = Recorder::start(settings).await?;
//! assert!(recorder.log_key().starts_with("clyra-log-"));
//! recorder.stop().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # std::fs::remove_dir_all(folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cut;
mod error;
mod fsck;
mod http;
mod index;
mod intake;
mod log;
mod read;
mod recorder;
mod rollup;
#[cfg(test)]
mod sample;
mod shelf;
#[cfg(test)]
mod tests;
mod witness;

pub use error::Error;
pub use fsck::{Fault, Health, fsck, reindex};
pub use read::read;
pub use recorder::{Recorder, Settings};
pub use rollup::{Made, rollup};
pub use shelf::reader::{Extent, entries};
