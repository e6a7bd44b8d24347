// Scans the addresses of a file, two at a time, with Playwright and @axe-core/playwright, the engine of
// github/accessibility-scanner: each page in a new context. That scanner starts a browser for each page; here one serves
// all, which is faster. Prints the number of pages scanned. Run it where the packages are installed.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.cwd()}/`);
const { chromium } = require("playwright-core");
const { AxeBuilder } = require("@axe-core/playwright");
const [program, tags, list] = process.argv.slice(2);
const left = readFileSync(list, "utf8").trim().split("\n");
const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox"] });
let scanned = 0;
const scan = async () => {
  while (left.length > 0) {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(left.shift(), { timeout: 120_000 });
    const report = await new AxeBuilder({ page }).withTags(tags.split(",")).analyze();
    scanned += report.passes.length > 0;
    await context.close();
  }
};
await Promise.all([scan(), scan()]);
await browser.close();
console.log(scanned);
