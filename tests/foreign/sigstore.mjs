// Wraps a DSSE envelope as a Sigstore bundle and has @sigstore/verify check it: sigstore.mjs ENVELOPE KEY.pem
// Exit code 0 when it is verified and the same envelope with another payload is not.
import { bundleFromJSON } from "@sigstore/bundle";
import { Verifier, toSignedEntity, toTrustMaterial } from "@sigstore/verify";
import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";

const [envelopePath, keyPath] = process.argv.slice(2);
const envelope = JSON.parse(readFileSync(envelopePath, "utf8"));
const publicKey = createPublicKey(readFileSync(keyPath));
const hint = envelope.signatures[0].keyid;
const root = { mediaType: "", tlogs: [], certificateAuthorities: [], ctlogs: [], timestampAuthorities: [] };
const trust = toTrustMaterial(root, () => ({ publicKey, validFor: () => true }));
const verifier = new Verifier(trust, { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0, tsaThreshold: 0 });

function verify(dsseEnvelope) {
  const bundle = bundleFromJSON({
    mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
    verificationMaterial: { publicKey: { hint }, tlogEntries: [] },
    dsseEnvelope,
  });
  verifier.verify(toSignedEntity(bundle));
}

verify(envelope);
const payload = Buffer.from(envelope.payload, "base64");
payload[payload.length - 2] ^= 1;
try {
  verify({ ...envelope, payload: payload.toString("base64") });
} catch {
  process.exit(0);
}
console.error("another payload was verified as well");
process.exit(1);
