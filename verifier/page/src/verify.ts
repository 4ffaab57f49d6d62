// Puts every named question to a bundle, in order, and tells the answer; it asks the bundle for no key and no rule.

import * as batch from "./check/batch.ts";
import * as files from "./check/files.ts";
import * as log from "./check/log.ts";
import * as manifest from "./check/manifest.ts";
import * as run from "./check/run.ts";
import * as summary from "./check/summary.ts";
import * as kill from "./check/switch.ts";
import { Fail, Unable } from "./doubt.ts";
import { Evidence } from "./evidence.ts";
import type { Entry } from "./read/entry.ts";
import type { Trust } from "./trust.ts";

export { BadInput } from "./doubt.ts";
export { readTrust } from "./trust.ts";

/** One of three answers. */
export type Outcome = "PASS" | "FAIL" | "UNABLE";

/** One named check and what it found. */
export interface Check {
  name: string;
  outcome: Outcome;
  detail: string;
}

/** The answer: what `clyra-verify bundle --json` says. */
export interface Report {
  outcome: Outcome;
  verdict: string;
  checks: Check[];
  summary: Summary | null;
}

/** What the entries say once counted again. */
export interface Summary {
  run_id: string;
  closed: boolean;
  counts: { [kind: string]: number };
  verdicts: { [verdict: string]: number };
  streams: manifest.StreamSpan[];
  policies: string[];
  switches?: kill.SwitchSummary[];
  log_origin: string;
  log_size: number;
}

/** The exit code of `clyra-verify` for an answer; 6 stands for bad input. */
export const EXIT_CODES: Record<Outcome, number> = { PASS: 0, FAIL: 2, UNABLE: 3 };

/** A check's name, what it proves when it holds, and how it is made. */
const QUESTIONS: [string, string, (evidence: Evidence) => string][] = [
  ["container", "no byte of the file was changed, added or hidden: built again from its contents it is the same", files.container],
  ["files", "the six files of a bundle are inside, and nothing else", files.names],
  ["manifest-envelope", "the manifest can be read in one way only", manifest.envelope],
  ["manifest-signature", "a recorder that you trust signed the manifest", manifest.signature],
  ["manifest-subjects", "every other file is the one that the recorder signed, by two digests", manifest.subjects],
  ["checkpoint-signature", "a log that you trust signed its size and root", log.checkpoint],
  ["manifest-log", "the manifest speaks of that log, size and root", manifest.log],
  ["entries-canonical", "every entry can be read in one way only, and has the fields of its kind", files.entries],
  ["inclusion", "every entry stands in the log at its index", log.inclusion],
  ["batch-signature", "gateways that you trust signed every batch: the recorder invented none", batch.signatures],
  ["batch-membership", "every entry stands in its gateway's batch: the recorder changed and swapped none", batch.membership],
  ["stream-order", "entries stand in the order in which their gateway numbered them", batch.order],
  ["run-members", "what is shown is of this run, or context that the spec asks for", run.members],
  ["run-complete", "no receipt of the run is missing, up to its last close", run.complete],
  ["outcomes", "every statement announced before it ran has its outcome", run.outcomes],
  ["gaps", "no gateway reported lost entries while the run went on", run.gaps],
  ["switches", "no turn of the kill switch is missing in between, and nobody released alone what they had raised", kill.turns],
  ["summary", "the manifest's counts are what the entries add up to", summary.equals],
  ["spec-text", "the bundle carries the rules by which anyone can check it", files.specText],
];

/** What each check proves when it holds, by its name. */
export const PROVES = new Map(QUESTIONS.map(([name, proves]) => [name, proves]));

/** A bundle being checked, one question at a time, so that a page can breathe in between. */
export class Examination {
  private readonly evidence: Evidence;
  private readonly checks: Check[] = [];

  constructor(bytes: Uint8Array, trust: Trust) {
    this.evidence = new Evidence(bytes, trust);
  }

  /** Puts the next question; nothing when all have been put. */
  next(): Check | null {
    const question = QUESTIONS[this.checks.length];
    if (!question) return null;
    const [name, , ask] = question;
    const check = { name, ...answered(() => ask(this.evidence)) };
    this.checks.push(check);
    return check;
  }

  /** The entries as far as they could be read. */
  get entries(): { entry: Entry; index: number | null }[] {
    return (this.evidence.readEntries ?? []).map((entry, place) => ({
      entry,
      index: this.evidence.readProofs?.[place]?.index ?? null,
    }));
  }

  /** The answer so far. */
  report(): Report {
    const failed = this.checks.find((check) => check.outcome === "FAIL");
    const unable = this.checks.find((check) => check.outcome === "UNABLE");
    const outcome = failed ? "FAIL" : unable ? "UNABLE" : "PASS";
    const because = failed ? `: ${failed.name}` : unable ? `: ${unable.detail}` : "";
    return { outcome, verdict: outcome + because, checks: this.checks, summary: summarised(this.evidence) };
  }
}

/** Checks one bundle against the keys that the reader trusts; whatever the bytes are, there is an answer. */
export function verifyBundle(bytes: Uint8Array, trust: Trust): Report {
  const examination = new Examination(bytes, trust);
  while (examination.next());
  return examination.report();
}

function answered(ask: () => string): { outcome: Outcome; detail: string } {
  try {
    return { outcome: "PASS", detail: ask() };
  } catch (doubt) {
    if (doubt instanceof Fail) return { outcome: "FAIL", detail: doubt.message };
    if (doubt instanceof Unable) return { outcome: "UNABLE", detail: doubt.message };
    throw doubt;
  }
}

function summarised(evidence: Evidence): Summary | null {
  if (!evidence.readManifest || !evidence.readNote || !evidence.readEntries) return null;
  const counted = summary.recount(evidence);
  const switches = kill.summary(evidence);
  return {
    run_id: counted.runId,
    closed: counted.closed,
    counts: Object.fromEntries(counted.counts),
    verdicts: Object.fromEntries(counted.verdicts),
    streams: counted.streams,
    policies: counted.policies,
    ...(switches.length > 0 ? { switches } : {}),
    log_origin: evidence.readNote.origin,
    log_size: evidence.readNote.size,
  };
}
