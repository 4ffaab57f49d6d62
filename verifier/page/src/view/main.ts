// The page: takes a trust file and a bundle, shows the answer. It asks no network, stores nothing, and writes what evidence
// says as text only, never as markup.

import { sha256 } from "@noble/hashes/sha2.js";
import { hex, text } from "../read/bytes.ts";
import type { Trust } from "../trust.ts";
import { BadInput, EXIT_CODES, Examination, PROVES, type Check, type Outcome, type Report, readTrust } from "../verify.ts";
import { element, of } from "./element.ts";
import { Receipts } from "./receipts.ts";

let trust: Trust | null = null;
let bundle: { name: string; bytes: Uint8Array } | null = null;
let report: Report | null = null;
/** Counts questions put, so that an answer which is overtaken by a newer question is dropped. */
let asked = 0;
const receipts = new Receipts();

function takeTrust(): void {
  const told = of("trust-told");
  const content = of<HTMLTextAreaElement>("trust").value;
  trust = null;
  told.classList.remove("wrong");
  told.textContent = "";
  if (content.trim() !== "") {
    try {
      trust = readTrust(content);
      told.textContent = trust.keys.map((key) => `${key.role} ${key.id}`).join("\n");
    } catch (fault) {
      told.textContent = wording(fault);
      told.classList.add("wrong");
    }
  }
  void answer();
}

async function take(file: File): Promise<void> {
  const told = of("bundle-told");
  told.classList.remove("wrong");
  try {
    if (file.size > BYTES_MAX) throw new BadInput(`\`${file.name}\` has ${file.size} bytes, at most ${BYTES_MAX} are read here; clyra-verify reads more`);
    const bytes = new Uint8Array(await file.arrayBuffer());
    // A container begins with `PK`, in which no trust file can begin.
    if (!file.name.endsWith(".zip") && !(bytes[0] === 0x50 && bytes[1] === 0x4b) && bytes.length <= TRUST_BYTES_MAX) {
      of<HTMLTextAreaElement>("trust").value = text(bytes);
      takeTrust();
      return;
    }
    bundle = { name: file.name, bytes };
    told.textContent = `${file.name}, ${bytes.length} bytes\nSHA-256 ${hex(sha256(bytes))}`;
  } catch (fault) {
    bundle = null;
    told.textContent = wording(fault);
    told.classList.add("wrong");
  }
  await answer();
}

async function answer(): Promise<void> {
  const question = ++asked;
  report = null;
  of("answer").hidden = true;
  if (!bundle) return;
  const told = of("bundle-told");
  const shown = (told.textContent ?? "").split("\nNow ")[0] ?? "";
  if (!trust) {
    told.textContent = `${shown}\nNow the keys that you trust are needed.`;
    return;
  }
  const examination = new Examination(bundle.bytes, trust);
  let drawn = performance.now();
  for (let check: Check | null; (check = examination.next()); ) {
    if (performance.now() - drawn < BREATH_MS) continue;
    told.textContent = `${shown}\nNow checked: ${check.name}`;
    await new Promise((goOn) => setTimeout(goOn));
    if (question !== asked) return;
    drawn = performance.now();
  }
  told.textContent = shown;
  report = examination.report();
  show(report);
  receipts.show(examination.entries);
  of("banner").focus({ preventScroll: true });
  of("banner").scrollIntoView({ block: "nearest" });
}

function show(report: Report): void {
  const { outcome } = report;
  of("banner").className = `verdict ${outcome}`;
  of("mark").textContent = MARKS[outcome];
  of("verdict").textContent = report.verdict;
  of("meaning").textContent = `${MEANINGS[outcome]} (exit code ${EXIT_CODES[outcome]})`;
  of("doubtful").hidden = outcome === "PASS";
  of("summary").replaceChildren(...summary(report).flatMap(([term, said]) => [element("dt", term), element("dd", said)]));
  of("checks").replaceChildren(
    ...report.checks.map(({ name, outcome, detail }) => {
      const line = element("li");
      const found = element("span", "", "detail");
      found.append(element("div", detail), element("div", PROVES.get(name) ?? "", "proves"));
      line.append(element("b", `${MARKS[outcome]} ${outcome}`, outcome), element("span", name, "mono"), found);
      return line;
    }),
  );
  of("answer").hidden = false;
}

function summary({ summary }: Report): [string, string][] {
  if (!summary) return [["", "The entries could not be read."]];
  const tally = (numbers: { [word: string]: number }): string =>
    Object.entries(numbers).map(([word, number]) => `${word} ${number}`).join(", ") || "none";
  const stream = (span: (typeof summary.streams)[number]): string =>
    `${span.gateway}, epoch ${span.epoch}: seq ${span.first_seq} to ${span.last_seq}, receipts ${span.receipts}`;
  return [
    ["Run", `${summary.run_id}, ${summary.closed ? "closed" : "not closed"}`],
    ["Log", `${summary.log_origin}, size ${summary.log_size}`],
    ["Entries", tally(summary.counts)],
    ["Verdicts", tally(summary.verdicts)],
    ["Streams", summary.streams.map(stream).join("\n") || "none"],
    ["Policies", summary.policies.join("\n") || "none"],
  ];
}

function download(): void {
  if (!report || !bundle) return;
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([`${JSON.stringify(report, null, 2)}\n`], { type: "application/json" }));
  link.download = `${bundle.name.replace(/(?:\.[dp]ef)?\.zip$/, "")}.report.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function wording(fault: unknown): string {
  return fault instanceof Error ? fault.message : String(fault);
}

function takeAll(files: FileList | null | undefined): void {
  for (const file of files ?? []) void take(file);
}

const MARKS: Record<Outcome, string> = { PASS: "✓", FAIL: "✗", UNABLE: "?" };
const MEANINGS: Record<Outcome, string> = {
  PASS: "Every check held: the evidence is as its makers signed it, and all of the run is there.",
  FAIL: "The evidence is not as its makers signed it. Do not rely on it.",
  UNABLE: "Nothing is wrong with what is there, but nobody may call it complete.",
};
/** How long the page works before it shows how far it is. */
const BREATH_MS = 30;
const BYTES_MAX = 512 << 20;
const TRUST_BYTES_MAX = 64 << 10;

of("trust").addEventListener("input", takeTrust);
for (const id of ["trust-file", "bundle-file"]) {
  const input = of<HTMLInputElement>(id);
  input.addEventListener("change", () => {
    takeAll(input.files);
    input.value = "";
  });
}
of("download").addEventListener("click", download);
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) document.body.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  takeAll(event.dataTransfer?.files);
});
