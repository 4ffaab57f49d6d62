// The reader's own list of keys (trust.md); nothing is ever added to it from evidence.

import type { Point } from "@noble/ed25519";
import { sha256 } from "@noble/hashes/sha2.js";
import { BadInput, Fail, fail, short } from "./doubt.ts";
import { hex, joined, unbase64, utf8 } from "./read/bytes.ts";
import { strongPoint } from "./read/signature.ts";

/** What a key may sign: checkpoints, batch headers, manifests, orders to the kill switch. */
export type Role = "log" | "gateway" | "recorder" | "operator";

/** A trusted key. */
export interface Key {
  role: Role;
  name: string;
  id: string;
  point: Point;
}

/** What the trust file says. */
export interface Trust {
  keys: Key[];
}

/** Reads a trust file. */
export function readTrust(content: string): Trust {
  const keys: Key[] = [];
  let quorums = 0;
  if (utf8(content).length > BYTES_MAX) throw new BadInput(`the trust file is larger than the ${BYTES_MAX} bytes that are read`);
  content.split("\n").forEach((line, place) => {
    try {
      const words = line.startsWith("#") ? [] : line.split(/[ \t]+/).filter((word) => word !== "");
      if (words.length === 0) return;
      if (words.join(" ") === "quorum none") {
        quorums++;
        return;
      }
      const role = ROLES.get(words.slice(0, -1).join(" "));
      if (role === undefined) {
        fail(`\`${short(line)}\` is not understood, allowed are \`log KEY\`, \`quorum none\`, \`maker gateway KEY\`, \`maker recorder KEY\`, \`maker operator KEY\``);
      }
      const key = readKey(role, words.at(-1) ?? "");
      if (keys.some((held) => held.point.equals(key.point))) fail(`the key of \`${key.id}\` stands there already, one key has one role`);
      keys.push(key);
    } catch (doubt) {
      if (doubt instanceof Fail) throw new BadInput(`trust file, line ${place + 1}: ${doubt.message}`);
      throw doubt;
    }
  });
  if (!keys.some((key) => key.role === "log")) throw new BadInput("trust file: no `log` line, at least one is needed");
  if (quorums !== 1) throw new BadInput("trust file: exactly one line `quorum none` is needed");
  return { keys };
}

function readKey(role: Role, vkey: string): Key {
  const [, name, digits, code] = /^([A-Za-z0-9._/-]{1,100})\+([0-9a-f]{8})\+(.*)$/.exec(vkey) ?? [];
  if (name === undefined || digits === undefined || code === undefined) {
    return fail(`\`${short(vkey)}\` is not a key, \`NAME+8 hex digits+BASE64\` is`);
  }
  const blob = unbase64(code);
  if (blob[0] !== 1 || blob.length !== 33) fail(`key \`${name}\` is not an Ed25519 key`);
  const point = strongPoint(blob.subarray(1));
  if (point === null) return fail(`key \`${name}\` is no point of Ed25519, or a weak one`);
  const found = hex(sha256(joined(utf8(`${name}\n`), blob)).subarray(0, 4));
  if (found !== digits) fail(`key \`${name}\` has hash \`${digits}\`, its point gives \`${found}\``);
  return { role, name, id: `${name}+${digits}`, point };
}

const ROLES = new Map<string, Role>([["log", "log"], ["maker gateway", "gateway"], ["maker recorder", "recorder"], ["maker operator", "operator"]]);
const BYTES_MAX = 64 << 10;
