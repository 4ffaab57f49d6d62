//! DSSE v1 envelopes with their one signature; the payload is handed out only together with who signed it.

use crate::error::{Flaw, flaw};
use crate::json::Value;
use crate::json::fields::Fields;
use crate::json::text;
use crate::trust::{Key, Role, Trust};

/// An envelope as it was read, not verified yet.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(crate) payload: Vec<u8>,
    pub(crate) payload_type: String,
    pub(crate) keyid: String,
    signature: [u8; 64],
}

/// Reads `{"payload","payloadType","signatures":[{"keyid","sig"}]}`, nothing more and nothing less.
pub(crate) fn read(value: &Value<'_>, payload_type: &str) -> Result<Envelope, Flaw> {
    let mut fields = Fields::of(value)?;
    let payload = fields.text("payload")?;
    let of_type = fields.text("payloadType")?;
    let signatures = fields.list("signatures")?;
    fields.end()?;
    if of_type != payload_type {
        return flaw(format!("`payloadType` is `{}`, `{payload_type}` is needed", text::short(of_type)));
    }
    let [signature] = signatures else {
        return flaw(format!("`signatures` has {} items, exactly one is allowed", signatures.len()));
    };
    let mut fields = Fields::of(signature)?;
    let keyid = fields.text("keyid")?;
    text::key_id(keyid).map_err(|flaw| flaw.at("field `keyid`"))?;
    let sig = text::base64(fields.text("sig")?)?;
    fields.end()?;
    let Ok(signature) = <[u8; 64]>::try_from(sig.as_slice()) else {
        return flaw(format!("`sig` has {} bytes, an Ed25519 signature has 64", sig.len()));
    };
    Ok(Envelope {
        payload: text::base64(payload)?,
        payload_type: payload_type.to_owned(),
        keyid: keyid.to_owned(),
        signature,
    })
}

impl Envelope {
    /// The trusted key of this role that signed.
    ///
    /// The key id is no reason to trust, but it must name the key that did sign: nothing in evidence is free to vary.
    pub(crate) fn signer<'t>(&self, trust: &'t Trust, role: Role) -> Result<&'t Key, Flaw> {
        let mut named = trust.keys(role).filter(|key| key.id == self.keyid).peekable();
        if named.peek().is_none() {
            return flaw(format!("key `{}` has no such role in the trust file", text::short(&self.keyid)));
        }
        let signed = self.signed_bytes();
        match named.find(|key| key.signed(&signed, &self.signature)) {
            Some(key) => Ok(key),
            None => flaw(format!("the signature of `{}` does not hold", text::short(&self.keyid))),
        }
    }

    /// The pre-authentication encoding of DSSE.
    fn signed_bytes(&self) -> Vec<u8> {
        let kind = &self.payload_type;
        let mut bytes = format!("DSSEv1 {} {kind} {} ", kind.len(), self.payload.len()).into_bytes();
        bytes.extend_from_slice(&self.payload);
        bytes
    }
}
