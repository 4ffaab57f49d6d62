// The outermost shell: the container, the files in it, the lines of entries, the text of the spec. It follows no signature.

import SPEC_TEXT from "../../../../spec/SPEC.txt";
import { Unable, at, count, fail, unreached } from "../doubt.ts";
import type { Evidence } from "../evidence.ts";
import { lines, same, utf8 } from "../read/bytes.ts";
import { mustEqual, open } from "../read/container.ts";
import { Entry } from "../read/entry.ts";

/** The files of a bundle. */
export const FILES = ["SPEC.txt", "checkpoint", "entries.jsonl", "keys.jsonl", "manifest.dsse.json", "proofs.jsonl"];

export function container(evidence: Evidence): string {
  const { bytes } = evidence;
  if (bytes.length > BYTES_MAX) throw new Unable(`larger than the ${BYTES_MAX} bytes that are read here; clyra-verify reads more`);
  evidence.files = open(bytes);
  mustEqual(evidence.files, bytes);
  return `${count(bytes.length, "byte", "bytes")}, the one zip of its contents`;
}

export function names({ files }: Evidence): string {
  if (files.length === 0) unreached("the container could not be read");
  const stranger = files.find((file) => !FILES.includes(file.name));
  if (stranger) fail(`file \`${stranger.name}\` does not belong to a bundle`);
  const missing = FILES.find((name) => !files.some((file) => file.name === name));
  if (missing) fail(`file \`${missing}\` is not there`);
  return `the ${FILES.length} files of a bundle, each once`;
}

export function entries(evidence: Evidence): string {
  const found = lines(evidence.file("entries.jsonl"));
  evidence.readEntries = found.map((line, place) => at(`entry ${place + 1}`, () => Entry.read(line)));
  return `${count(found.length, "entry", "entries")}, each canonical and of a known kind`;
}

export function specText(evidence: Evidence): string {
  if (!same(evidence.file("SPEC.txt"), utf8(SPEC_TEXT))) fail("`SPEC.txt` is not the text of this version");
  return `the rules of this version, ${count(utf8(SPEC_TEXT).length, "byte", "bytes")}`;
}

const BYTES_MAX = 512 << 20;
