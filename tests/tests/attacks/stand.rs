//! A house whose server holds what the corpora are about, policies taken into use one after the other, and what is heard
//! through the gate. It knows no attack.

use crate::corpus;
use clyra_tests::{
    House,
    raw::{Raw, message, query},
};
use std::time::{Duration, Instant};
use tokio_postgres::Client;

/// A house, its server, and somebody who looks at the server directly.
#[derive(Debug)]
pub(crate) struct Stand {
    pub(crate) house: House,
    looker: Client,
}

impl Stand {
    pub(crate) async fn start() -> Self {
        let house = House::start("name: first\nversion: 1\n").await.unwrap();
        let looker = house.directly().await.unwrap();
        looker.batch_execute("drop schema public cascade; create schema public").await.unwrap();
        let schema = std::fs::read_to_string(corpus::root().join("tests/corpora/schema.sql")).unwrap();
        looker.batch_execute(&schema).await.unwrap();
        Self { house, looker }
    }

    /// Takes a policy into use, and waits until it is.
    pub(crate) async fn take(&self, yaml: &str) {
        std::fs::write(self.house.path("policy.yaml"), yaml).unwrap();
        let name = yaml.lines().find_map(|line| line.strip_prefix("name: ")).unwrap();
        let pid = self.house.standing["pid"].to_string();
        assert!(std::process::Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
        let deadline = Instant::now() + TAKEN_MAX;
        loop {
            let said = self.house.clyra(&["status", "--json"]).unwrap();
            let status: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap_or_default();
            if status["policy"]["name"] == name {
                return;
            }
            assert!(Instant::now() < deadline, "`{name}` is not taken into use: {status}");
            tokio::task::yield_now().await;
        }
    }

    /// A connection through the gate, on which no statement lasts long.
    pub(crate) async fn caller(&self) -> Caller {
        let parameters = [("application_name", "attacks"), ("options", "-c statement_timeout=2s")];
        let mut raw = Raw::knock(self.house.addr("listen").unwrap(), &parameters).await.unwrap();
        raw.answer(b"Z").await.unwrap();
        Caller(raw)
    }

    /// What the server holds, as one digest: rows, names, rights, code, settings, files, locks.
    pub(crate) async fn digest(&self) -> String {
        let row = self.looker.query_one(DIGEST, &[]).await.unwrap();
        row.get(0)
    }
}

/// A connection that says what it is told to, in both protocols.
#[derive(Debug)]
pub(crate) struct Caller(pub(crate) Raw);

impl Caller {
    /// Says a text as a simple query.
    pub(crate) async fn simple(&mut self, sql: &str) -> Said {
        self.says(&query(sql)).await
    }

    /// Says a text by Parse, Bind and Execute, with these values.
    pub(crate) async fn extended(&mut self, sql: &str, values: &[String]) -> Said {
        let parse = message(b'P', format!("\0{sql}\0\0\0").as_bytes());
        let mut bind = b"\0\0\0\0".to_vec();
        bind.extend_from_slice(&u16::try_from(values.len()).unwrap().to_be_bytes());
        for value in values {
            bind.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
            bind.extend_from_slice(value.as_bytes());
        }
        bind.extend_from_slice(b"\0\0");
        let execute = message(b'E', b"\0\0\0\0\0");
        let sync = message(b'S', b"");
        self.says(&[parse, message(b'B', &bind), execute, sync].concat()).await
    }

    /// Says these bytes and hears until the server is ready again, or gone; ends a copy that begins.
    pub(crate) async fn says(&mut self, bytes: &[u8]) -> Said {
        let mut heard = Vec::new();
        // Who is thrown out while talking still hears why.
        let _ = self.0.say(bytes).await;
        let mut owed = turns(bytes);
        while owed > 0 {
            let Ok(more) = self.0.answer(b"ZG").await else {
                heard.extend_from_slice(self.0.heard());
                return Said { heard, gone: true };
            };
            heard.extend_from_slice(&more);
            if !Raw::tags(&more).ends_with('G') {
                owed -= 1;
                continue;
            }
            let fail = [message(b'f', b"no rows\0"), message(b'S', b"")].concat();
            // By the simple protocol the copy's end is told without the Sync, which is then answered, too.
            let end = if bytes.first() == Some(&b'Q') { &fail[..fail.len() - 5] } else { &fail[..] };
            let _ = self.0.say(end).await;
        }
        Said { heard, gone: false }
    }

    /// Leaves a transaction that a text has begun.
    pub(crate) async fn rest(&mut self, said: &Said) {
        if said.heard.ends_with(b"T") || said.heard.ends_with(b"E") {
            self.simple("rollback").await;
        }
    }
}

/// How often these messages make the server say that it is ready again.
fn turns(bytes: &[u8]) -> usize {
    Raw::tags(bytes).chars().filter(|tag| "QSF".contains(*tag)).count()
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) heard: Vec<u8>,
    /// Whether the connection has ended.
    pub(crate) gone: bool,
}

impl Said {
    /// The first refusal of the gate: its SQLSTATE and its detail, which names the rule.
    pub(crate) fn refusal(&self) -> Option<(String, String)> {
        self.errors()
            .into_iter()
            .find(|error| error.message.starts_with("clyra: "))
            .map(|error| (error.code, error.detail))
    }

    /// Every error, of the gate or the server.
    pub(crate) fn errors(&self) -> Vec<Fault> {
        let mut errors = Vec::new();
        let mut rest = &self.heard[..];
        while let [tag, a, b, c, d, ..] = *rest {
            let end = (u32::from_be_bytes([a, b, c, d]) as usize + 1).min(rest.len());
            if tag == b'E' {
                errors.push(Fault::read(&rest[5..end]));
            }
            rest = &rest[end..];
        }
        errors
    }
}

/// An error response.
#[derive(Debug, Default)]
pub(crate) struct Fault {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) detail: String,
}

impl Fault {
    fn read(body: &[u8]) -> Self {
        let mut fault = Self::default();
        for field in body.split(|byte| *byte == 0) {
            let Some((kind, text)) = field.split_first() else { continue };
            let text = String::from_utf8_lossy(text).into_owned();
            match kind {
                b'C' => fault.code = text,
                b'M' => fault.message = text,
                b'D' => fault.detail = text,
                _ => {}
            }
        }
        fault
    }
}

const TAKEN_MAX: Duration = Duration::from_secs(20);
const DIGEST: &str = "
select md5(concat_ws('|',
  (select string_agg(t::text, ',' order by t::text) from users t),
  (select string_agg(t::text, ',' order by t::text) from orders t),
  (select string_agg(t::text, ',' order by t::text) from secrets t),
  (select string_agg(t::text, ',' order by t::text) from audit_log t),
  (select string_agg(t::text, ',' order by t::text) from products t),
  (select string_agg(t::text, ',' order by t::text) from events t),
  (select string_agg(t::text, ',' order by t::text) from parent t),
  (select concat(last_value, is_called) from s1),
  (select string_agg(concat(oid, relname, relnamespace, relowner, relacl, relfilenode, relrowsecurity), ','
     order by oid) from pg_class where relnamespace <> 'pg_catalog'::regnamespace),
  (select string_agg(concat(attrelid, attname, atttypid, attnotnull, attisdropped, attacl), ','
     order by attrelid, attnum) from pg_attribute where attrelid > 16384),
  (select string_agg(concat(oid, proname, proacl, prosrc), ',' order by oid) from pg_proc where oid > 16383),
  (select string_agg(a::text, ',' order by oid) from pg_authid a),
  (select string_agg(m::text, ',' order by m::text) from pg_auth_members m),
  (select string_agg(concat(oid, nspname, nspacl), ',' order by oid) from pg_namespace),
  (select string_agg(s::text, ',' order by s::text) from pg_db_role_setting s),
  (select string_agg(concat(datname, datacl, datallowconn), ',' order by oid) from pg_database),
  (select string_agg(concat(o.oid, lomacl, data), ',' order by o.oid, pageno)
     from pg_largeobject_metadata o left join pg_largeobject on loid = o.oid),
  (select string_agg(concat(extname, extversion), ',' order by extname) from pg_extension),
  (select string_agg(concat(tgname, tgrelid, tgenabled), ',' order by oid) from pg_trigger),
  (select string_agg(concat(tablename, policyname), ',' order by 1) from pg_policies),
  (select string_agg(concat(subname, subenabled), ',') from pg_subscription),
  (select string_agg(description, ',' order by objoid, objsubid) from pg_description where objoid > 16383),
  (select concat(count(*), max(oid)) from pg_type), (select concat(count(*), max(oid)) from pg_operator),
  (select concat(count(*), max(oid)) from pg_cast), (select concat(count(*), max(oid)) from pg_collation),
  (select concat(count(*), max(oid)) from pg_rewrite), (select concat(count(*), max(oid)) from pg_constraint),
  (select concat(count(*), max(oid)) from pg_attrdef), (select concat(count(*), max(oid)) from pg_event_trigger),
  (select concat(count(*), max(oid)) from pg_foreign_server), (select count(*) from pg_user_mappings),
  (select count(*) from pg_publication), (select count(*) from pg_replication_slots),
  (select count(*) from pg_prepared_xacts), (select count(*) from pg_seclabel), (select count(*) from pg_language),
  (select count(*) from pg_tablespace), (select count(*) from pg_statistic_ext), (select count(*) from pg_default_acl),
  (select count(*) from pg_replication_origin), (select count(*) from pg_ts_config), (select count(*) from pg_conversion),
  (select count(*) from pg_locks where locktype = 'advisory'),
  pg_read_file('postgresql.auto.conf'),
  (select string_agg(f, ',' order by f) from pg_ls_dir('.') f where f not like 'pgsql_tmp%'),
  (select string_agg(f, ',' order by f) from pg_ls_dir('/tmp') f where f like 'clyra_attack%')
))";
