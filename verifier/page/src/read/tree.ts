// The hash tree of RFC 6962, from a leaf up to a root (SPEC.txt, 4); it builds no proofs.

import { sha256 } from "@noble/hashes/sha2.js";
import { same } from "./bytes.ts";

/** SHA-256(0x00 || entry). */
export function leaf(entry: Uint8Array): Uint8Array {
  return sha256.create().update(LEAF).update(entry).digest();
}

/** Whether a leaf at `index` of `size` leaves leads to this root along exactly this path (RFC 9162, 2.1.3.2). */
export function leads(hash: Uint8Array, index: number, size: number, path: Uint8Array[], root: Uint8Array): boolean {
  if (index < 0 || index >= size) return false;
  // Whole numbers up to 2^53-1 do not fit the bit operators of this language; halves are taken by division.
  let [here, last, now] = [index, size - 1, hash];
  for (const sibling of path) {
    if (last === 0) return false;
    if (here % 2 === 1 || here === last) {
      now = node(sibling, now);
      while (here % 2 === 0 && here > 0) [here, last] = [half(here), half(last)];
    } else {
      now = node(now, sibling);
    }
    [here, last] = [half(here), half(last)];
  }
  return last === 0 && same(now, root);
}

function node(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256.create().update(NODE).update(left).update(right).digest();
}

function half(number: number): number {
  return Math.floor(number / 2);
}

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);
