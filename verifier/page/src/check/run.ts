// The run (bundle.md): who belongs to it, whether all of it is there, what is known to be lost; it judges no receipt.

import { Unable, count, fail, short } from "../doubt.ts";
import type { Evidence } from "../evidence.ts";
import { byBytes } from "../read/bytes.ts";
import type { Entry } from "../read/entry.ts";
import type { StreamSpan } from "./manifest.ts";

export function members({ manifest, proven }: Evidence): string {
  const { runId } = manifest.claimed;
  const own = proven.filter(({ entry }) => entry.runId === runId);
  const [first, last] = [own[0]?.proof.index ?? 0, own.at(-1)?.proof.index ?? 0];
  const gateways = new Set(own.map(({ entry }) => entry.stream?.gateway));
  const covering = new Set(proven.filter(({ entry }) => entry.stream).map(({ proof }) => proof.batch));
  const policyBefore = new Set<string>();
  let context = 0;
  for (const { entry, proof } of proven) {
    if (entry.runId === runId) continue;
    const told = (what: string): never => fail(`${entry.kind} at index ${proof.index}: ${what}`);
    if (entry.kind === "batch" || !entry.stream) {
      if (!covering.has(proof.index)) told("it covers no entry of the bundle");
      continue;
    }
    if (!CONTEXT.includes(entry.kind)) told(`it is not of run \`${short(runId)}\``);
    const { gateway } = entry.stream;
    if (!gateways.has(gateway)) told("its gateway has no part in the run");
    if (proof.index < first && entry.kind === "policy") {
      if (policyBefore.has(gateway)) told("one policy entry before the run is enough for a gateway");
      policyBefore.add(gateway);
    } else if (proof.index < first || proof.index > last) {
      told("it stands outside the run");
    }
    context++;
  }
  return `${count(own.length, "entry", "entries")} of run \`${short(runId)}\`, ${context} of context`;
}

export function complete({ manifest, entries }: Evidence): string {
  const told = stories(entries, manifest.claimed.runId);
  const flaw = told.find((story) => story.flaw !== null)?.flaw;
  if (flaw) fail(flaw);
  if (told.length === 0) throw new Unable("no entry of the run is there");
  const open = told.find((story) => !story.closed);
  if (open) throw new Unable(`the run was not closed at gateway \`${short(open.span.gateway)}\`, epoch ${open.span.epoch}`);
  const receipts = told.reduce((sum, story) => sum + story.span.receipts, 0);
  return `${count(receipts, "receipt", "receipts")} in ${count(told.length, "stream", "streams")}, from open to close without a hole`;
}

export function outcomes({ entries }: Evidence): string {
  const receipts = entries.filter((entry) => entry.kind === "receipt");
  const ended = new Map<string, boolean>();
  for (const entry of receipts.filter((entry) => entry.text("phase") === "intent")) {
    if (ended.has(entry.id)) fail(`two intents have the id \`${entry.id}\``);
    ended.set(entry.id, false);
  }
  let strangers = 0;
  for (const entry of receipts.filter((entry) => entry.text("phase") === "outcome")) {
    const intent = entry.text("intent");
    const before = ended.get(intent);
    if (before) fail(`intent \`${intent}\` has more than one outcome`);
    if (before === undefined) strangers++;
    else ended.set(intent, true);
  }
  const waiting = [...ended.values()].filter((end) => !end).length;
  if (waiting > 0) throw new Unable(`${count(waiting, "intent has", "intents have")} no outcome, what became of it is unknown`);
  if (strangers > 0) throw new Unable(`${count(strangers, "outcome names", "outcomes name")} an intent that is not in the bundle`);
  return `${count(ended.size, "intent", "intents")} told to the end`;
}

export function gaps({ entries }: Evidence): string {
  const found = entries.filter((entry) => entry.kind === "gap");
  if (found.length === 0) return "no loss was reported during the run";
  const known = found.reduce((sum, gap) => sum + gap.number("count"), 0);
  const unknown = found.some((gap) => gap.value("count") === undefined);
  const lost = unknown ? `${known} and an unknown number of` : String(known);
  throw new Unable(`${count(found.length, "gap", "gaps")} during the run: ${lost} entries lost`);
}

/** What the run's own entries tell of one gateway process. */
export interface Story {
  span: StreamSpan;
  closed: boolean;
  flaw: string | null;
}

/** One story for each gateway and epoch that the run touched, ascending. */
export function stories(entries: Entry[], runId: string): Story[] {
  const streams = new Map<string, Entry[]>();
  for (const entry of entries) {
    if (entry.runId !== runId || !entry.stream) continue;
    const key = `${entry.stream.epoch} ${entry.stream.gateway}`;
    streams.set(key, [...(streams.get(key) ?? []), entry]);
  }
  const told = [...streams.values()].map(story);
  return told.sort(({ span: one }, { span: other }) => byBytes(one.gateway, other.gateway) || one.epoch - other.epoch);
}

function story(own: Entry[]): Story {
  const places = own.flatMap((entry) => (entry.stream ? [{ entry, ...entry.stream }] : []));
  places.sort((one, other) => one.seq - other.seq);
  const [{ gateway, epoch, seq }, end] = [places[0] ?? NOWHERE, places.at(-1) ?? NOWHERE];
  const span = { gateway, epoch, first_seq: seq, last_seq: end.seq, receipts: 0 };
  const told: Story = { span, closed: false, flaw: null };
  places.forEach(({ entry, seq }, place) => {
    const flaw = wrong(entry, place, span);
    told.closed = entry.kind === "run_close";
    if (flaw) told.flaw ??= `gateway \`${short(gateway)}\`, epoch ${epoch}, seq ${seq}: ${flaw}`;
  });
  return told;
}

/** What is wrong with the run's next own entry; a receipt is counted on the way. */
function wrong(entry: Entry, place: number, span: StreamSpan): string | null {
  if (entry.kind === "receipt") {
    span.receipts++;
    const held = entry.number("run", "run_seq");
    if (place > 0 && held !== span.receipts) return `run_seq is ${held} where ${span.receipts} is due`;
  }
  if (place === 0 && entry.kind !== "run_open") return "the run begins without its run_open";
  if (COUNTING.includes(entry.kind) && entry.number("count") !== span.receipts) {
    return `${entry.kind} counts ${entry.number("count")} receipts, ${span.receipts} are there`;
  }
  return null;
}

const COUNTING = ["heartbeat", "run_close"];
const CONTEXT = ["policy", "switch", "gap"];
const NOWHERE = { gateway: "", epoch: 0, seq: 0 };
