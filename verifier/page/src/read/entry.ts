// An entry of the log (entry.md): one canonical line of a known form, and what checks ask of it. It follows no signature.

import { at, fail } from "../doubt.ts";
import { type Members, type Value, parse } from "./json.ts";
import { shape } from "./shape.ts";
import { Envelope } from "./signature.ts";

/** The place of an entry in its gateway's stream. */
export interface Stream {
  gateway: string;
  epoch: number;
  seq: number;
}

/** One entry, its form in order. */
export class Entry {
  readonly kind: string;
  readonly id: string;
  readonly maker: string;
  /** Only a batch header has none. */
  readonly stream: Stream | null;
  /** Only a batch header has one. */
  readonly envelope: Envelope | null;
  /** What an operator signed; only a turn of the kill switch may have one. */
  readonly order: Envelope | null;

  private constructor(
    readonly line: Uint8Array,
    readonly members: Members,
  ) {
    this.kind = this.text("kind");
    this.id = this.text("id");
    this.maker = this.text("maker");
    const place = members.get("stream");
    this.stream =
      place === undefined
        ? null
        : { gateway: this.text("stream", "gateway"), epoch: this.number("stream", "epoch"), seq: this.number("stream", "seq") };
    this.envelope = this.kind === "batch" ? Envelope.read(this.value("dsse") ?? null, BATCH_TYPE) : null;
    if (this.kind === "approval") this.approved(Envelope.read(this.value("dsse") ?? null, APPROVAL_TYPE));
    const order = this.kind === "switch" ? this.value("dsse") : undefined;
    this.order = order === undefined ? null : Envelope.read(order, SWITCH_TYPE);
    if (this.order) this.ordered(this.order);
  }

  /** Reads one line of `entries.jsonl`. */
  static read(line: Uint8Array): Entry {
    if (line.length > BYTES_MAX) fail(`${line.length} bytes, an entry has at most ${BYTES_MAX}`);
    const value = parse(line);
    const fault = FORM(value);
    if (fault !== null) fail(fault);
    return new Entry(line, value as Members);
  }

  /** What an approver signed names the entry that it stands in; whose key it is only the policy says. */
  private approved({ payload }: Envelope): void {
    const value = at("field `dsse`: payload", () => parse(payload));
    const fault = APPROVED(value) ?? ((value as Members).get("id") === this.id ? null : "has another `id` than its entry");
    if (fault !== null) fail(`field \`dsse\`: payload ${fault}`);
  }

  /** What an operator signed is what the entry says. */
  private ordered({ payload }: Envelope): void {
    const value = at("field `dsse`: payload", () => parse(payload));
    const fault = ORDERED(value);
    if (fault !== null) fail(`field \`dsse\`: payload ${fault}`);
    const other = SAID.find((name) => (value as Members).get(name) !== this.members.get(name));
    if (other !== undefined) fail(`field \`dsse\`: what was signed has another \`${other}\` than its entry`);
    if (this.text("cause") !== "asked") fail("field `cause`: what an operator signed is `asked`");
  }

  /** The run that this entry belongs to. */
  get runId(): string | null {
    const found = this.kind === "receipt" ? this.value("run", "run_id") : this.value("run_id");
    return typeof found === "string" ? found : null;
  }

  /** What stands at this path; nothing where a step is missing. */
  value(...path: string[]): Value | undefined {
    let here: Value | undefined = this.members;
    for (const step of path) here = here instanceof Map ? here.get(step) : undefined;
    return here;
  }

  /** The text at this path, empty where there is none. */
  text(...path: string[]): string {
    const found = this.value(...path);
    return typeof found === "string" ? found : "";
  }

  /** The number at this path, zero where there is none. */
  number(...path: string[]): number {
    const found = this.value(...path);
    return typeof found === "number" ? found : 0;
  }
}

const FORM = shape("common/entry.schema.json");
const APPROVED = shape("common/approval.schema.json#/$defs/payload");
const ORDERED = shape("common/switch.schema.json#/$defs/order");
const SAID = ["by", "class", "expires", "id", "level", "name", "reason", "scope"];
const SWITCH_TYPE = "application/vnd.clyra.switch+json";
const APPROVAL_TYPE = "application/vnd.clyra.approval+json";
const BATCH_TYPE = "application/vnd.clyra.batch+json";
const BYTES_MAX = 65_535;
