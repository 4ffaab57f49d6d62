//! What proves who somebody is: passwords by SCRAM, signed tokens, and the file of users. It speaks with nobody, and opens no
//! file.

pub(crate) mod scram;
pub(crate) mod token;
pub(crate) mod users;
