// JsSIP in a headless Chromium, driven at its prompt as the other user agents are: lines in, text out.
//
//     node agent.mjs '{"chromium": "/usr/bin/chromium", "url": "wss://localhost:443", "spki": "…", "page": "https://…",
//                      "uri": "sip:alice@example.com", "password": "…", "room": "sip:chat-1@example.com"}'
//
// Each line of standard input is sent to the room; "/quit" unregisters and ends, "/gone" closes the page as its user
// might. Printed are: registered, refused STATUS, closed, sent STATUS, and for each message FROM: "TEXT", its line ends
// as \n.

import { readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const FOLDER = join(dirname(fileURLToPath(import.meta.url)), 'node_modules');
const PACKAGES = ['jssip', 'debug', 'events', 'ms', 'sdp-transform'];
const settings = JSON.parse(process.argv[2]);
const say = (line) => process.stdout.write(`${line}\n`);

// The packages are CommonJS: all their files, and a require() that finds them, make the script of the page.
function* files(folder) {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) yield* files(path);
    else if (name.endsWith('.js') || name === 'package.json') yield path;
  }
}

function bundle() {
  const modules = [];
  const mains = {};
  for (const name of PACKAGES) {
    const about = JSON.parse(readFileSync(join(FOLDER, name, 'package.json'), 'utf-8'));
    const main = typeof about.browser === 'string' ? about.browser : about.main || 'index.js';
    mains[name] = normalize(join(name, main));
    for (const path of files(join(FOLDER, name))) {
      const text = readFileSync(path, 'utf-8');
      const body = path.endsWith('.json') ? `module.exports = ${text};` : text;
      modules.push(`${JSON.stringify(path.slice(FOLDER.length + 1))}: ${JSON.stringify(body)}`);
    }
  }
  return `(() => {
    const sources = {${modules.join(',\n')}};
    const mains = ${JSON.stringify(mains)};
    const made = {};
    const find = (from, name) => {
      if (!name.startsWith('.')) return mains[name];
      const parts = from.split('/').slice(0, -1);
      for (const part of name.split('/')) {
        if (part === '..') parts.pop();
        else if (part !== '.') parts.push(part);
      }
      const path = parts.join('/');
      return [path, path + '.js', path + '.json', path + '/index.js'].find((each) => each in sources);
    };
    const load = (path) => {
      if (!(path in made)) {
        made[path] = { exports: {} };
        const run = new Function('module', 'exports', 'require', 'process', sources[path]);
        run(made[path], made[path].exports, (name) => load(find(path, name)), { env: {} });
      }
      return made[path].exports;
    };
    globalThis.JsSIP = load(mains.jssip);
  })();`;
}

// What runs in the page.
function start({ url, uri, password }) {
  const { JsSIP, say } = globalThis;
  const ua = new JsSIP.UA({
    sockets: [new JsSIP.WebSocketInterface(url)],
    uri,
    password,
    register_expires: 300,
    connection_recovery_min_interval: 1,
    connection_recovery_max_interval: 1,
  });
  ua.on('registered', () => say('registered'));
  ua.on('registrationFailed', ({ response, cause }) => say(`refused ${response ? response.status_code : cause}`));
  ua.on('disconnected', () => say('closed'));
  ua.on('newMessage', ({ originator, message, request }) => {
    if (originator !== 'remote') return;
    const { scheme, user, host } = message.remote_identity.uri;
    say(`${scheme}:${user}@${host}: "${request.body.replace(/\r?\n/g, '\\n')}"`);
  });
  ua.start();
  globalThis.ua = ua;
}

function send({ room, text }) {
  const { ua, say } = globalThis;
  ua.sendMessage(room, text, {
    eventHandlers: {
      succeeded: ({ response }) => say(`sent ${response.status_code}`),
      failed: ({ response, cause }) => say(`sent ${response ? response.status_code : cause}`),
    },
  });
}

const browser = await chromium.launch({
  executablePath: settings.chromium,
  args: [
    `--ignore-certificate-errors-spki-list=${settings.spki}`,
    // The page is a public one to Chromium, and the server on loopback: a user would be asked, once.
    '--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets',
  ],
});
const page = await browser.newPage();
page.on('pageerror', (error) => say(`error ${error}`));
page.on('console', (line) => line.type() === 'error' && say(`console ${line.text()}`));
await page.route(`${settings.page}/**`, (route) =>
  route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>chat</title>' })
);
await page.exposeFunction('say', say);
await page.goto(`${settings.page}/`);
await page.addScriptTag({ content: bundle() });
await page.evaluate(start, settings);

for await (const text of createInterface({ input: process.stdin })) {
  if (text === '/gone') await page.close();
  else if (text === '/quit') {
    await page.evaluate(() => {
      const ended = new Promise((resolve) => globalThis.ua.on('unregistered', resolve));
      globalThis.ua.unregister();
      return ended;
    });
    break;
  } else await page.evaluate(send, { room: settings.room, text });
}
await browser.close();
process.exit(0);
