// End-to-end test of the page in a real browser: drop an image, read the label, move the slider, switch class, step through the layers.
//
//   node page.js ALEXNET MODEL PICTURE [FOLDER FOR SCREENSHOTS]
//
// CHROMIUM selects the browser [/usr/bin/chromium]. Any console error or request to another host fails the test.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { chromium } from "playwright-core";

/** 16 x 16 red pixels, which Chromium can display and the server does not support. */
const AVIF = "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUIAAADrbWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAAAAAAAAAOcGl0bQAAAAAAAQAAAB5pbG9jAAAAAEQAAAEAAQAAAAEAAAETAAAAKQAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAAAAEAAGF2MDFDb2xvcgAAAABqaXBycAAAAEtpcGNvAAAAFGlzcGUAAAAAAAAAEAAAABAAAAAQcGl4aQAAAAADCAgIAAAADGF2MUOBAAwAAAAAE2NvbHJuY2x4AAEADQAGgAAAABdpcG1hAAAAAAAAAAEAAQQBAoMEAAAAMW1kYXQSAAoJGAz/2iAhoNCAMhoZR4eGIYeeeeaAAAB1hk3a5lrFYQK4avRKwA==";

const [alexnet, model, picture, screenshots] = process.argv.slice(2);
// The image is the only one in the index, so it is its own nearest.
const folder = mkdtempSync(join(tmpdir(), "index-")), index = join(folder, "index.npy");
execFileSync(alexnet, ["-q", "features", "--model", model, "--data", picture, "--out", index]);
const server = spawn(alexnet, ["serve", "--model", model, "--port", "0", "--json", "--index", index, "--images", picture], { stdio: ["ignore", "pipe", "inherit"] });
const { address } = JSON.parse(await new Promise(line => server.stdout.once("data", line)));
const predicted = crops => JSON.parse(execFileSync(alexnet, ["predict", "--model", model, "--json", "--crops", crops, picture]))[0].top;

const profile = mkdtempSync(join(tmpdir(), "page-"));
const quiet = "--disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync";
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  headless: true,
  chromiumSandbox: false,
  args: quiet.split(" "),
  viewport: { width: 1100, height: 1250 },
});
const page = await browser.newPage();
const wrong = [];
// An error that the test provokes.
let expected = "";
page.on("console", message => { if (["error", "warning"].includes(message.type()) && !(expected && message.text().includes(expected))) wrong.push(message.text()); });
page.on("pageerror", error => wrong.push(String(error)));
browser.on("request", request => { if (!/^(data|blob):/.test(request.url()) && new URL(request.url()).origin !== address) wrong.push("asked " + request.url()); });

const shot = async (name, options = {}) => { if (screenshots) await page.screenshot({ path: join(screenshots, name + ".png"), fullPage: true, ...options }); };
const drop = async (bytes, name, type) => {
  const data = await page.evaluateHandle(([base64, name, type]) => {
    const data = new DataTransfer();
    data.items.add(new File([Uint8Array.from(atob(base64), c => c.charCodeAt(0))], name, { type }));
    return data;
  }, [bytes.toString("base64"), name, type]);
  await page.dispatchEvent("#stage", "dragover", { dataTransfer: data });
  await page.dispatchEvent("#stage", "drop", { dataTransfer: data });
};
const first = () => page.locator("#answers li").first();
const settled = what => page.waitForFunction(what, null, { timeout: 20000 });
/** Mean opacity and colour hash of the overlay. */
const overlay = () => page.evaluate(() => {
  const canvas = document.getElementById("overlay");
  // Read a copy, since Chromium warns about repeated reads of an accelerated canvas.
  const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  const { data } = context.getImageData(0, 0, copy.width, copy.height);
  let sum = 0, hash = 0;
  for (let i = 0; i < data.length; i += 4) { sum += data[i + 3]; hash = (hash * 31 + data[i] + 7 * data[i + 1] + data[i + 3]) % 1000003; }
  return { hidden: canvas.hidden, opacity: sum / data.length * 4 / 255, hash };
});

try {
  await page.goto(address);
  await settled(() => document.getElementById("layer").options.length > 3);
  await shot("empty");

  await drop(readFileSync(picture), basename(picture), "image/jpeg");
  await first().waitFor();
  const [best] = predicted("1");
  assert.equal(await first().locator("b").textContent(), best.label);
  assert.equal(await first().locator("span").textContent(), (best.probability * 100).toFixed(1) + " %");
  assert.match(await page.textContent("#said"), new RegExp(best.label + ", .*answered in \\d+ ms"));
  console.log(await page.textContent("#said"));
  await settled(() => !document.getElementById("overlay").hidden);
  await settled(() => !document.getElementById("maps-figure").hidden && !document.getElementById("filters-figure").hidden);

  // The nearest indexed image, with its thumbnail.
  await settled(() => { const image = document.querySelector("#near img"); return image && image.complete && image.naturalWidth > 0; });
  const near = page.locator("#near li");
  assert.equal(await near.count(), 1);
  // The image itself: a distance below 0.0001 is shown as 0.
  assert.match(await near.first().textContent(), /, 0$/);

  // The slider, by keyboard: it fades the colours, but not the frame.
  const before = await overlay();
  await page.focus("#strength");
  for (let i = 0; i < 40; i++) await page.keyboard.press("ArrowLeft");
  const after = await overlay();
  assert.ok(after.opacity < before.opacity, `${after.opacity} after ${before.opacity}`);
  assert.equal(await page.textContent("#percent"), "25 %");
  for (let i = 0; i < 40; i++) await page.keyboard.press("ArrowRight");
  assert.deepEqual(await overlay(), before);
  await shot("light");
  await page.emulateMedia({ colorScheme: "dark" });
  await shot("dark");
  await page.emulateMedia({ colorScheme: "light" });

  // Another class, from the list of answers and from the menu.
  const second = page.locator("#answers li").nth(1).locator("button");
  const asked = page.waitForResponse(response => response.url().includes("kind=cam"));
  await second.focus();
  await page.keyboard.press("Enter");
  assert.equal((await asked).status(), 200);
  assert.equal(await second.getAttribute("aria-pressed"), "true");
  await page.waitForTimeout(300);
  assert.notEqual((await overlay()).hash, before.hash);
  await page.selectOption("#class", String(best.index));
  await page.waitForTimeout(600);
  assert.equal((await overlay()).hash, before.hash);
  await page.check("input[value=none]");
  assert.ok((await overlay()).hidden);

  // Ten crops.
  const ten = predicted("10")[0];
  await page.check("#crops");
  await page.waitForFunction(text => document.querySelector("#answers span").textContent === text, (ten.probability * 100).toFixed(1) + " %");
  assert.equal(await first().locator("b").textContent(), ten.label);

  // Every layer, and one of its maps over the image.
  const layers = await page.locator("#layer option").allTextContents();
  for (const layer of layers) {
    const sheet = page.waitForResponse(response => response.url().includes("kind=maps"));
    await page.selectOption("#layer", layer);
    assert.equal((await sheet).status(), 200, layer);
  }
  await page.selectOption("#layer", "conv2");
  await settled(() => document.getElementById("filters-caption").textContent.startsWith("kernel 0 of conv2"));
  await page.check("input[value=map]");
  await page.fill("#unit", "5");
  await page.keyboard.press("Tab");
  await settled(() => document.getElementById("filters-caption").textContent.startsWith("kernel 5 of conv2") && !document.getElementById("overlay").hidden);
  await shot("maps");

  // A file that is not an image causes an error, and the next image works again.
  await drop(Buffer.from("hello"), "note.txt", "text/plain");
  await page.locator("#error:visible").waitFor();
  expected = "422";
  // An image that the browser supports, but not the server.
  await drop(Buffer.from(AVIF, "base64"), "a.avif", "image/avif");
  await settled(() => document.getElementById("error").textContent.includes("JPEG"));
  await drop(readFileSync(picture), basename(picture), "image/jpeg");
  await settled(() => document.getElementById("error").hidden && document.querySelectorAll("#answers li").length > 0);
  expected = "";

  // A phone: nothing wider than the screen, everything reachable by the Tab key in reading order.
  await page.check("input[value=cam]");
  await page.setViewportSize({ width: 390, height: 844 });
  await page.waitForTimeout(300);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
  await shot("phone");
  await page.emulateMedia({ colorScheme: "dark" });
  await shot("phone-dark");
  await page.focus("#file");
  const reached = ["file"];
  for (let i = 0; i < 15; i++) {
    await page.keyboard.press("Tab");
    reached.push(await page.evaluate(() => document.activeElement.id || document.activeElement.name || document.activeElement.tagName));
  }
  const order = ["file", "camera", "BUTTON", "crops", "over", "class", "strength", "layer", "unit"];
  const places = order.map(id => reached.indexOf(id));
  assert.ok(places.every((place, i) => place >= 0 && (i === 0 || place > places[i - 1])), "focus order: " + reached.join(" "));

  // Every focusable element has an accessible name.
  const nameless = await page.evaluate(() => [...document.querySelectorAll("button, select, input, canvas:not([aria-hidden])")]
    .filter(e => !e.closest("[hidden]") && !(e.labels && e.labels.length) && !e.getAttribute("aria-label") && !e.textContent.trim()).map(e => e.outerHTML));
  assert.deepEqual(nameless, []);
  assert.deepEqual(wrong, []);
  console.log("the page works");
} finally {
  await browser.close();
  server.kill("SIGTERM");
  for (const each of [profile, folder]) rmSync(each, { recursive: true, force: true });
}
assert.equal(await new Promise(done => server.exitCode === null ? server.once("exit", done) : done(server.exitCode)), 0);
