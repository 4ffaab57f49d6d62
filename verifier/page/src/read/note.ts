// The checkpoint: a signed note of three lines (log.md). It is believed only once a trusted log signed it.

import { at, fail, short } from "../doubt.ts";
import { signed } from "./signature.ts";
import type { Trust } from "../trust.ts";
import { hex, text, unbase64, utf8 } from "./bytes.ts";

/** A note as it was read, with what was signed, nothing verified yet. */
export interface Note {
  origin: string;
  size: number;
  root: Uint8Array;
  signed: Uint8Array;
  signatures: { name: string; blob: Uint8Array }[];
}

/** Reads a note whose text has exactly the three lines of a checkpoint. */
export function readNote(bytes: Uint8Array): Note {
  if (bytes.length > BYTES_MAX) fail(`the checkpoint has ${bytes.length} bytes, at most ${BYTES_MAX} are read`);
  const note = at("the checkpoint", () => text(bytes));
  if (/[\0-\x09\x0b-\x1f\x7f-\x9f]/.test(note)) fail("the checkpoint has control characters");
  const blank = note.lastIndexOf("\n\n");
  if (blank < 0) fail("the checkpoint has no blank line before its signatures");
  const lines = note.slice(0, blank).split("\n");
  const [origin, size, root] = lines;
  if (lines.length !== 3 || !origin || size === undefined || root === undefined) {
    return fail("the checkpoint has not exactly the lines origin, size and root");
  }
  if (!/^(?:0|[1-9][0-9]*)$/.test(size) || !Number.isSafeInteger(Number(size))) {
    fail(`the checkpoint's size \`${short(size)}\` is not a plain whole number up to 2^53-1`);
  }
  const hash = at("the checkpoint's root", () => unbase64(root));
  if (hash.length !== 32) fail("the checkpoint's root has not 32 bytes");
  if (!note.endsWith("\n")) fail("the checkpoint's last line has no end");
  const signatures = note.slice(blank + 2, -1).split("\n").map(signature);
  return { origin, size: Number(size), root: hash, signed: utf8(note.slice(0, blank + 1)), signatures };
}

/**
 * The id of the trusted log key that signed. Signatures of keys that nobody trusts say nothing; one that claims a trusted
 * key and does not hold is a fault.
 */
export function signedBy(note: Note, trust: Trust): string {
  let by: string | null = null;
  for (const { name, blob } of note.signatures) {
    const key = trust.keys.find((key) => key.role === "log" && key.id === `${name}+${hex(blob.subarray(0, 4))}`);
    if (key === undefined) continue;
    if (!signed(key.point, note.signed, blob.subarray(4))) fail(`the signature of \`${key.id}\` does not hold`);
    if (key.name !== note.origin) fail(`\`${key.id}\` signed for a log of another name, \`${short(note.origin)}\``);
    by = key.id;
  }
  return by ?? fail("no log key of the trust file signed it");
}

function signature(line: string): { name: string; blob: Uint8Array } {
  const [, name, code] = /^\u2014 ([^ ]+) (.*)$/.exec(line) ?? [];
  if (name === undefined || code === undefined) return fail(`\`${short(line)}\` is not a signature line`);
  const blob = unbase64(code);
  return blob.length > 4 ? { name, blob } : fail(`\`${short(line)}\` is not a signature line`);
}

const BYTES_MAX = 64 << 10;
