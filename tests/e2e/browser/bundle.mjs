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

// JsSIP hashes a text as if each half of a surrogate pair were a character of its own, but sends it in UTF-8: with
// auth-int no text with an emoji would be let in.
const ENCODE = /function utf8Encode\(str\) \{[^]*?return utftext;\s*\}/;
const inUtf8 = {
  name: 'digest in UTF-8',
  setup(building) {
    building.onLoad({ filter: /jssip\/lib\/Utils\.js$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf-8');
      if (!ENCODE.test(text)) throw new Error(`${path}: utf8Encode is another one; see whether it is right now`);
      const mended = 'function utf8Encode(str) { return Array.from(new TextEncoder().encode(str), (b) => String.fromCharCode(b)).join(""); }';
      return { contents: text.replace(ENCODE, () => mended), loader: 'js' };
    });
  },
};

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
  plugins: [inUtf8],
  define: { 'process.env.DEBUG': 'undefined' },
  banner: { js: `// JsSIP ${version} (MIT), made by \`make page\`; licences: jssip-licences.txt` },
});
const texts = PACKAGES.map((name) => `${name} ${about(name).version}\n\n${licence(name)}\n`);
writeFileSync(join(folder, 'jssip.js'), made.outputFiles[0].text);
writeFileSync(join(folder, 'jssip-licences.txt'), texts.join(`\n${'-'.repeat(72)}\n\n`));
