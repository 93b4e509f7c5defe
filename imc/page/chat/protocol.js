// Texts of a room into structures, and back: what docs/reference/notices.md and room-commands.md say, and what Kamailio's
// imc module writes. No DOM, no network: tests run it in Node.
//
// All is tolerant: what cannot be read comes out as a notice with its text, and nothing throws.

const LINE_END = /\r\n|[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]/;
export const COMPOSING = 'application/im-iscomposing+xml'; // RFC 3994
export const CPIM = 'message/cpim'; // RFC 3862
export const IMDN = 'message/imdn+xml'; // RFC 5438
const RANKS = { '*': 'owner', '~': 'admin' };

// "chat-x@example.com" of any way to write an address; "" where it is none.
export function address(text, host = '') {
  const found = /^<?(?:sips?:)?([^@<>\s;?[\]]+)(?:@([^<>\s;?\]]+|\[[^\]]+\]))?[^<>\s]*>?$/.exec(text.trim());
  if (!found) return '';
  const place = (found[2] || host).replace(/:\d+$/, '').toLowerCase();
  return place ? `${found[1]}@${place}` : '';
}

export const userOf = (aor) => aor.slice(0, aor.lastIndexOf('@'));

// Whether `user` is that of a room: a pattern with * and ?, as [imc] room_pattern.
export function isRoom(aor, pattern) {
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*').replace(/\?/g, '.');
  return new RegExp(`^${escaped}$`).test(userOf(aor));
}

export const essence = (type) => (type || 'text/plain').split(';')[0].trim().toLowerCase();

// What one MESSAGE from a room is: { kind, … }, kind one of talk, notice, composing, reports.
export function readMessage({ type, body, event, display }) {
  const kind = essence(type);
  if (kind === COMPOSING) return { kind: 'composing', label: display || '', ...readComposing(body) };
  if (kind === CPIM) return readCpimMessage(body, display);
  if (kind === IMDN) return { kind: 'reports', reports: readReports(body) };
  if (kind !== 'text/plain') return { kind: 'talk', label: display || '', text: `(${kind}, ${body.length} characters)` };
  if (event && event !== 'message') return { kind: 'notice', event, text: body };
  const talk = readTalk(body, display);
  return talk || { kind: 'notice', event: event || guessEvent(body), text: body };
}

// "[label]: text", each further line marked "| ".
export function readTalk(body, display) {
  let label = display;
  let text = null;
  if (display && body.startsWith(`[${display}]: `)) text = body.slice(display.length + 4);
  else {
    const found = /^\[([^\r\n]{1,200}?)\]: /.exec(body);
    if (!found) return null;
    label = found[1];
    text = body.slice(found[0].length);
  }
  const lines = text.split(LINE_END).map((line, index) => (index && line.startsWith('| ') ? line.slice(2) : line));
  return { kind: 'talk', label: label.replace(/^sips?:/, ''), text: lines.join('\n') };
}

// Where no header tells: the notices of Kamailio's module, by their words.
const WORDS = [
  [/ invites you to /, 'invitation'],
  [/^Rooms:/, 'room-list'],
  [/^Members:/, 'member-list'],
  [/ has joined the room/, 'member-joined'],
  [/ has left the room/, 'member-left'],
  [/You have been removed from the room/, 'you-were-removed'],
  [/Room has been destroyed/, 'room-destroyed'],
  [/Room was created/, 'room-created'],
  [/You are in the room already|and you are a member/, 'already-joined'],
  [/ attempted to join the room/, 'join-attempted'],
  [/Invalid command/, 'unknown-command'],
];

export function guessEvent(text) {
  const found = WORDS.find(([pattern]) => pattern.test(text));
  return found ? found[1] : 'notice';
}

// Lists

const linesOf = (text) => text.split(LINE_END).map((line) => line.trimEnd());

// [{ aor, role }] of the answer to #members.
export function readMembers(text, host) {
  const found = [];
  for (const line of linesOf(text).slice(1)) {
    const parts = /^\s*([*~]?)\s*\[?([^\s\]()]+)\]?\s*(?:\((\w+)\))?$/.exec(line);
    const aor = parts && address(parts[2], host);
    if (aor) found.push({ aor, role: parts[3] || RANKS[parts[1]] || 'member' });
  }
  return found;
}

// [{ aor, isPrivate, role }] of the answer to #rooms.
export function readRooms(text, host) {
  const found = [];
  for (const line of linesOf(text).slice(1)) {
    const parts = /^\s*\[?([^\s\]()]+)\]?\s*(?:[([]([^)\]]*)[)\]])?$/.exec(line);
    const aor = parts && address(parts[1], host);
    if (!aor) continue;
    const words = (parts[2] || '').split(/[,\s]+/);
    const role = words.find((word) => ['owner', 'admin', 'member', 'invited'].includes(word)) || '';
    found.push({ aor, isPrivate: words.includes('private'), role });
  }
  return found;
}

// { page, pages } of one text of #history.
export function historyPage(text) {
  const number = /\((\d+)\/(\d+)\)$/.exec(linesOf(text)[0]);
  return { page: number ? Number(number[1]) : 1, pages: number ? Number(number[2]) : 1 };
}

// [{ label, time, text }] of the texts of one #history, in their order; time in milliseconds. A message may go on in the
// next text.
export function readHistory(...texts) {
  const entries = [];
  for (const line of texts.flatMap((text) => linesOf(text).slice(1))) {
    const found = /^\[(.+?) (\d{4}-\d\d-\d\d) (\d\d:\d\d)\]: (.*)$/.exec(line);
    if (found) entries.push({ label: found[1], time: Date.parse(`${found[2]}T${found[3]}:00Z`), text: found[4] });
    else if (line.startsWith('| ') && entries.length) entries[entries.length - 1].text += `\n${line.slice(2)}`;
  }
  return entries;
}

// Who invites, of an invitation's words; "" where they do not say.
export function readInviter(text) {
  const found = /(?:^|[\s[])([^\s[\]]+@[^\s[\]]+)\]? invites you/.exec(text);
  return found ? address(found[1]) : '';
}

// isComposing

export function readComposing(body) {
  const state = /<(?:\w+:)?state>\s*(\w+)\s*</.exec(body);
  const refresh = /<(?:\w+:)?refresh>\s*(\d+)\s*</.exec(body);
  return { isActive: !!state && state[1] === 'active', refresh: refresh ? Number(refresh[1]) : 120 };
}

export function writeComposing(isActive, refresh) {
  const more = isActive ? `<refresh>${refresh}</refresh>` : '';
  return (
    '<?xml version="1.0" encoding="UTF-8"?>\r\n<isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing">' +
    `<state>${isActive ? 'active' : 'idle'}</state><contenttype>text/plain</contenttype>${more}</isComposing>`
  );
}

// message/cpim and IMDN

export function readCpim(body) {
  const [head, inner, ...rest] = body.replace(/\r?\n/g, '\n').split('\n\n');
  const headers = {};
  for (const line of head.split('\n')) {
    const found = /^([^:\s]+):(?:;\S*)? ?(.*)$/.exec(line);
    if (found && !(found[1] in headers)) headers[found[1]] = found[2];
  }
  const type = /^content-type:\s*(.*)$/im.exec(inner || '');
  return { headers, type: type ? type[1] : 'text/plain', payload: rest.join('\n\n') };
}

const formalName = (value) => {
  const found = /^"((?:[^"\\]|\\.)*)"/.exec(value || '');
  return found ? found[1].replace(/\\(.)/g, '$1') : '';
};

const imdnName = (headers, name) => headers[`imdn.${name}`] || '';

function readCpimMessage(body, display) {
  const { headers, type, payload } = readCpim(body);
  const kind = essence(type);
  if (kind === IMDN || kind === 'multipart/mixed') return { kind: 'reports', reports: readReports(payload) };
  const label = formalName(headers.From) || display || address((/<([^>]*)>/.exec(headers.From || '') || ['', ''])[1]);
  return {
    kind: 'talk',
    label,
    text: kind === 'text/plain' ? payload : `(${kind}, ${payload.length} characters)`,
    messageId: imdnName(headers, 'Message-ID'),
    wants: imdnName(headers, 'Disposition-Notification')
      .split(',')
      .map((each) => each.trim()),
  };
}

// A text that asks what becomes of it.
export function writeCpim({ from, to, text, messageId, time }) {
  return [
    `From: <sip:${from}>`,
    `To: <sip:${to}>`,
    `DateTime: ${time.toISOString().replace(/\.\d+Z/, 'Z')}`,
    'NS: imdn <urn:ietf:params:imdn>',
    `imdn.Message-ID: ${messageId}`,
    'imdn.Disposition-Notification: positive-delivery, display',
    '',
    'Content-Type: text/plain; charset=utf-8',
    '',
    text,
  ].join('\r\n');
}

const escapeXml = (text) => text.replace(/[<>&"']/g, (each) => `&#${each.charCodeAt(0)};`);

export function writeReport({ messageId, room, recipient, isDisplay, time }) {
  const name = isDisplay ? 'display' : 'delivery';
  return (
    '<?xml version="1.0" encoding="UTF-8"?>\r\n<imdn xmlns="urn:ietf:params:xml:ns:imdn">' +
    `<message-id>${escapeXml(messageId)}</message-id><datetime>${time.toISOString()}</datetime>` +
    `<recipient-uri>sip:${escapeXml(recipient)}</recipient-uri>` +
    `<original-recipient-uri>sip:${escapeXml(room)}</original-recipient-uri>` +
    `<${name}-notification><status><${isDisplay ? 'displayed' : 'delivered'}/></status></${name}-notification></imdn>`
  );
}

// [{ messageId, recipient, isDisplay }] of one document, or of several in multipart/mixed.
export function readReports(text) {
  const found = [];
  for (const [document] of text.matchAll(/<(?:\w+:)?imdn[\s>][^]*?<\/(?:\w+:)?imdn>/g)) {
    const id = /<(?:\w+:)?message-id>\s*([^<]*?)\s*</.exec(document);
    const recipient = /<(?:\w+:)?recipient-uri>\s*([^<]*?)\s*</.exec(document);
    const isDisplay = /<(?:\w+:)?displayed\s*\//.test(document);
    if (!id || !(isDisplay || /<(?:\w+:)?delivered\s*\//.test(document))) continue;
    found.push({ messageId: id[1], recipient: recipient ? address(recipient[1]) : '', isDisplay });
  }
  return found;
}
