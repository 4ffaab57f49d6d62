//! DSSE v1 envelopes with exactly one Ed25519 signature. What the payload says is never looked at here.

use super::key::{SigningKey, VerifyingKey};
use crate::{Error, canonical};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// A payload and the one signature over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Standard base64 of the payload.
    pub payload: String,
    /// Media type of the payload.
    pub payload_type: String,
    /// Id of the key that signed: a hint, never a decision.
    pub keyid: String,
    /// Standard base64 of the signature.
    pub sig: String,
}

/// The bytes that are signed: `DSSEv1`, then type and payload, each after its length in bytes.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// Signs a payload.
pub fn sign(payload_type: &str, payload: &[u8], key: &SigningKey) -> Envelope {
    Envelope {
        payload: STANDARD.encode(payload),
        payload_type: payload_type.into(),
        keyid: key.id().into(),
        sig: STANDARD.encode(key.sign(&pae(payload_type, payload))),
    }
}

impl Envelope {
    /// The envelope as canonical JSON.
    ///
    /// # Errors
    /// Never for an envelope made by [`sign`].
    pub fn to_vec(&self) -> Result<Vec<u8>, Error> {
        canonical::to_vec(&json!({
            "payload": self.payload,
            "payloadType": self.payload_type,
            "signatures": [{"keyid": self.keyid, "sig": self.sig}],
        }))
    }

    /// Reads an envelope from canonical JSON.
    ///
    /// # Errors
    /// When the bytes are not canonical, or not an envelope with exactly one signature.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, Error> {
        Self::from_value(&canonical::from_slice("envelope", bytes)?)
    }

    /// Reads an envelope from a JSON value: exactly the fields of one, exactly one signature.
    pub(crate) fn from_value(value: &Value) -> Result<Self, Error> {
        let read = || {
            let fields = value.as_object().filter(|fields| fields.len() == 3)?;
            let [signature] = fields.get("signatures")?.as_array()?.as_slice() else { return None };
            let signature = signature.as_object().filter(|fields| fields.len() == 2)?;
            Some(Self {
                payload: fields.get("payload")?.as_str()?.into(),
                payload_type: fields.get("payloadType")?.as_str()?.into(),
                keyid: signature.get("keyid")?.as_str()?.into(),
                sig: signature.get("sig")?.as_str()?.into(),
            })
        };
        read().ok_or_else(|| Error::malformed("envelope", "expected payload, payloadType and one signature"))
    }

    /// The payload, once type, key id and signature are as expected.
    ///
    /// # Errors
    /// When the type or the key is another, base64 is not canonical, or the signature does not verify.
    pub fn open(&self, payload_type: &str, key: &VerifyingKey) -> Result<Vec<u8>, Error> {
        if self.payload_type != payload_type {
            let why =
                format!("payload type `{}`, expected `{payload_type}`", self.payload_type.escape_debug());
            return Err(Error::malformed("envelope", why));
        }
        if self.keyid != key.id() {
            let why = format!("signed by `{}`, expected `{}`", self.keyid.escape_debug(), key.id());
            return Err(Error::malformed("envelope", why));
        }
        let decode =
            |text: &str| STANDARD.decode(text).map_err(|fault| Error::malformed("base64", fault.to_string()));
        let payload = decode(&self.payload)?;
        let signature: [u8; 64] = decode(&self.sig)?
            .try_into()
            .map_err(|_| Error::malformed("envelope", "a signature has 64 bytes"))?;
        key.verify(&pae(payload_type, &payload), &signature)
            .map_err(|_| Error::BadSignature { what: "envelope", key: key.id().into() })?;
        Ok(payload)
    }

    /// The payload as it stands, unchecked.
    pub(crate) fn payload(&self) -> Result<Vec<u8>, Error> {
        decode(&self.payload)
    }
}

fn decode(text: &str) -> Result<Vec<u8>, Error> {
    STANDARD.decode(text).map_err(|fault| Error::malformed("base64", fault.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pae_counts_bytes() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
        assert_eq!(pae("é", b""), "DSSEv1 2 é 0 ".as_bytes());
    }

    #[test]
    fn an_envelope_opens_only_as_it_was_signed() {
        let key = SigningKey::from_seed("k", &[1; 32]).unwrap();
        let other = SigningKey::from_seed("k", &[2; 32]).unwrap();
        let envelope = sign("text/x", b"payload", &key);
        let bytes = envelope.to_vec().unwrap();
        let again = Envelope::from_slice(&bytes).unwrap();
        assert_eq!(again, envelope);
        assert_eq!(again.open("text/x", &key.verifying()).unwrap(), b"payload");
        assert!(again.open("text/y", &key.verifying()).is_err());
        assert!(again.open("text/x", &other.verifying()).is_err());
        for place in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[place] ^= 1;
            let opened = Envelope::from_slice(&bad).and_then(|bad| bad.open("text/x", &key.verifying()));
            assert!(opened.is_err(), "byte {place}");
        }
    }
}
