//! A PostgreSQL client that reports what it heard. It judges nothing.

use super::NAME;
use crate::{error::Error, standing::Standing};
use std::{fmt, time::Duration};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

/// One connection, ended when it is dropped.
#[derive(Debug)]
pub(super) struct Talk {
    client: Client,
    connection: JoinHandle<Result<(), tokio_postgres::Error>>,
}

/// What the server, or the gateway in its place, answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It ran: rows returned or changed, and the first value of the first row.
    Ran {
        /// Rows returned or changed.
        rows: u64,
        /// First value of the first row.
        value: Option<String>,
    },
    /// An error answer.
    Refused {
        /// Its SQLSTATE.
        sqlstate: String,
        /// Its message.
        message: String,
    },
    /// No answer.
    Lost(String),
}

impl Talk {
    /// Through the gateway, as the demo and in this run.
    pub(super) async fn through(standing: &Standing, run_id: &str) -> Result<Self, Error> {
        let mut config = Config::new();
        config.host(standing.listen.ip().to_string()).port(standing.listen.port()).dbname("shop");
        config.options(format!("-c clyra.run_id={run_id}"));
        Self::open(config, "the gateway", standing.listen.to_string()).await
    }

    /// Past the gateway, to see what is really there.
    pub(super) async fn direct(standing: &Standing) -> Result<Self, Error> {
        let url = &standing.upstream;
        let mut config: Config = url.parse().map_err(|error| {
            Error::Usage(format!("the upstream `{url}` cannot be looked at directly: {error}"))
        })?;
        config.dbname("shop");
        Self::open(config, "the upstream's shop database", url.clone()).await
    }

    async fn open(mut config: Config, what: &'static str, address: String) -> Result<Self, Error> {
        config.user("app").application_name(NAME).connect_timeout(Duration::from_secs(5));
        let (client, connection) = config.connect(NoTls).await.map_err(|error| Error::Unreachable {
            what,
            address,
            why: words(&error),
            hint: "the demo plays on the shop of `clyra up`'s own cluster, as user `app`; without a running house \
                   it opens one: clyra demo --data /tmp/clyra-demo"
                .into(),
        })?;
        Ok(Self { client, connection: tokio::spawn(connection) })
    }

    /// Sends one message and reports the answer.
    pub(super) async fn send(&self, sql: &str) -> Heard {
        let answer = match self.client.simple_query(sql).await {
            Ok(answer) => answer,
            Err(error) => {
                return match error.as_db_error() {
                    Some(said) => Heard::Refused {
                        sqlstate: said.code().code().to_owned(),
                        message: said.message().to_owned(),
                    },
                    None => Heard::Lost(words(&error)),
                };
            }
        };
        let (mut rows, mut value) = (0, None);
        for message in answer {
            match message {
                SimpleQueryMessage::Row(row) if value.is_none() => {
                    value = row.try_get(0).ok().flatten().map(str::to_owned);
                }
                SimpleQueryMessage::CommandComplete(count) => rows = count,
                _ => {}
            }
        }
        Heard::Ran { rows, value }
    }

    /// Says goodbye and waits until the connection has ended.
    pub(super) async fn end(self) {
        drop(self.client);
        // However it ended, it has.
        let _ended = self.connection.await;
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ran { rows: 1, .. } => write!(out, "passed, 1 row"),
            Self::Ran { rows, .. } => write!(out, "passed, {rows} rows"),
            Self::Refused { sqlstate, message } => write!(out, "refused {sqlstate}: {message}"),
            Self::Lost(why) => write!(out, "no answer: {why}"),
        }
    }
}

fn words(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(
        || std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string),
        |said| said.message().to_owned(),
    )
}
