// What the recorder signed over the whole bundle (bundle.md); no number in it is taken for true.

import { blake3 } from "@noble/hashes/blake3.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { at, count, fail, short } from "../doubt.ts";
import type { Evidence } from "../evidence.ts";
import { byBytes, same, utf8 } from "../read/bytes.ts";
import { Fields } from "../read/fields.ts";
import { type Value, parse } from "../read/json.ts";
import { Envelope } from "../read/signature.ts";

/** The signed statement, taken apart. */
export interface Manifest {
  envelope: Envelope;
  subjects: { name: string; sha256: Uint8Array; blake3: Uint8Array }[];
  claimed: Claimed;
}

/** What the recorder claims; every field is computed again. */
export interface Claimed extends Counted {
  producer: string;
  origin: string;
  size: number;
  root: Uint8Array;
  claims: string[];
  nonClaims: string[];
}

/** What the entries of a run add up to. */
export interface Counted {
  runId: string;
  closed: boolean;
  counts: Map<string, number>;
  verdicts: Map<string, number>;
  streams: StreamSpan[];
  policies: string[];
}

/** What a run's own entries span at one gateway and epoch. */
export interface StreamSpan {
  gateway: string;
  epoch: number;
  first_seq: number;
  last_seq: number;
  receipts: number;
}

export function envelope(evidence: Evidence): string {
  const read = Envelope.read(parse(evidence.file("manifest.dsse.json")), "application/vnd.in-toto+json");
  evidence.readManifest = at("payload", () => {
    const fields = Fields.of(parse(read.payload));
    fields.is("_type", "https://in-toto.io/Statement/v1");
    fields.is("predicateType", "https://clyra.dev/spec/bundle/v1");
    const subjects = fields.list("subject").map(subject);
    const claimed = at("field `predicate`", () => predicate(fields.object("predicate")));
    fields.end();
    return { envelope: read, subjects, claimed };
  });
  return "canonical JSON and base64, exactly one signature over an in-toto statement";
}

export function signature({ manifest, trust }: Evidence): string {
  return `signed by recorder \`${manifest.envelope.signer(trust, "recorder").id}\``;
}

export function subjects({ manifest, files }: Evidence): string {
  const listed = manifest.subjects;
  listed.forEach(({ name }, place) => {
    const before = listed[place - 1];
    if (before && byBytes(before.name, name) >= 0) fail("subjects are not ascending by name, each once");
  });
  for (const { name, ...digests } of listed) {
    const file = files.find((file) => file.name === name);
    if (!file) return fail(`subject \`${short(name)}\` is not in the bundle`);
    if (name === MANIFEST) fail("the manifest lists itself");
    if (!same(sha256(file.content), digests.sha256)) fail(`file \`${name}\` has another SHA-256 than the manifest says`);
    if (!same(blake3(file.content), digests.blake3)) fail(`file \`${name}\` has another BLAKE3 than the manifest says`);
  }
  const missing = files.find(({ name }) => name !== MANIFEST && !listed.some((subject) => subject.name === name));
  if (missing) fail(`file \`${missing.name}\` is not listed`);
  return `${count(listed.length, "file", "files")} equal by SHA-256 and BLAKE3`;
}

export function log({ manifest: { claimed }, note }: Evidence): string {
  if (claimed.origin !== note.origin) fail("the manifest names another origin than the checkpoint");
  if (claimed.size !== note.size || !same(claimed.root, note.root)) {
    fail("the manifest names another size or root than the checkpoint");
  }
  return "origin, size and root are those of the checkpoint";
}

function subject(value: Value): Manifest["subjects"][number] {
  const fields = Fields.of(value);
  const digest = fields.object("digest");
  const read = { name: fields.text("name"), sha256: digest.hash("sha256"), blake3: digest.hash("blake3") };
  digest.end();
  fields.end();
  return read;
}

function predicate(fields: Fields): Claimed {
  fields.is("container", "pef");
  fields.is("spec", "clyra.dev/spec/bundle/v1");
  const log = fields.object("log");
  const read = {
    runId: fields.text("run_id"),
    closed: fields.bool("closed"),
    counts: fields.numbers("counts"),
    verdicts: fields.numbers("verdicts"),
    streams: fields.list("streams").map(span),
    policies: fields.texts("policies"),
    producer: fields.text("producer"),
    origin: log.text("origin"),
    size: log.whole("size"),
    root: log.hash("root"),
    claims: fields.texts("claims"),
    nonClaims: fields.texts("non_claims"),
  };
  const bytes = utf8(read.producer).length;
  if (bytes < 1 || bytes > 255) fail("field `producer` has not 1 to 255 bytes");
  log.end();
  fields.end();
  return read;
}

function span(value: Value): StreamSpan {
  const fields = Fields.of(value);
  const read = {
    gateway: fields.text("gateway"),
    epoch: fields.whole("epoch"),
    first_seq: fields.whole("first_seq"),
    last_seq: fields.whole("last_seq"),
    receipts: fields.whole("receipts"),
  };
  fields.end();
  return read;
}

const MANIFEST = "manifest.dsse.json";
