// The page against the vectors of the spec and against clyra-verify, in Node and in Chromium:
//
//   ../build && node test/run.mjs CLYRA-VERIFY
//
// It judges no vector by itself: what is right stands in index.json, and in what the other hand says.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { BadInput, EXIT_CODES, Examination, readTrust, verifyBundle } from "../dist/verify.mjs";

const VECTORS = fileURLToPath(new URL("../../../spec/vectors/", import.meta.url));
const PAGE = new URL("../dist/clyra-verify.html", import.meta.url).href;
const TRUST = `${VECTORS}trust.txt`;
const verifier = process.argv[2];
assert(verifier, "usage: run.mjs CLYRA-VERIFY");

const trustText = readFileSync(TRUST, "utf8");
const trust = readTrust(trustText);
const index = JSON.parse(readFileSync(`${VECTORS}index.json`, "utf8"));
const bundle = (file) => new Uint8Array(readFileSync(VECTORS + file));
const firstDoubt = ({ checks }) => checks.find(({ outcome }) => outcome !== "PASS")?.name ?? null;

await step("every vector as the index and as clyra-verify say", async () => {
  for (const { file, outcome, check } of index) {
    const report = verifyBundle(bundle(file), trust);
    assert.deepEqual([report.outcome.toLowerCase(), firstDoubt(report)], [outcome, check], file);
    const { code, said } = await asked(["bundle", VECTORS + file, "--trust", TRUST, "--json"]);
    const other = JSON.parse(said);
    const outcomes = ({ checks }) => checks.map(({ name, outcome }) => `${name} ${outcome}`);
    assert.deepEqual(outcomes(report), outcomes(other), file);
    assert.deepEqual(report.summary, other.summary, file);
    assert.deepEqual(Object.keys(report), Object.keys(other), file);
    assert.equal(EXIT_CODES[report.outcome], code, file);
    if (report.outcome !== "UNABLE") assert.equal(report.verdict, other.verdict, file);
  }
  return `${index.length} vectors`;
});

await step("no byte of a bundle may be another one", () => {
  const good = bundle("good/closed.pef.zip");
  for (let place = 0; place < good.length; place++) {
    const flipped = good.slice();
    flipped[place] ^= 1 << place % 8;
    assert.equal(firstFailed(flipped), "container", `byte ${place}`);
  }
  return `${good.length} bytes`;
});

await step("nor may one of a file, once it is packed anew", () => {
  const files = unpacked(bundle("good/closed.pef.zip"));
  let flips = 0;
  for (const [name, content] of files) {
    for (let place = 0; place < content.length; place += 17) {
      const flipped = content.slice();
      flipped[place] ^= 1 << place % 8;
      const found = firstFailed(packed(new Map([...files, [name, flipped]])));
      if (name !== "manifest.dsse.json") assert.equal(found, "manifest-subjects", `${name}, byte ${place}`);
      else assert.match(found ?? "none", /^manifest-(envelope|signature)$/, `${name}, byte ${place}`);
      flips++;
    }
  }
  return `${flips} flips`;
});

await step("what is no trust file is bad input for both", async () => {
  const [log, , ...rest] = trustText.split("\n").filter((line) => !line.startsWith("#"));
  const key = log.split(" ")[1];
  const wrong = [
    "",
    log,
    `quorum none\n${rest.join("\n")}`,
    `${log}\nquorum none\nquorum none`,
    `${log}\nquorum 2`,
    `${log}\n${log}\nquorum none`,
    `${log}\nquorum none\nmaker recorder ${key}`,
    `${log}\r\nquorum none`,
    ` # a comment\n${log}\nquorum none`,
    `${log}\nquorum none\nwitness ${key}`,
    `${log.replace("+effe9491+", "+effe9492+")}\nquorum none`,
    `${log.slice(0, -1)}\nquorum none`,
    `${log}=\nquorum none`,
    "log log-1+00000000+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nquorum none",
  ];
  for (const content of wrong) {
    assert.throws(() => readTrust(content), BadInput, content);
    const { code } = await asked(["bundle", `${VECTORS}good/closed.pef.zip`, "--trust", "/dev/stdin"], content);
    assert.equal(code, 6, content);
  }
  const loose = `\n#\n\t${log.replace(" ", " \t ")} \n\nquorum \t none\n`;
  assert.equal(readTrust(loose).keys.length, 1);
  return `${wrong.length} files`;
});

await step("the page says the same in Chromium, and asks nobody", inChromium);

async function inChromium() {
  const browser = await chromium.launch({ executablePath: browserPath(), args: ["--no-sandbox"] });
  try {
    const context = await browser.newContext({ acceptDownloads: true });
    const page = await context.newPage();
    const faults = [];
    page.on("pageerror", (fault) => faults.push(fault.message));
    page.on("console", (message) => faults.push(message.text()));
    page.on("request", (request) => {
      if (request.url() !== PAGE && !request.url().startsWith("blob:")) faults.push(`asked for ${request.url()}`);
    });
    await page.goto(PAGE);
    await page.setInputFiles("#bundle-file", `${VECTORS}good/closed.pef.zip`);
    await page.getByText("Now the keys that you trust are needed.").waitFor();
    await page.fill("#trust", "log nonsense");
    assert.match(await page.textContent("#trust-told"), /^trust file, line 1: /);
    assert(await page.isHidden("#answer"));
    await page.fill("#trust", trustText);
    await page.locator("#verdict", { hasText: /^PASS$/ }).waitFor();
    for (const { file, outcome, check } of index) {
      await page.setInputFiles("#bundle-file", VECTORS + file);
      const name = file.split("/")[1];
      await page.waitForFunction((name) => {
        const told = document.getElementById("bundle-told").textContent;
        return told.startsWith(name) && !told.includes("\nNow ") && !document.getElementById("answer").hidden;
      }, name);
      const [verdict, first] = await page.evaluate(() => {
        const doubts = [...document.querySelectorAll("#checks li")].filter((line) => !line.querySelector("b.PASS"));
        return [document.getElementById("verdict").textContent, doubts[0]?.querySelector(".mono").textContent ?? null];
      });
      const expected = outcome === "fail" ? `FAIL: ${check}` : outcome.toUpperCase();
      assert(outcome === "unable" ? verdict.startsWith("UNABLE: ") : verdict === expected, `${file}: ${verdict}`);
      assert.equal(first, check, file);
    }
    await journey(page);
    assert.deepEqual(faults, [], "the page is silent and asks for nothing");
  } finally {
    await browser.close();
  }
  return `${index.length} vectors`;
}

/** As a person: drops both files, searches, opens an entry by keyboard, takes the report along. */
async function journey(page) {
  await page.goto(PAGE);
  const evil = "<img src=x onerror=alert(1)>.pef.zip";
  const dropped = await page.evaluateHandle(([bundle, trust, name]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([Uint8Array.from(bundle)], name));
    transfer.items.add(new File([trust], "trust.txt"));
    return transfer;
  }, [[...bundle("good/closed.pef.zip")], trustText, evil]);
  await page.dispatchEvent("body", "drop", { dataTransfer: dropped });
  await page.locator("#verdict", { hasText: /^PASS$/ }).waitFor();
  assert.equal(await page.locator("img").count(), 0, "a name is text");
  assert.equal(await page.locator("#receipts tr").count(), 4);
  assert.equal(await page.evaluate(() => document.activeElement.id), "banner");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.id), "download");
  const [download] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("Enter")]);
  const report = JSON.parse(readFileSync(await download.path(), "utf8"));
  assert.deepEqual(report, verifyBundle(bundle("good/closed.pef.zip"), trust));
  await page.keyboard.press("Tab");
  await page.keyboard.type("UPDATE outcome");
  assert.equal(await page.textContent("#found"), "1 of 4");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  assert.match(await page.textContent("#receipts pre"), /"phase": "outcome"/);
}

/** The first check that fails, and none of those behind it. */
function firstFailed(bytes) {
  const examination = new Examination(bytes, trust);
  for (let check; (check = examination.next()); ) if (check.outcome === "FAIL") return check.name;
  return null;
}

/** What clyra-verify answers. */
async function asked(args, input = "") {
  const child = spawn(verifier, args, { stdio: ["pipe", "pipe", "ignore"] });
  let said = "";
  child.stdout.on("data", (data) => (said += data));
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const [code] = await once(child, "close");
  return { code, said };
}

function unpacked(zip) {
  const files = new Map();
  const view = new DataView(zip.buffer, zip.byteOffset);
  for (let at = 0; view.getUint32(at, true) === 0x04034b50; ) {
    const named = at + 30 + view.getUint16(at + 26, true);
    const end = named + view.getUint32(at + 18, true);
    files.set(Buffer.from(zip.slice(at + 30, named)).toString(), zip.slice(named, end));
    at = end;
  }
  return files;
}

function packed(files) {
  const [bodies, directory] = [[], []];
  let offset = 0;
  for (const [name, content] of files) {
    const shared = Buffer.alloc(26);
    shared.writeUInt16LE(10, 0);
    shared.writeUInt16LE(33, 8);
    shared.writeUInt32LE(crc32(content), 10);
    shared.writeUInt32LE(content.length, 14);
    shared.writeUInt32LE(content.length, 18);
    shared.writeUInt16LE(name.length, 22);
    const tail = Buffer.alloc(4);
    tail.writeUInt32LE(offset);
    const central = Buffer.concat([Buffer.from("PK\x01\x02\x0a\0", "latin1"), shared.subarray(0, 24), Buffer.alloc(12), tail, Buffer.from(name)]);
    const body = Buffer.concat([Buffer.from("PK\x03\x04", "latin1"), shared, Buffer.from(name), content]);
    directory.push(central);
    bodies.push(body);
    offset += body.length;
  }
  const records = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(files.size, 8);
  end.writeUInt16LE(files.size, 10);
  end.writeUInt32LE(records.length, 12);
  end.writeUInt32LE(offset, 16);
  return new Uint8Array(Buffer.concat([...bodies, records, end]));
}

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

function browserPath() {
  const names = ["chromium", "chromium-browser", "google-chrome"];
  const found = names.map((name) => which(name)).find((path) => path !== "");
  assert(found, `none of ${names.join(", ")} is installed`);
  return found;
}

function which(name) {
  try {
    return execFileSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim();
  } catch {
    return "";
  }
}

async function step(what, work) {
  const began = performance.now();
  const told = await work();
  console.log(`ok   ${what}: ${told}, ${((performance.now() - began) / 1000).toFixed(1)} s`);
}
