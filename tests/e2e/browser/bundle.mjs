// JsSIP and what it needs, from npm, as the one script that imc's chat page loads, and their licences beside it.
//
//     node bundle.mjs FOLDER      writes FOLDER/jssip.js and FOLDER/jssip-licences.txt   (make page)

import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const HERE = dirname(fileURLToPath(import.meta.url));
const MODULES = join(HERE, 'node_modules');
const PACKAGES = ['jssip', 'debug', 'events', 'ms', 'sdp-transform'];
const folder = process.argv[2];

const about = (name) => JSON.parse(readFileSync(join(MODULES, name, 'package.json'), 'utf-8'));
const licence = (name) => {
  const file = readdirSync(join(MODULES, name)).find((each) => /^licen[cs]e/i.test(each));
  return readFileSync(join(MODULES, name, file), 'utf-8').trim();
};
const { version } = about('jssip');

const made = await build({
  stdin: { contents: "import JsSIP from 'jssip'; export default JsSIP;", resolveDir: HERE },
  absWorkingDir: HERE,
  bundle: true,
  minify: true,
  write: false,
  format: 'esm',
  platform: 'browser',
  target: 'es2020',
  charset: 'utf8',
  legalComments: 'none',
  define: { 'process.env.DEBUG': 'undefined' },
  banner: { js: `// JsSIP ${version} (MIT), made by \`make page\`; licences: jssip-licences.txt` },
});
const texts = PACKAGES.map((name) => `${name} ${about(name).version}\n\n${licence(name)}\n`);
writeFileSync(join(folder, 'jssip.js'), made.outputFiles[0].text);
writeFileSync(join(folder, 'jssip-licences.txt'), texts.join(`\n${'-'.repeat(72)}\n\n`));
