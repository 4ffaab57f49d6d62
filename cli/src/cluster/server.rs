//! The server's process: started, found again, watched, stopped. It never kills: a server that does not stop keeps
//! its data folder and is told so.

use super::{
    home::{Home, as_runner},
    programs::{Programs, Runner},
};
use crate::error::Error;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::{fs, io, net::TcpListener, process::Stdio, time::Duration};
use tokio::{
    process::Child,
    time::{Instant, sleep, timeout},
};

/// A running server, ours by birth or by adoption.
#[derive(Debug)]
pub(super) struct Server {
    pid: Pid,
    port: u16,
    /// Absent when an earlier run started it.
    child: Option<Child>,
}

impl Server {
    /// Takes over a server that runs in this home already; `None` when there is none.
    pub(super) async fn adopt(home: &Home) -> Result<Option<Self>, Error> {
        let deadline = Instant::now() + READY_WITHIN;
        while let Some((pid, port)) = running(home) {
            if super::shop::answers(port, &home.data()).await {
                return Ok(Some(Self { pid, port, child: None }));
            }
            if Instant::now() > deadline {
                return Err(Error::Data {
                    path: home.data(),
                    why: format!("a process {} holds it but does not answer", pid.as_raw_nonzero()),
                    hint: format!("stop that server, then start again; {}", home.log_hint()),
                });
            }
            sleep(POLL).await;
        }
        Ok(None)
    }

    /// Starts the server on a free port and waits until it answers.
    pub(super) async fn start(
        home: &Home,
        programs: &Programs,
        runner: Option<Runner>,
    ) -> Result<Self, Error> {
        let mut tries = 3;
        loop {
            let port = free_port()?;
            tries -= 1;
            match Self::start_on(port, home, programs, runner).await {
                // Somebody took the port between our look and the server's.
                Err(_) if tries > 0 && log_tail(home).contains("could not bind") => {}
                done => return done,
            }
        }
    }

    async fn start_on(
        port: u16,
        home: &Home,
        programs: &Programs,
        runner: Option<Runner>,
    ) -> Result<Self, Error> {
        let log = fs::OpenOptions::new().create(true).append(true).open(home.log());
        let log = log.and_then(|log| Ok((log.try_clone()?, log)));
        let (out, err) = log.map_err(|error| Error::file(&home.log(), "write it", &error))?;
        let mut command = as_runner(&programs.postgres, runner);
        command.arg("-D").arg(home.data()).arg("-k").arg(home.socket()).arg("-p").arg(port.to_string());
        command.args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "max_connections=200",
            "-c",
            "cluster_name=clyra",
        ]);
        command.stdout(Stdio::from(out)).stderr(Stdio::from(err));
        let mut child = command.spawn().map_err(|error| Error::Cluster {
            why: format!("`{}` does not run: {error}", programs.postgres.display()),
            hint: "name the folder of PostgreSQL's programs with --pg-bin DIR".into(),
        })?;
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if super::shop::answers(port, &home.data()).await {
                let pid = pid.ok_or_else(|| gone(home, "it ended at once"))?;
                return Ok(Self { pid, port, child: Some(child) });
            }
            if let Ok(Some(status)) = child.try_wait() {
                return Err(gone(home, &status.to_string()));
            }
            if Instant::now() > deadline {
                pid.map(|pid| kill_process(pid, Signal::QUIT));
                return Err(gone(home, "it did not answer within a minute"));
            }
            sleep(POLL).await;
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) async fn ended(&mut self) -> String {
        match &mut self.child {
            Some(child) => {
                child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string())
            }
            None => {
                while test_kill_process(self.pid).is_ok() {
                    sleep(POLL).await;
                }
                "it is gone".into()
            }
        }
    }

    pub(super) async fn stop(mut self, home: &Home) -> Result<(), Error> {
        let pid = self.pid;
        // A process that is gone cannot be told; that is what we want.
        let _gone = kill_process(pid, Signal::INT);
        match timeout(STOPPED_WITHIN, self.ended()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Cluster {
                why: format!(
                    "the cluster's server (pid {}) did not stop within a minute",
                    pid.as_raw_nonzero()
                ),
                hint: home.log_hint(),
            }),
        }
    }

    pub(super) fn abandon(&self) -> impl Fn() + use<> {
        let pid = self.pid;
        move || {
            let _gone = kill_process(pid, Signal::QUIT);
        }
    }
}

/// Process and port of the server that holds this home, by its `postmaster.pid`.
fn running(home: &Home) -> Option<(Pid, u16)> {
    let text = fs::read_to_string(home.data().join("postmaster.pid")).ok()?;
    let (pid, port) = parse_pid_file(&text)?;
    test_kill_process(pid).is_ok().then_some((pid, port))
}

fn parse_pid_file(text: &str) -> Option<(Pid, u16)> {
    let mut lines = text.lines();
    let pid = Pid::from_raw(lines.next()?.trim().parse().ok()?)?;
    let port = lines.nth(2)?.trim().parse().ok()?;
    Some((pid, port))
}

fn free_port() -> Result<u16, Error> {
    let free = || -> io::Result<u16> { Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port()) };
    free().map_err(|error| Error::Ours { doing: "looking for a free port", why: error.to_string() })
}

fn gone(home: &Home, how: &str) -> Error {
    Error::Data {
        path: home.data(),
        why: format!("the cluster's server does not start: {how}\n{}", log_tail(home)),
        hint: home.log_hint(),
    }
}

fn log_tail(home: &Home) -> String {
    let text = fs::read(home.log()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut lines: Vec<&str> = text.lines().rev().take(6).collect();
    lines.reverse();
    lines.join("\n")
}

const READY_WITHIN: Duration = Duration::from_secs(60);
const STOPPED_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_file_gives_process_and_port() {
        let text = "4711\n/data\n1700000000\n54321\n/socket\n127.0.0.1\n";
        let (pid, port) = parse_pid_file(text).unwrap();
        assert_eq!((pid.as_raw_nonzero().get(), port), (4711, 54321));
        assert!(parse_pid_file("4711\n/data\n").is_none());
        assert!(parse_pid_file("").is_none());
    }
}
