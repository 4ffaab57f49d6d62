// The gateways' own signatures (batch.md): which batches they signed for, and that every entry stands in one at its place.

import { sha256 } from "@noble/hashes/sha2.js";
import { at, count, fail, unreached } from "../doubt.ts";
import type { Evidence } from "../evidence.ts";
import { same } from "../read/bytes.ts";
import type { Entry } from "../read/entry.ts";
import { Fields } from "../read/fields.ts";
import { parse } from "../read/json.ts";
import { shape } from "../read/shape.ts";
import { leads, leaf } from "../read/tree.ts";
import type { Trust } from "../trust.ts";

/** A batch that a trusted gateway signed for. */
export interface Batch {
  gateway: string;
  epoch: number;
  firstSeq: number;
  count: number;
  root: Uint8Array;
  previous: Uint8Array;
  final: boolean;
  maker: string;
  /** SHA-256 of the header's bytes, the `previous` of the next one. */
  digest: Uint8Array;
}

export function signatures(evidence: Evidence): string {
  const batches = new Map<number, Batch>();
  for (const { entry, proof } of evidence.proven) {
    if (entry.kind === "batch") batches.set(proof.index, at(`batch at index ${proof.index}`, () => open(entry, evidence.trust)));
  }
  evidence.readBatches = batches;
  return `${count(batches.size, "batch", "batches")} signed by trusted gateways`;
}

export function membership({ batches, proven }: Evidence): string {
  let members = 0;
  for (const { entry, proof } of proven) {
    if (!entry.stream) continue;
    const told = (what: string): never => fail(`entry at index ${proof.index}: ${what}`);
    const batch = batches.get(proof.batch);
    if (!batch) return told("the header of its batch is not in the bundle");
    const place = entry.stream.seq - batch.firstSeq;
    if (place < 0 || place >= batch.count) told("its seq is not within its batch");
    if (!leads(leaf(entry.line), place, batch.count, proof.batchPath ?? [], batch.root)) {
      told("its path does not lead to the root that the gateway signed");
    }
    members++;
  }
  return `${count(members, "entry is", "entries are")} in the batches that the gateways signed`;
}

export function order({ batches, proven }: Evidence): string {
  const last = new Map<string, { epoch: number; seq: number }>();
  for (const { entry, proof } of proven) {
    const { stream } = entry;
    if (!stream) continue;
    const told = (what: string): never => fail(`entry at index ${proof.index}: ${what}`);
    const batch = batches.get(proof.batch) ?? unreached("a batch header is missing");
    if (stream.gateway !== batch.gateway || stream.epoch !== batch.epoch || entry.maker !== batch.maker) {
      told("its gateway, epoch or maker is not that of its batch");
    }
    if (proof.index !== proof.batch + 1 + stream.seq - batch.firstSeq) told("it does not stand in the log where its batch puts it");
    const before = last.get(stream.gateway);
    if (before && (before.epoch > stream.epoch || (before.epoch === stream.epoch && before.seq >= stream.seq))) {
      told("its epoch and seq do not rise with the log");
    }
    last.set(stream.gateway, stream);
  }
  chained(batches);
  return `epochs and seqs of ${count(last.size, "gateway", "gateways")} rise with the log, and batches follow one another`;
}

/** Headers of one gateway follow one another: no overlap, none after the final one, and neighbours are linked. */
function chained(batches: Map<number, Batch>): void {
  const last = new Map<string, Batch>();
  let free = 0;
  for (const [index, batch] of batches) {
    const told = (what: string): never => fail(`batch at index ${index}: ${what}`);
    if (index < free) told("it begins within the batch before it");
    free = index + 1 + batch.count;
    const before = last.get(batch.gateway);
    last.set(batch.gateway, batch);
    if (!before) continue;
    const between = batch.firstSeq - before.firstSeq - before.count;
    const goesOn = batch.epoch === before.epoch && !before.final && between >= 0;
    if (!goesOn && batch.epoch <= before.epoch) told("it does not follow the batch before it");
    if (goesOn && between === 0 && !same(batch.previous, before.digest)) told("it does not name the batch before it");
    if (batch.previous.every((byte) => byte === 0)) told("it claims to be its gateway's first");
  }
}

/** Verifies one header and takes its claims apart. */
function open(entry: Entry, trust: Trust): Batch {
  const envelope = entry.envelope ?? fail("it is no header");
  if (entry.maker !== envelope.keyid) fail("`maker` and `keyid` differ");
  const signer = envelope.signer(trust, "gateway");
  const value = at("payload", () => parse(envelope.payload));
  const fault = CLAIMS(value);
  if (fault !== null) fail(`payload ${fault}`);
  const fields = Fields.of(value);
  const batch = {
    gateway: fields.text("gateway"),
    epoch: fields.whole("epoch"),
    firstSeq: fields.whole("first_seq"),
    count: fields.whole("count"),
    root: fields.hash("root"),
    previous: fields.hash("previous"),
    final: fields.bool("final"),
    maker: entry.maker,
    digest: sha256(entry.line),
  };
  if (batch.gateway !== signer.name) fail(`signed by \`${signer.id}\` for another gateway`);
  return batch;
}

const CLAIMS = shape("common/batch.schema.json#/$defs/claims");
