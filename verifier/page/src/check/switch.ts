// Turns of the kill switch (entry.md): none is missing in between, operators signed what they are said to have signed, and
// who raised it did not release it alone. Whether a turn was wise nobody asks.

import { Fail, Unable, count, fail, short } from "../doubt.ts";
import type { Evidence } from "../evidence.ts";
import type { Entry } from "../read/entry.ts";
import type { Trust } from "../trust.ts";

/** One turn, as the answer tells it. */
export interface SwitchSummary {
  gateway: string;
  turn: number;
  at: string;
  scope: string;
  class: string;
  level: string;
  cause: string;
  by: string;
  reason: string;
  signer?: string;
  checked: boolean;
}

export function turns({ entries, trust }: Evidence): string {
  const books = new Map<string, Book>();
  let [shown, signed, unable] = [0, 0, ""];
  for (const entry of entries) {
    if (entry.kind !== "switch" || !entry.stream) continue;
    shown++;
    if (entry.order) signed++;
    const { gateway } = entry.stream;
    const told = (what: string) => `turn ${entry.number("turn")} of gateway \`${short(gateway)}\`: ${what}`;
    const book = books.get(gateway) ?? { last: null, stories: new Map() };
    books.set(gateway, book);
    try {
      if (hole(book, entry)) unable ||= told("an earlier turn is not shown");
      const stranger = signature(entry, trust);
      if (stranger) unable ||= told(stranger);
      note(book, entry);
    } catch (doubt) {
      if (doubt instanceof Fail) fail(told(doubt.message));
      throw doubt;
    }
  }
  if (unable) throw new Unable(unable);
  if (shown === 0) return "the kill switch was not turned meanwhile";
  return `${count(shown, "turn", "turns")}, ${signed} of them signed by operators`;
}

export function summary({ entries, trust }: Evidence): SwitchSummary[] {
  const found = entries.filter((entry) => entry.kind === "switch");
  return found.map((entry) => ({
    gateway: entry.stream?.gateway ?? "",
    turn: entry.number("turn"),
    at: entry.text("at"),
    scope: entry.text("scope") + (entry.value("name") === undefined ? "" : `:${entry.text("name")}`),
    class: entry.text("class") || "all",
    level: entry.text("level"),
    cause: entry.text("cause"),
    by: entry.text("by"),
    reason: entry.text("reason"),
    ...(entry.order ? { signer: entry.order.keyid } : {}),
    checked: entry.order !== null && holds(entry, trust),
  }));
}

function holds({ order }: Entry, trust: Trust): boolean {
  try {
    order?.signer(trust, "operator");
    return true;
  } catch (doubt) {
    if (doubt instanceof Fail) return false;
    throw doubt;
  }
}

/** A reader who names operators wants each signature checked; says what cannot be. */
function signature({ order }: Entry, trust: Trust): string | null {
  const operators = trust.keys.filter((key) => key.role === "operator");
  if (!order || operators.length === 0) return null;
  if (!operators.some((key) => key.id === order.keyid)) {
    return `the key \`${short(order.keyid)}\` is no operator's in the trust file`;
  }
  order.signer(trust, "operator");
  return null;
}

/** What is known of one gateway's switch. */
interface Book {
  last: { epoch: number; turn: number } | null;
  stories: Map<string, { since: number; raisers: string[] }>;
}

/** Whether turns of the same epoch are missing before this one. */
function hole(book: Book, entry: Entry): boolean {
  const { last } = book;
  const now = { epoch: entry.stream?.epoch ?? 0, turn: entry.number("turn") };
  book.last = now;
  if (!last) return false;
  if (last.epoch === now.epoch && now.turn <= last.turn) fail(`it comes after turn ${last.turn}`);
  if (now.turn === last.turn + 1) return false;
  book.stories.clear();
  return last.epoch === now.epoch;
}

function note({ stories }: Book, entry: Entry): void {
  const key = JSON.stringify(["scope", "name", "class"].map((name) => entry.text(name)));
  const [level, by] = [entry.text("level"), entry.text("by")];
  const at = Math.floor(Date.parse(`${entry.text("at").slice(0, 17)}00Z`) / 1000) + Number(entry.text("at").slice(17, 19));
  const before = entry.value("before");
  if (before === undefined) stories.set(key, { since: at, raisers: [] });
  const lowers = before !== undefined && LEVELS.indexOf(level) < LEVELS.indexOf(String(before));
  const story = stories.get(key);
  if (story) {
    if (entry.order && lowers) {
      const { keyid } = entry.order;
      const alone = story.raisers.length > 0 && story.raisers.every((raiser) => raiser === keyid || raiser === by);
      if (alone && at - story.since > OWN_RELEASE_S) fail(`\`${short(keyid)}\` releases what it has raised alone`);
    } else if (entry.order) {
      story.raisers.push(entry.order.keyid);
    } else if (!lowers && entry.text("cause") === "asked") {
      story.raisers.push(by);
    }
  }
  if (level === "observe") stories.delete(key);
}

const LEVELS = ["observe", "block_writes", "block_statements", "cancel_running", "disconnect"];
/** So long a mistake may be taken back by the one who made it. */
const OWN_RELEASE_S = 60;
