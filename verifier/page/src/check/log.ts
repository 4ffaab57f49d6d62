// The log: its signed checkpoint, and the path from every entry up to it; it trusts the log with nothing else.

import { at, count, fail } from "../doubt.ts";
import type { Evidence } from "../evidence.ts";
import { lines, unhex } from "../read/bytes.ts";
import { Fields } from "../read/fields.ts";
import { type Value, parse } from "../read/json.ts";
import { readNote, signedBy } from "../read/note.ts";
import { leads, leaf } from "../read/tree.ts";

/** Where one entry stands, and its two paths. */
export interface Proof {
  index: number;
  /** Index of the batch header that covers it; its own for a header. */
  batch: number;
  /** Absent for headers. */
  batchPath: Uint8Array[] | null;
  path: Uint8Array[];
}

export function checkpoint(evidence: Evidence): string {
  const note = readNote(evidence.file("checkpoint"));
  evidence.readNote = note;
  return `signed by log \`${signedBy(note, evidence.trust)}\` at size ${note.size}`;
}

export function inclusion(evidence: Evidence): string {
  const { entries } = evidence;
  const found = lines(evidence.file("proofs.jsonl"));
  if (found.length !== entries.length) fail(`${found.length} lines of proofs for ${entries.length} entries`);
  evidence.readProofs = found.map((line, place) => at(`proof ${place + 1}`, () => proof(line)));
  const { note } = evidence;
  let before = -1;
  for (const { entry, proof } of evidence.proven) {
    const told = (what: string): never => fail(`entry at index ${proof.index}: ${what}`);
    if (proof.index <= before) told("indexes do not rise");
    before = proof.index;
    if (entry.kind === "batch") {
      if (proof.batch !== proof.index || proof.batchPath) told("a batch header is its own batch and has no path in one");
    } else if (!proof.batchPath) {
      told("the path in its batch is missing");
    }
    if (!leads(leaf(entry.line), proof.index, note.size, proof.path, note.root)) {
      told("its path does not lead to the checkpoint's root");
    }
  }
  return `${count(entries.length, "path leads", "paths lead")} to the checkpoint's root`;
}

function proof(line: Uint8Array): Proof {
  const fields = Fields.of(parse(line));
  const inBatch = fields.maybe("batch_path");
  const read = {
    index: fields.whole("index"),
    batch: fields.whole("batch"),
    batchPath: inBatch === undefined ? null : path(inBatch),
    path: path(fields.any("path")),
  };
  fields.end();
  return read;
}

function path(value: Value): Uint8Array[] {
  if (!Array.isArray(value)) return fail("a path is not a list");
  return value.map((item) => (typeof item === "string" ? unhex(item, 32) : fail("a node of a path is not a text")));
}
