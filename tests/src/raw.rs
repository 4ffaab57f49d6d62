//! A client that says exactly the bytes it is told to and keeps every byte of the answer; it knows no more of the
//! protocol than where a message ends.

use anyhow::Context as _;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// A raw connection to a server or to the gateway.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    heard: Vec<u8>,
    /// Where the next message begins in what was heard.
    at: usize,
}

impl Raw {
    /// Logs in as `postgres` to the database `shop`, and forgets what was heard meanwhile.
    ///
    /// # Errors
    /// When the server does not let it in, or not without a password.
    pub async fn connect(addr: SocketAddr) -> anyhow::Result<Self> {
        let mut raw = Self::knock(addr, &[("application_name", "raw")]).await?;
        raw.hear_until(b"Z").await?;
        raw.heard.clear();
        raw.at = 0;
        Ok(raw)
    }

    /// Asks to log in as `postgres` to the database `shop`, with these further parameters; hears nothing yet.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn knock(addr: SocketAddr, parameters: &[(&str, &str)]) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let mut raw = Self { stream, heard: Vec::new(), at: 0 };
        let mut body = b"\0\x03\0\0user\0postgres\0database\0shop\0".to_vec();
        for (name, value) in parameters {
            body.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
        }
        body.push(0);
        raw.say(&[&u32::try_from(body.len() + 4)?.to_be_bytes(), &body[..]].concat()).await?;
        Ok(raw)
    }

    /// Reads until one of these tags, and takes what was heard with it.
    ///
    /// # Errors
    /// As [`Raw::hear_until`].
    pub async fn answer(&mut self, tags: &[u8]) -> anyhow::Result<Vec<u8>> {
        self.hear_until(tags).await?;
        let rest = self.heard.split_off(self.at);
        self.at = 0;
        Ok(std::mem::replace(&mut self.heard, rest))
    }

    /// What was heard and not taken.
    #[must_use]
    pub fn heard(&self) -> &[u8] {
        &self.heard
    }

    /// Sends the bytes as they are.
    ///
    /// # Errors
    /// When the other side is gone.
    pub async fn say(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// Reads until a message with one of these tags is whole; gives the tag.
    ///
    /// # Errors
    /// When the other side ends before, or is silent for too long.
    pub async fn hear_until(&mut self, tags: &[u8]) -> anyhow::Result<u8> {
        loop {
            while let Some((tag, total)) = self.message() {
                self.at += total;
                if tags.contains(&tag) {
                    return Ok(tag);
                }
            }
            anyhow::ensure!(self.read().await? > 0, "it ended after `{}`", self.heard.escape_ascii());
        }
    }

    /// Takes its leave and reads to the end; gives everything heard.
    ///
    /// # Errors
    /// When the other side does not end.
    pub async fn leave(mut self) -> anyhow::Result<Vec<u8>> {
        // Who has ended already need not be told.
        let _ = self.stream.write_all(b"X\0\0\0\x04").await;
        while self.read().await? > 0 {}
        Ok(self.heard)
    }

    /// Tags of the messages heard, in order.
    #[must_use]
    pub fn tags(heard: &[u8]) -> String {
        let mut raw = heard;
        let mut tags = String::new();
        while let Some((tag, total)) = whole(raw) {
            tags.push(char::from(tag));
            raw = raw.get(total..).unwrap_or_default();
        }
        tags
    }

    fn message(&self) -> Option<(u8, usize)> {
        whole(self.heard.get(self.at..)?)
    }

    /// Reads what is there; a connection that was reset has ended.
    async fn read(&mut self) -> anyhow::Result<usize> {
        let reading = tokio::time::timeout(SILENCE_MAX, self.stream.read_buf(&mut self.heard));
        let read = reading.await;
        let heard = self.heard.escape_ascii();
        Ok(read.with_context(|| format!("silence after `{heard}`"))?.unwrap_or(0))
    }
}

fn whole(bytes: &[u8]) -> Option<(u8, usize)> {
    let [tag, a, b, c, d, ..] = *bytes else { return None };
    let total = u32::from_be_bytes([a, b, c, d]) as usize + 1;
    (bytes.len() >= total).then_some((tag, total))
}

/// A message with this tag and body.
#[must_use]
pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

/// A simple query.
#[must_use]
pub fn query(sql: &str) -> Vec<u8> {
    message(b'Q', format!("{sql}\0").as_bytes())
}

/// `Parse`, `Bind` and `Execute` of the unnamed statement, without parameters.
#[must_use]
pub fn extended(sql: &str) -> Vec<u8> {
    let parse = message(b'P', format!("\0{sql}\0\0\0").as_bytes());
    [parse, message(b'B', b"\0\0\0\0\0\0\0\0"), message(b'E', b"\0\0\0\0\0")].concat()
}

/// Longer than any answer takes.
const SILENCE_MAX: Duration = Duration::from_secs(20);
