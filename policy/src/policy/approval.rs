//! Who may answer for an action, and what stands given for a message; it never checks a signature or counts a use.

/// Somebody who may approve, from the policy's `approvers:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approver {
    /// The name; never that of the actor of what is approved.
    pub name: Box<str>,
    /// The public key in text form, `name+hash+base64`.
    pub key: Box<str>,
}

/// What is known of approvals of the message at hand.
#[derive(Clone, Copy, Debug, Default)]
pub enum Approvals<'a> {
    /// Nobody has looked: no approval counts.
    #[default]
    Unknown,
    /// The message cannot be approved, since its own bytes do not tell all that it does.
    Unbound,
    /// It has this digest, and these approvals stand for it.
    Of {
        /// What an approver signs for.
        digest: &'a str,
        /// Those that are signed, in time and not used up.
        given: &'a [Given],
    },
}

/// An approval that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its id.
    pub id: Box<str>,
    /// Who gave it.
    pub approver: Box<str>,
}
