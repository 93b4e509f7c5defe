// A page in a headless Chromium, driven by lines of JSON: {"id", "op", ...} in, "#ID {"value"}" or "#ID {"error"}" out.
//
//     node operate.mjs '{"chromium": "/usr/bin/chromium", "width": 1280, "height": 800, "dark": false, "axe": "…/axe.min.js"}'
//
// What goes wrong in the page by itself (errors of scripts, of the console, breaches of the Content-Security-Policy) is
// kept for the op "problems".

import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const settings = JSON.parse(process.argv[2]);
const problems = [];
const browser = await chromium.launch({ executablePath: settings.chromium });
const context = await browser.newContext({
  viewport: { width: settings.width, height: settings.height },
  colorScheme: settings.dark ? 'dark' : 'light',
  acceptDownloads: true,
});
context.setDefaultTimeout(settings.timeout || 20_000);
await context.addInitScript(() => {
  document.addEventListener('securitypolicyviolation', (event) => {
    console.error(`CSP ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile || ''}:${event.lineNumber || ''}`);
  });
});
const page = await context.newPage();
page.on('pageerror', (error) => problems.push(`error ${error}`));
page.on('console', (line) => line.type() === 'error' && problems.push(`${line.text()} ${line.location().url}`));

const OPS = {
  goto: async ({ url }) => (await page.goto(url))?.status() ?? 0, // 0: another place of the same page
  fill: ({ selector, text }) => page.fill(selector, text),
  click: ({ selector }) => page.click(selector),
  press: ({ key }) => page.keyboard.press(key),
  choose: ({ selector, value }) => page.selectOption(selector, value),
  wait: ({ selector }) => page.waitForSelector(selector),
  gone: ({ selector }) => page.waitForSelector(selector, { state: 'detached' }),
  text: ({ selector }) => page.innerText(selector),
  count: ({ selector }) => page.locator(selector).count(),
  // By the debugger too: a page whose policy forbids eval cannot wait for a text itself.
  until: async ({ script }) => {
    const end = Date.now() + (settings.timeout || 20_000);
    while (!(await page.evaluate(script))) {
      if (Date.now() > end) throw new Error('it did not become true');
      await page.waitForTimeout(50);
    }
  },
  // Unlike the page itself, the tests may: the policy forbids eval, and this goes by the debugger.
  evaluate: ({ script }) => page.evaluate(script),
  cookies: () => context.cookies(),
  size: ({ width, height }) => page.setViewportSize({ width, height }),
  scheme: ({ scheme }) => page.emulateMedia({ colorScheme: scheme }),
  screenshot: ({ path, full }) => page.screenshot({ path, fullPage: Boolean(full) }).then(() => null),
  download: async ({ selector }) => {
    const [file] = await Promise.all([page.waitForEvent('download'), page.click(selector)]);
    return readFileSync(await file.path(), 'utf-8');
  },
  axe: async () => {
    await page.evaluate(readFileSync(settings.axe, 'utf-8'));
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`);
  },
  problems: () => problems.splice(0),
};

process.stdout.write('#0 {"value": null}\n');
for await (const line of createInterface({ input: process.stdin })) {
  const { id, op, ...more } = JSON.parse(line);
  let answer;
  try {
    answer = { value: (await OPS[op](more)) ?? null };
  } catch (error) {
    answer = { error: String(error).slice(0, 2000) };
  }
  let text;
  try {
    text = JSON.stringify(answer);
  } catch {
    text = '{"value": null}';
  }
  process.stdout.write(`#${id} ${text}\n`);
}
await browser.close();
process.exit(0);
