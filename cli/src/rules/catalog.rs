//! `clyra policy catalog`: takes the snapshot of what a database defines. It asks the server once and changes nothing.

use crate::{error::Error, standing::write_whole, tell, verbs::say};
use clap::Args;
use clyra_policy::Catalog;
use serde_json::json;
use std::path::{Path, PathBuf};
use tokio_postgres::{NoTls, SimpleQueryMessage};

/// Whose catalog, and whereto.
#[derive(Debug, Args)]
pub struct CatalogArgs {
    /// The database, as `postgres://user:password@host:port/database`; its role must see what is to be judged
    #[arg(long, value_name = "URL")]
    upstream: String,
    /// The snapshot; `-` writes standard output. A file is written whole or not at all
    #[arg(long = "out", value_name = "FILE")]
    output: PathBuf,
    /// Print JSON of what was written
    #[arg(long)]
    json: bool,
}

/// Writes the snapshot.
pub(crate) async fn run(args: &CatalogArgs) -> Result<u8, Error> {
    let catalog = snapshot(&args.upstream).await?;
    let json = catalog.to_json().map_err(|error| Error::Usage(error.to_string()))?;
    if args.output == Path::new("-") {
        tell::bytes(json.as_bytes())?;
        return Ok(0);
    }
    write_whole(&args.output, json.as_bytes())?;
    let (relations, functions) = (catalog.relations(), catalog.functions());
    let record = json!({"file": args.output, "relations": relations, "functions": functions});
    say(args.json, &record, || {
        format!("{}: {relations} tables and views, {functions} functions", args.output.display())
    })?;
    Ok(0)
}

/// Reads a snapshot.
pub(crate) fn read(path: &Path) -> Result<Catalog, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::Usage(format!("cannot read `{}`: {error}", path.display())))?;
    Catalog::parse(&text).map_err(|error| Error::Usage(format!("{}: {error}", path.display())))
}

async fn snapshot(upstream: &str) -> Result<Catalog, Error> {
    let failed = |error: tokio_postgres::Error| {
        let why = error.as_db_error().map_or_else(|| error.to_string(), |answer| answer.message().to_owned());
        Error::Usage(format!("the upstream does not tell its catalog: {why}"))
    };
    let (client, connection) = tokio_postgres::connect(upstream, NoTls).await.map_err(failed)?;
    let connection = tokio::spawn(connection);
    let asked =
        format!("BEGIN READ ONLY; SET LOCAL search_path = pg_catalog; {}; COMMIT", Catalog::QUERY.trim());
    let rows = client.simple_query(&asked).await.map_err(failed)?;
    connection.abort();
    let row = rows.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    Catalog::of_server(row.unwrap_or_default()).map_err(|error| Error::Usage(error.to_string()))
}
