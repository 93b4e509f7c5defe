// imc's own chat page in a headless Chromium, driven from a test: each line of standard input is one step in JSON, each
// answered by a line "#ID JSON" ({"value": …} or {"error": "…"}).
//
//     node page.mjs CHROMIUM
//
// A step: {"id": 1, "tab": "alice", "do": "click", "at": {"role": "button", "name": "Send"}, …}. `at` is a role and a name,
// a label, or css, and may have text that it holds. A console error, a violation of the Content-Security-Policy and an exception in
// the page are problems, which `problems` lists.

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const MODULES = join(dirname(fileURLToPath(import.meta.url)), 'node_modules');
const WITHIN = 15_000;
const browser = await chromium.launch({ executablePath: process.argv[2] });
const tabs = new Map();

async function open({ tab, url, width = 1100, height = 720, scheme = 'light', touch = false, insecure = false }) {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: scheme,
    hasTouch: touch,
    isMobile: touch,
    deviceScaleFactor: 1,
    ignoreHTTPSErrors: insecure, // the tests' own authority is none of the browser's
    locale: 'en-GB',
    timezoneId: 'UTC',
    reducedMotion: 'reduce',
  });
  const page = await context.newPage();
  page.setDefaultTimeout(WITHIN);
  const problems = [];
  page.on('pageerror', (error) => problems.push(`exception: ${error.stack || error}`));
  page.on('console', (line) => line.type() === 'error' && problems.push(`console: ${line.text()}`));
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) =>
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`)
    );
  });
  tabs.set(tab, { page, problems, context });
  await page.goto(url);
}

function find({ page }, { role, name, exact, label, css, text, nth }) {
  let found;
  if (role) found = page.getByRole(role, name === undefined ? {} : { name, exact: !!exact });
  else if (label) found = page.getByLabel(label, { exact: true });
  else found = page.locator(css);
  if (text !== undefined) found = found.filter({ hasText: text });
  return found.nth(nth || 0);
}

const steps = {
  click: (tab, { at }) => find(tab, at).click(),
  check: (tab, { at }) => find(tab, at).check(),
  fill: (tab, { at, value }) => find(tab, at).fill(value),
  select: (tab, { at, value }) => find(tab, at).selectOption(value),
  type: (tab, { value }) => tab.page.keyboard.type(value),
  press: (tab, { value }) => tab.page.keyboard.press(value),
  see: (tab, { at }) => find(tab, at).waitFor({ state: 'visible' }),
  gone: (tab, { at }) => find(tab, at).waitFor({ state: 'hidden' }),
  text: (tab, { at }) => find(tab, at).innerText(),
  texts: (tab, { at }) => tab.page.locator(at.css).allInnerTexts(),
  title: (tab, { value }) => tab.page.waitForFunction((wanted) => document.title === wanted, value).then(() => null),
  focused: (tab) => tab.page.evaluate(() => document.activeElement.id || document.activeElement.textContent),
  run: (tab, { value }) => tab.page.evaluate(value),
  shot: (tab, { value }) => tab.page.screenshot({ path: value }).then(() => null),
  reload: (tab) => tab.page.reload().then(() => null),
  problems: (tab) => tab.problems.splice(0),
  close: (tab) => tab.context.close(),
  async axe(tab) {
    const source = readFileSync(join(MODULES, 'axe-core', 'axe.min.js'), 'utf-8');
    const known = tab.problems.length;
    await tab.page.evaluate(source);
    const { violations } = await tab.page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
    tab.problems.length = known;
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(' | ')}`);
  },
};

console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const step = JSON.parse(line);
  let answer;
  try {
    const value = step.do === 'open' ? await open(step) : await steps[step.do](tabs.get(step.tab), step);
    answer = { value: value === undefined ? null : value };
  } catch (error) {
    answer = { error: String(error) };
  }
  console.log(`#${step.id} ${JSON.stringify(answer)}`);
}
await browser.close();
