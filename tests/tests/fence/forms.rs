//! The ways in which a statement can be asked for, and what is answered, in a form that two servers can be compared by.

use super::maker::Value;
use bytes::{BufMut as _, BytesMut};
use futures_util::{SinkExt as _, TryStreamExt as _};
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Error, Row, SimpleQueryMessage};

/// A way to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A simple query.
    Text,
    /// Prepared by the protocol; values in text, or in binary.
    Bound { binary: bool },
    /// PREPARE and EXECUTE.
    Prepared,
    /// DECLARE and FETCH.
    Cursor,
    /// COPY (query) TO STDOUT.
    CopyOut,
    /// COPY of a whole table, to the client.
    CopyWhole,
    /// COPY of a whole table, from the client.
    CopyIn,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Rows and counts, sorted.
    Rows(Vec<String>),
    /// The server's SQLSTATE.
    Failed(String),
    /// The gateway's reason.
    Refused(String),
}

pub(super) async fn ask(client: &Client, form: Form, sql: &str, values: &[Value]) -> Answer {
    let said = match form {
        Form::Text => client.simple_query(sql).await.map(|said| shown(&said)),
        Form::Bound { binary } => bound(client, sql, values, binary).await,
        Form::Prepared => prepared(client, sql, values).await,
        Form::Cursor => cursor(client, sql).await,
        Form::CopyOut => copied(client, &format!("copy ({sql}) to stdout")).await,
        Form::CopyWhole => copied(client, &format!("copy {sql} to stdout")).await,
        Form::CopyIn => copy_in(client, sql).await,
    };
    match said {
        Ok(mut rows) => {
            rows.sort();
            Answer::Rows(rows)
        }
        Err(error) => {
            let code = error.as_db_error().map_or("broken", |error| error.code().code()).to_owned();
            let ours = error.as_db_error().is_some_and(|error| error.message().starts_with("clyra:"));
            if ours { Answer::Refused(super::reason(error)) } else { Answer::Failed(code) }
        }
    }
}

fn shown(messages: &[SimpleQueryMessage]) -> Vec<String> {
    messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|at| row.get(at).unwrap_or("~")).collect::<Vec<_>>().join("|"))
            }
            SimpleQueryMessage::CommandComplete(count) => Some(format!("{count} rows")),
            _ => None,
        })
        .collect()
}

async fn bound(client: &Client, sql: &str, values: &[Value], binary: bool) -> Result<Vec<String>, Error> {
    let values: Vec<Bind> = values.iter().map(|value| Bind { value: *value, binary }).collect();
    let stream = client.query_raw(sql, values.iter()).await?;
    let mut stream = std::pin::pin!(stream);
    let mut rows = Vec::new();
    while let Some(row) = stream.try_next().await? {
        rows.push(bytes_of(&row)?);
    }
    rows.push(format!("{:?} rows", stream.rows_affected()));
    Ok(rows)
}

fn bytes_of(row: &Row) -> Result<String, Error> {
    let cell = |at| row.try_get::<_, Option<Raw>>(at).map(|cell| format!("{:?}", cell.map(|cell| cell.0)));
    (0..row.len()).map(cell).collect::<Result<Vec<_>, _>>().map(|cells| cells.join("|"))
}

async fn prepared(client: &Client, sql: &str, values: &[Value]) -> Result<Vec<String>, Error> {
    client.simple_query(&format!("prepare p as {sql}")).await?;
    let literals: Vec<String> =
        values.iter().map(|value| value.map_or("null".to_owned(), |value| value.to_string())).collect();
    let brackets = if values.is_empty() { String::new() } else { format!("({})", literals.join(", ")) };
    let said = client.simple_query(&format!("execute p{brackets}")).await;
    client.simple_query("deallocate p").await?;
    said.map(|said| shown(&said))
}

async fn cursor(client: &Client, sql: &str) -> Result<Vec<String>, Error> {
    client.simple_query("begin").await?;
    let said = match client.simple_query(&format!("declare c cursor for {sql}")).await {
        Ok(_) => client.simple_query("fetch all in c").await,
        Err(error) => Err(error),
    };
    client.simple_query("rollback").await?;
    said.map(|said| shown(&said))
}

async fn copied(client: &Client, sql: &str) -> Result<Vec<String>, Error> {
    let lines: Vec<bytes::Bytes> = client.copy_out(sql).await?.try_collect().await?;
    Ok(lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect())
}

async fn copy_in(client: &Client, table: &str) -> Result<Vec<String>, Error> {
    let sink = client.copy_in(&format!("copy {table} (id, ref, mark) from stdin")).await?;
    let mut sink = std::pin::pin!(sink);
    sink.send(bytes::Bytes::from_static(b"70\t1\tcopied\n71\t2\tcopied\n")).await?;
    Ok(vec![format!("{} rows", sink.finish().await?)])
}

/// A value that is bound as int4, in the chosen form.
#[derive(Debug)]
struct Bind {
    value: Value,
    binary: bool,
}

impl ToSql for Bind {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let Some(value) = self.value else { return Ok(IsNull::Yes) };
        match (self.binary, kind) {
            (true, &Type::INT4) => out.put_i32(value),
            (true, &Type::INT8) => out.put_i64(value.into()),
            _ => out.put_slice(value.to_string().as_bytes()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        if self.binary { Format::Binary } else { Format::Text }
    }

    to_sql_checked!();
}

/// A cell as it came.
struct Raw(Vec<u8>);

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
