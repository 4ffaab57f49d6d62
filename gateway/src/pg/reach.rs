//! The way to the server: connects, and where the gateway logs in for others, goes in with its own credentials. What a
//! client has proved stands before it.

use super::{
    House,
    login::{Refused, words},
};
use crate::{
    login::{Denied, Logins, Talk},
    pool::{Place, Pool, greeting},
    relay,
    settings::Lease,
    socket::{self, Stream},
};
use bytes::BytesMut;
use clyra_wire::Startup;
use std::{io, sync::Arc};

/// A server, and what it has said that nobody has heard.
pub(super) struct Reached {
    pub(super) server: Stream,
    pub(super) heard: BytesMut,
}

/// Connects.
pub(super) async fn connect(house: &House) -> Result<Stream, Refused> {
    let back = house.secure.back.as_ref();
    socket::connect(&house.upstream, back).await.map_err(|err| unreachable(house, &err))
}

/// Connects, and logs in for a client that has proved itself, or for the gateway's own questions.
pub(super) async fn enter(house: &House, logins: &Logins, startup: &Startup) -> Result<Reached, Refused> {
    // What was remembered may be outdated in two ways: a password, and what the server knows of settings.
    let mut chances = 2;
    loop {
        let mut server = connect(house).await?;
        let mut heard = BytesMut::new();
        let private = server.is_private();
        let mut talk = Talk { stream: &mut server, inbox: &mut heard };
        match logins.enter(&mut talk, startup, private).await {
            Ok(()) => return Ok(Reached { server, heard }),
            Err(Denied::Stale) if chances > 0 => chances -= 1,
            Err(denied) => return Err(denied.into()),
        }
    }
}

/// Has the server say what it keeps of a user, where the login file wants that and it is not known.
pub(super) async fn look_up(house: &House, logins: &Logins, user: &str) -> Result<(), Refused> {
    let Some((lookup, startup)) = logins.looks_up(user) else { return Ok(()) };
    let Reached { mut server, mut heard } = enter(house, logins, &startup).await?;
    let mut talk = Talk { stream: &mut server, inbox: &mut heard };
    Ok(logins.look_up(&lookup, &mut talk, user).await?)
}

/// What a client hears that is let in, and its part of a pool: with a connection where it has one as long as it stays.
pub(super) async fn from_pool(
    pool: &Arc<Pool>,
    startup: &Startup,
) -> Result<(Reached, relay::Pooled), Refused> {
    let wanted = pool.wanted(startup)?;
    let place = Place::new(pool, startup.minor);
    let shares = pool.settings.lease == Lease::Transaction;
    let (reported, backend) = match pool.reported(&wanted).filter(|_| shares) {
        Some(reported) => (reported, None),
        None => {
            let mut backend = pool.lend(&wanted).await.map_err(|why| {
                let (sqlstate, message, hint) = relay::not_served(&why);
                words(sqlstate, &message, "", hint)
            })?;
            let reported = Arc::clone(&backend.reported);
            if shares {
                pool.give_back(backend);
                (reported, None)
            } else {
                backend
                    .settle_here()
                    .map_err(|_| words("08006", "clyra: the connection was lost", "", "connect again"))?;
                (reported, Some(backend))
            }
        }
    };
    let heard = greeting(&reported, &place.body());
    let reached = Reached { server: Stream::Nobody, heard };
    Ok((reached, relay::Pooled::new(Arc::clone(pool), wanted, place, backend)))
}

pub(super) fn unreachable(house: &House, err: &io::Error) -> Refused {
    words(
        "08001",
        &format!("clyra: the server behind the gate, `{}`, cannot be reached", house.upstream),
        &err.to_string(),
        "start the server, or correct `--upstream`",
    )
}
