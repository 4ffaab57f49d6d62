// Pure Ed25519, strictly (batch.md, "Signature"), and DSSE envelopes with their one signature. It holds no key of its own.

import { Point, etc } from "@noble/ed25519";
import { sha512 } from "@noble/hashes/sha2.js";
import { at, fail, short } from "../doubt.ts";
import type { Key, Role, Trust } from "../trust.ts";
import { joined, unbase64, utf8 } from "./bytes.ts";
import { Fields } from "./fields.ts";
import type { Value } from "./json.ts";

/** The point that 32 bytes are the one encoding of, unless it is of small order. */
export function strongPoint(bytes: Uint8Array): Point | null {
  try {
    const point = Point.fromBytes(bytes, false);
    return point.isSmallOrder() ? null : point;
  } catch {
    return null;
  }
}

/**
 * Whether the holder of this point's secret signed: RFC 8032, 5.1.7, with S below the order, R and A canonical and not of
 * small order, and the equation as it stands, not multiplied by the cofactor.
 */
export function signed(point: Point, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== 64) return false;
  const [encoded, rest] = [signature.subarray(0, 32), signature.subarray(32)];
  const r = strongPoint(encoded);
  const s = number(rest);
  if (r === null || s >= ORDER) return false;
  const k = number(sha512(joined(encoded, point.toBytes(), message))) % ORDER;
  return Point.BASE.multiply(s, false).equals(r.add(point.multiply(k, false)));
}

function number(bytes: Uint8Array): bigint {
  return BigInt(`0x${etc.bytesToHex(Uint8Array.from(bytes).reverse())}`);
}

const ORDER = Point.CURVE().n;

/** An envelope as it was read, not verified yet. */
export class Envelope {
  private constructor(
    readonly payload: Uint8Array,
    readonly keyid: string,
    private readonly type: string,
    private readonly signature: Uint8Array,
  ) {}

  /** Reads `{"payload","payloadType","signatures":[{"keyid","sig"}]}`, nothing more and nothing less. */
  static read(value: Value, type: string): Envelope {
    const fields = Fields.of(value);
    const payload = fields.text("payload");
    fields.is("payloadType", type);
    const signatures = fields.list("signatures");
    fields.end();
    if (signatures.length !== 1) fail(`\`signatures\` has ${signatures.length} items, exactly one is allowed`);
    const inner = Fields.of(signatures[0] ?? null);
    const keyid = inner.text("keyid");
    const sig = at("field `sig`", () => unbase64(inner.text("sig")));
    inner.end();
    if (!/^[A-Za-z0-9._/-]{1,100}\+[0-9a-f]{8}$/.test(keyid)) fail(`\`${short(keyid)}\` is not a key id`);
    if (sig.length !== 64) fail(`\`sig\` has ${sig.length} bytes, an Ed25519 signature has 64`);
    return new Envelope(at("field `payload`", () => unbase64(payload)), keyid, type, sig);
  }

  /** The trusted key of this role that signed. */
  signer(trust: Trust, role: Role): Key {
    const named = trust.keys.filter((key) => key.role === role && key.id === this.keyid);
    if (named.length === 0) fail(`key \`${short(this.keyid)}\` has no such role in the trust file`);
    const type = utf8(this.type);
    const head = utf8(`DSSEv1 ${type.length} ${this.type} ${this.payload.length} `);
    const message = joined(head, this.payload);
    const signer = named.find((key) => signed(key.point, message, this.signature));
    return signer ?? fail(`the signature of \`${short(this.keyid)}\` does not hold`);
  }
}
