// The table of receipts, with its search. It shows what the entries say and judges none of it.

import { text } from "../read/bytes.ts";
import type { Entry } from "../read/entry.ts";
import type { Value } from "../read/json.ts";
import { element, of } from "./element.ts";

interface Row {
  entry: Entry;
  index: number | null;
  /** What a search looks at: the whole entry, in small letters. */
  said: string;
}

/** The receipts at hand, and how many of them the table shows. */
export class Receipts {
  private rows: Row[] = [];
  private shown = PAGE;

  constructor() {
    of("search").addEventListener("input", () => this.draw());
    of("more").addEventListener("click", () => {
      this.shown += PAGE;
      this.draw(false);
    });
  }

  /** Shows the receipts among these entries. */
  show(entries: { entry: Entry; index: number | null }[]): void {
    this.rows = entries
      .filter(({ entry }) => entry.kind === "receipt")
      .map(({ entry, index }) => ({ entry, index, said: text(entry.line).toLowerCase() }));
    of<HTMLInputElement>("search").value = "";
    this.draw();
  }

  private draw(anew = true): void {
    if (anew) this.shown = PAGE;
    const words = of<HTMLInputElement>("search").value.toLowerCase().split(/\s+/).filter((word) => word !== "");
    const found = this.rows.filter(({ said }) => words.every((word) => said.includes(word)));
    of("receipts").replaceChildren(...found.slice(0, this.shown).map(drawn));
    of("found").textContent = `${found.length} of ${this.rows.length}`;
    of("more").hidden = found.length <= this.shown;
  }
}

function drawn({ entry, index }: Row): HTMLTableRowElement {
  const row = element("tr");
  const open = element("button", index === null ? "?" : String(index));
  open.type = "button";
  open.title = "Show the whole entry";
  open.setAttribute("aria-expanded", "false");
  const first = element("td");
  first.append(open);
  const enforced = entry.value("decision", "enforced") === true;
  const verdict = entry.text("decision", "verdict") + (enforced ? "" : " (shadow)");
  row.append(
    first,
    element("td", entry.text("at").replace("T", " ").replace(/(\.\d{3})\d+Z$/, "$1Z")),
    element("td", entry.text("phase")),
    element("td", verdict, entry.text("decision", "verdict") === "allow" ? "" : "FAIL"),
    element("td", entry.text("action", "verb")),
    element("td", tables(entry), "wrap"),
    element("td", `${entry.text("caller", "actor_kind")} ${entry.text("caller", "actor").slice(0, 8)}…`),
    element("td", rules(entry), "wrap"),
    element("td", outcome(entry)),
  );
  const whole = element("tr");
  open.addEventListener("click", () => {
    const closed = !whole.isConnected;
    open.setAttribute("aria-expanded", String(closed));
    if (!closed) return whole.remove();
    if (!whole.hasChildNodes()) {
      const cell = element("td", "", "wrap");
      cell.colSpan = 9;
      cell.append(element("pre", JSON.stringify(plain(entry.members), null, 2)));
      whole.append(cell);
    }
    return row.after(whole);
  });
  return row;
}

function tables(entry: Entry): string {
  const writes = names(entry.value("action", "writes"));
  const reads = names(entry.value("action", "reads"));
  return [writes && `writes ${writes}`, reads && `reads ${reads}`].filter(Boolean).join("; ");
}

function rules(entry: Entry): string {
  const held = entry.value("decision", "rules");
  if (!Array.isArray(held)) return "";
  return held.map((rule) => (rule instanceof Map ? `${rule.get("id")} (${rule.get("reason")})` : "")).join(", ");
}

function outcome(entry: Entry): string {
  const rows = entry.value("outcome", "rows");
  const state = entry.text("outcome", "sqlstate");
  return [entry.text("outcome", "status"), state, rows === undefined ? "" : `rows ${rows}`].filter(Boolean).join(", ");
}

function names(value: Value | undefined): string {
  return Array.isArray(value) ? value.join(", ") : "";
}

/** The value as JSON.stringify takes it. */
function plain(value: Value): unknown {
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, inner]) => [key, plain(inner)]));
  return Array.isArray(value) ? value.map(plain) : value;
}

const PAGE = 200;
