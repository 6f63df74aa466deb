// Opens URL in Debian's Chromium, lets the page do everything in its window.scenarios, and prints what came of each as
// JSON: {name: {value} or {error}}. Names ending in .test are all on 127.0.0.1.
//
// usage: node drive.js URL SCENARIO...
const { chromium } = require("playwright-core");

const [url, ...names] = process.argv.slice(2);
const PATIENCE_MS = 60000;

async function perform(page, name) {
  try {
    return { value: await page.evaluate((scenario) => window.scenarios[scenario](), name) };
  } catch (error) {
    return { error: String(error) };
  }
}

async function main() {
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--host-resolver-rules=MAP *.test 127.0.0.1", "--disable-dev-shm-usage"],
    chromiumSandbox: process.getuid() !== 0,
    timeout: PATIENCE_MS,
  });
  try {
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    await page.goto(url);
    const results = {};
    for (const name of names) results[name] = await perform(page, name);
    process.stdout.write(JSON.stringify(results) + "\n");
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
