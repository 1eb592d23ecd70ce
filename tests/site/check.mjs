// Opens each page of the built site in headless Chromium, offline, at three widths, light and dark:
//
//     npm install && node check.mjs SITE [PAGE ...]
//
// It prints a line for each defect and ends with status 1 if there is one, or no browser. CHROMIUM=path
// names a browser; else one on PATH is taken, else the one that npm brings (Linux x64). Links lead to
// files and, of the pages that are opened, to their headings.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import npmChromium from "@sparticuz/chromium";
import puppeteer from "puppeteer-core";

const WIDTHS = [390, 1280, 1600];
const ONE_ROW = 1280; // from this width on the bar is one row, not a menu
const SEARCHES = {
  "large data": "large-data.html",
  "standard errors": "inference.html",
  "missing values": "missing-values.html",
  "save and load": "save-load.html",
};

const [folder, ...only] = process.argv.slice(2);
const site = resolve(folder);
const files = readdirSync(site, { recursive: true }).filter((name) => name.endsWith(".html"));
const pages = only.length ? only : files.filter((name) => !name.startsWith("_static")).sort();
const defects = new Set();
const links = []; // {page, url} of all internal links
const anchors = new Map(); // page's file: its ids
let current = "";
const defect = (text) => defects.add(`${current}: ${text}`);

function onPath() {
  for (const name of ["chromium", "chromium-browser", "google-chrome"]) {
    try {
      return execFileSync("which", [name], { encoding: "utf8", stdio: "pipe" }).trim();
    } catch {} // not this name
  }
}

// ---- what is looked at in a page; these functions run in the browser ----

function look() {
  const article = document.querySelector("article") ?? document.body;
  const found = [];
  const ids = [...document.querySelectorAll("[id], a[name]")].map((e) => e.id || e.name);
  const hrefs = [...document.querySelectorAll("a[href]")].map((a) => a.href);
  for (const math of document.querySelectorAll(".math"))
    if (!math.querySelector("mjx-container")) found.push(`formula not set: ${math.textContent}`);
  for (const error of document.querySelectorAll("mjx-merror"))
    found.push(`formula with an error: ${error.textContent}`);
  const texts = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const { data, parentElement } = texts.currentNode;
    if (parentElement.closest("script, style, pre, code, mjx-container")) continue;
    if (/\$[^$]+\$|\\[([]|\\[a-zA-Z]{2,}/.test(data)) found.push(`raw TeX: ${data.trim()}`);
  }
  const copied = [];
  document.addEventListener("copy", () => copied.push(document.activeElement.value));
  const buttons = document.querySelectorAll("button.copybtn");
  buttons.forEach((button) => button.click());
  if (copied.length < buttons.length) found.push("a copy button does not copy");
  if (copied.some((text) => /^(>>>|\.\.\.) /m.test(text))) found.push("a prompt is copied");
  for (const image of document.images)
    if (!image.complete || !image.naturalWidth) found.push(`image not loaded: ${image.src}`);
  return { found, ids, hrefs };
}

function lookAtLayout(oneRow, dark) {
  const found = [];
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth > clientWidth) found.push(`the page is ${scrollWidth} px wide`);
  const article = document.querySelector("article") ?? document.body;
  const { right } = article.getBoundingClientRect();
  const scrolls = (box) =>
    box !== article && (getComputedStyle(box).overflowX !== "visible" || scrolls(box.parentElement));
  const wide = [...article.querySelectorAll("*")]
    .find((box) => box.getBoundingClientRect().right > right + 1 && !scrolls(box.parentElement));
  if (wide) found.push(`<${wide.localName} class="${wide.className}"> is wider than the text`);
  const shade = (element) =>
    Math.min(...getComputedStyle(element).backgroundColor.match(/[\d.]+/g).slice(0, 3));
  if (dark !== shade(document.body) < 128) found.push("wrong background");
  for (const image of document.querySelectorAll("article img[src$='.png']"))
    if (dark && shade(image) < 128) found.push(`picture without a light ground: ${image.src}`);
  if (!oneRow || !document.querySelector(".bd-header")) return found;
  const items = [...document.querySelectorAll(".bd-header .navbar-nav > li")]
    .filter((item) => item.getClientRects().length);
  const middles = [...items, ...document.querySelectorAll(".navbar-brand, .search-button__button")]
    .map((item) => item.getBoundingClientRect())
    .filter((box) => box.width)
    .map((box) => box.top + box.height / 2);
  const names = items.map((item) => item.innerText.trim());
  for (const name of ["API", "Examples"])
    if (!names.includes(name)) found.push(`${name} is not in the bar`);
  if (Math.max(...middles) - Math.min(...middles) > 10) found.push("the bar has two rows");
  return found;
}

// ---- the visit ----

async function visit(tab, page) {
  await tab.goto(pathToFileURL(resolve(site, page)).href, { waitUntil: "load" });
  await tab.evaluate(async () => {
    for (const image of document.images) image.loading = "eager";
    await Promise.all([...document.images].map((image) => image.decode().catch(() => {})));
    await window.MathJax?.startup?.promise;
  });
  const { found, ids, hrefs } = await tab.evaluate(look);
  anchors.set(resolve(site, page), new Set(ids));
  for (const url of new Set(hrefs)) if (url.startsWith("file:")) links.push({ page, url });
  found.forEach(defect);
  for (const scheme of ["light", "dark"]) {
    await tab.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    await tab.waitForFunction((name) => document.documentElement.dataset.theme === name, {}, scheme);
    for (const width of WIDTHS) {
      await tab.setViewport({ width, height: 900 });
      const seen = await tab.evaluate(lookAtLayout, width >= ONE_ROW, scheme === "dark");
      for (const text of seen) defect(`${text} (${width} px, ${scheme})`);
    }
  }
}

function follow({ page, url }) {
  current = page;
  const { hash } = new URL(url);
  const file = fileURLToPath(url.split("#")[0].split("?")[0]);
  const ids = anchors.get(file);
  if (!existsSync(file)) defect(`broken link: ${url}`);
  else if (ids && hash.length > 1 && !ids.has(decodeURIComponent(hash.slice(1))))
    defect(`link to no heading: ${url}`);
}

async function search(tab, words, wanted) {
  current = `search for "${words}"`;
  const query = `?q=${encodeURIComponent(words)}`;
  await tab.goto(pathToFileURL(resolve(site, "search.html")).href + query);
  const first = "#search-results li a";
  const link = await tab.waitForSelector(first, { timeout: 20_000 }).catch(() => null);
  const href = link ? await link.evaluate((a) => a.href) : "nothing";
  if (!href.includes(wanted)) defect(`finds ${href} first, not ${wanted}`);
}

const given = process.env.CHROMIUM ?? onPath();
const browser = await puppeteer.launch({
  executablePath: given ?? (await npmChromium.executablePath()),
  args: puppeteer.defaultArgs({ args: given ? ["--no-sandbox"] : npmChromium.args }),
  headless: "shell",
});
const tab = await browser.newPage();
tab.on("request", (request) => {
  if (!/^(file|data|blob):/.test(request.url())) defect(`asks another host: ${request.url()}`);
});
const asked = () => current.startsWith("search for"); // read from files, results have no summaries
tab.on("requestfailed", (request) => asked() || defect(`not found: ${request.url()}`));
tab.on("pageerror", (error) => asked() || defect(`error of a script: ${error}`));
await tab.setOfflineMode(true);
for (current of pages) await visit(tab, current);
for (const [words, wanted] of Object.entries(SEARCHES)) await search(tab, words, wanted);
await browser.close();
links.forEach(follow);

defects.forEach((text) => console.log(text));
console.log(`${pages.length} pages, ${links.length} links, ${defects.size} defects`);
if (defects.size || !pages.length) process.exitCode = 1;
