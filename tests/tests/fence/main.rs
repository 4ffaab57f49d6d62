//! The tenant fence on real servers: what the proof lets pass, and what the gateway makes of it.

mod binds;
mod random;
