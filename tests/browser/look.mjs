// Opens a page in a real browser and prints, as one line of JSON, what a person would find.
// Usage: node look.mjs MODULES CHROMIUM URL WIDTH SCHEME [SCREENSHOT]
//   MODULES     folder with node_modules of package.json
//   WIDTH       of the window, in CSS pixels
//   SCHEME      light or dark
//   SCREENSHOT  file to write the whole page to, as PNG
import { createRequire } from 'node:module';

const [modules, chromium, url, width, scheme, screenshot] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const puppeteer = require('puppeteer-core');

const browser = await puppeteer.launch({
  executablePath: chromium,
  // Chromium's sandbox does not work for root, nor in many containers. The page is ours.
  args: ['--no-sandbox', '--disable-gpu', '--force-color-profile=srgb'],
});
try {
  const page = await browser.newPage();
  const requests = [];
  const messages = [];
  page.on('request', (request) => requests.push(request.url()));
  page.on('console', (message) => messages.push(message.text()));
  page.on('pageerror', (error) => messages.push(String(error)));
  await page.setViewport({ width: Number(width), height: 900 });
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
  const response = await page.goto(url, { waitUntil: 'networkidle0', timeout: 30_000 });
  const seen = await page.evaluate(() => ({
    title: document.title,
    text: document.body.innerText,
    headings: [...document.querySelectorAll('h1,h2,h3')].map((it) => `${it.tagName} ${it.innerText}`),
    scripts: document.scripts.length,
    // What a person would have to scroll sideways for.
    overflow: document.documentElement.scrollWidth - window.innerWidth,
  }));
  if (screenshot) {
    await page.screenshot({ path: screenshot, fullPage: true });
  }
  // Every element that can be reached by the Tab key, in order.
  const focused = [];
  for (let n = 0; n < 50; n += 1) {
    await page.keyboard.press('Tab');
    const name = await page.evaluate(() => document.activeElement.innerText ?? '');
    const isBody = await page.evaluate(() => document.activeElement === document.body);
    if (isBody) break;
    focused.push(name);
  }
  // axe-core is evaluated in the page by the browser's debugger, which no content policy forbids.
  await page.evaluate(require('axe-core').source);
  const axe = await page.evaluate(() => globalThis.axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
  }));
  const violations = axe.violations.map((it) => ({
    rule: it.id,
    help: it.help,
    nodes: it.nodes.map((node) => node.html.slice(0, 200)),
  }));
  console.log(JSON.stringify({
    status: response.status(),
    ...seen,
    focused,
    requests: requests.filter((it) => it !== url),
    messages,
    violations,
    rules: axe.passes.length,
  }));
} finally {
  await browser.close();
}
