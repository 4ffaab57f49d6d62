// Counts everything again and compares it with what the manifest claims; no number is taken over.

import { count, fail, short } from "../doubt.ts";
import type { Evidence } from "../evidence.ts";
import { byBytes } from "../read/bytes.ts";
import type { Counted } from "./manifest.ts";
import { stories } from "./run.ts";

export function equals(evidence: Evidence): string {
  const counted = recount(evidence);
  void evidence.note; // Without it the log's size in the answer would be missing.
  const { claimed } = evidence.manifest;
  const claims = counted.closed ? CLAIMS : CLAIMS.slice(0, 2);
  const compared: [string, unknown, unknown][] = [
    ["counts", [...claimed.counts].sort(byWord), [...counted.counts]],
    ["verdicts", [...claimed.verdicts].sort(byWord), [...counted.verdicts]],
    ["streams", claimed.streams, counted.streams],
    ["policies", claimed.policies, counted.policies],
    ["closed", claimed.closed, counted.closed],
    ["claims", claimed.claims, claims],
    ["non_claims", claimed.nonClaims, NON_CLAIMS],
  ];
  for (const [field, one, other] of compared) {
    if (JSON.stringify(one) !== JSON.stringify(other)) fail(`\`${field}\` in the manifest is not what the files say`);
  }
  return `${count(compared.length, "field", "fields")} counted again, all equal; producer \`${short(claimed.producer)}\``;
}

/** What the entries add up to. */
export function recount({ entries, manifest }: Evidence): Counted {
  const { runId } = manifest.claimed;
  const receipts = entries.filter((entry) => entry.kind === "receipt");
  const decided = receipts.filter((entry) => entry.text("phase") !== "outcome");
  const told = stories(entries, runId);
  const policies = [
    ...receipts.map((entry) => entry.text("decision", "policy")),
    ...entries.filter((entry) => entry.kind === "policy").map((entry) => entry.text("digest")),
  ];
  return {
    runId,
    closed: told.length > 0 && told.every((story) => story.closed),
    counts: tally(entries.map((entry) => entry.kind)),
    verdicts: tally(decided.map((entry) => entry.text("decision", "verdict"))),
    streams: told.map((story) => story.span),
    policies: [...new Set(policies)].sort(byBytes),
  };
}

function tally(words: string[]): Map<string, number> {
  const tallied = new Map<string, number>();
  for (const word of words) tallied.set(word, (tallied.get(word) ?? 0) + 1);
  return new Map([...tallied].sort(byWord));
}

function byWord([one]: [string, number], [other]: [string, number]): number {
  return byBytes(one, other);
}

/** The third only of a closed run. */
const CLAIMS = [
  "every entry listed stands in the log at the index stated, under the root of the checkpoint",
  "every entry listed was signed for by the gateway that made it, at its place in that gateway's stream",
  "the receipts listed are all that the gateways numbered for this run",
];

const NON_CLAIMS = [
  "that no statement reached a database without passing a gateway",
  "that what callers say about themselves and their run is true",
  "that the clocks of the gateways were right",
  "that the policies in force were sufficient",
];
