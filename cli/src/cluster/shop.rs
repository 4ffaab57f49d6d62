//! The small shop that a cluster of our own holds, so that there is something to play with. It never touches a
//! shop that is already complete.

use crate::error::Error;
use std::{path::Path, time::Duration};
use tokio_postgres::{Client, Config, NoTls};

/// Name of the shop's database.
pub(super) const DATABASE: &str = "shop";

/// Makes roles, database and tables where they are missing; `true` when the shop was filled now.
pub(super) async fn seed(port: u16) -> Result<bool, Error> {
    fill(port).await.map_err(|error| {
        let why = error.as_db_error().map_or_else(|| error.to_string(), |said| said.message().to_owned());
        Error::Cluster {
            why: format!("the shop database cannot be made: {why}"),
            hint: "move the folder `postgres` of the data folder away to begin with a new cluster".into(),
        }
    })
}

async fn fill(port: u16) -> Result<bool, tokio_postgres::Error> {
    let server = connect(port, "postgres").await?;
    server.batch_execute(ROLES).await?;
    if server.query("SELECT 1 FROM pg_database WHERE datname = $1", &[&DATABASE]).await?.is_empty() {
        server.batch_execute("CREATE DATABASE shop OWNER app").await?;
    }
    let shop = connect(port, DATABASE).await?;
    if !shop.query(COMPLETE, &[]).await?.is_empty() {
        return Ok(false);
    }
    shop.batch_execute(&format!("BEGIN;\n{SHOP}\nCOMMIT;")).await?;
    Ok(true)
}

/// Whether the server at this port answers and serves this data folder, not another one.
pub(super) async fn answers(port: u16, data: &Path) -> bool {
    let Ok(server) = connect(port, "postgres").await else { return false };
    let Ok(row) = server.query_one("SHOW data_directory", &[]).await else { return false };
    row.try_get::<_, &str>(0).is_ok_and(|served| Path::new(served) == data)
}

async fn connect(port: u16, database: &str) -> Result<Client, tokio_postgres::Error> {
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).user("postgres").dbname(database);
    config.connect_timeout(Duration::from_secs(5)).application_name("clyra up");
    let (client, connection) = config.connect(NoTls).await?;
    // Ends by itself when the client is dropped.
    tokio::spawn(connection);
    Ok(client)
}

const SHOP: &str = include_str!("shop.sql");
const COMPLETE: &str = "SELECT 1 FROM pg_database WHERE datname = current_database() \
                        AND shobj_description(oid, 'pg_database') = 'the shop of clyra, complete'";
const ROLES: &str = "
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN CREATE ROLE app LOGIN; END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'agent') THEN CREATE ROLE agent LOGIN IN ROLE app; END IF;
END $$";
