// The chat page without a browser: its texts, its state, and what it does when answers do not come. Run by test_chat.py.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Chat } from '../../imc/page/chat/chat.js';
import * as protocol from '../../imc/page/chat/protocol.js';
import { State } from '../../imc/page/chat/state.js';

const ROOM = 'chat-x@example.com';
const ME = 'alice@example.com';
const CONFIG = { domains: ['example.com'], manager: 'chat-manager@example.com', start: '#', rooms: 'chat-*', server: null };

const read = (body, more = {}) => protocol.readMessage({ type: 'text/plain', body, event: 'message', display: '', ...more });

test('what members say', () => {
  assert.deepEqual(read('[bob]: one\r\n| two\r\n| | three'), { kind: 'talk', label: 'bob', text: 'one\ntwo\n| three' });
  assert.equal(read('[a]: b]: c', { display: 'a]: b' }).text, 'c');
  assert.equal(read('[bob]: [alice]: hi').text, '[alice]: hi');
  assert.equal(read('x', { type: 'image/png', display: 'bob' }).text, '(image/png, 1 characters)');
});

test('notices are told apart by their header, whatever they say', () => {
  assert.deepEqual(read('[bob]: hi', { event: 'member-joined' }), { kind: 'notice', event: 'member-joined', text: '[bob]: hi' });
  assert.equal(read('no label at all').kind, 'notice');
  const kamailio = (body) => read(body, { event: '' }).event;
  assert.equal(kamailio('*** [sip:bob@example.com] has joined the room'), 'member-joined');
  assert.equal(kamailio('*** [sip:bob@example.com] invites you to join the room chat-x'), 'invitation');
  assert.equal(kamailio('*** Something new'), 'notice');
  assert.equal(protocol.readInviter('*** [sip:bob@example.com] invites you to join the room'), 'bob@example.com');
  assert.equal(protocol.readInviter('bob@example.com invites you to the private room chat-x@h.'), 'bob@example.com');
  assert.equal(read('[sip:bob@example.com]: *** hi', { event: '' }).label, 'bob@example.com');
});

test('addresses', () => {
  for (const [text, found] of [
    ['bob', 'bob@example.com'], ['sip:bob@Example.com:5060;x=y', 'bob@example.com'], ['<sip:bob@h>', 'bob@h'], ['a b', ''],
    ['', ''], ['@h', ''], ['<a b>', ''],
  ]) assert.equal(protocol.address(text, 'example.com'), found, text);
  assert.ok(protocol.isRoom('chat-x@h', 'chat-*') && !protocol.isRoom('xchat-x@h', 'chat-*') && protocol.isRoom('r.1@h', 'r.?'));
});

test('lists of imc, and of Kamailio', () => {
  assert.deepEqual(
    protocol.readMembers('In the room chat-x@h:\r\n*alice@h (owner)\r\n~bob@h (admin)\r\ncarol@h\r\nand 7 more', 'h'),
    [{ aor: 'alice@h', role: 'owner' }, { aor: 'bob@h', role: 'admin' }, { aor: 'carol@h', role: 'member' }]
  );
  assert.deepEqual(
    protocol.readMembers('Members:\n*[sip:alice@h]\n~[bob]\n[carol]\n', 'h').map(({ aor, role }) => `${aor} ${role}`),
    ['alice@h owner', 'bob@h admin', 'carol@h member']
  );
  assert.deepEqual(protocol.readRooms('Rooms:\r\nchat-a@h\r\nchat-b@h (private, owner)\r\nchat-c@h (invited)\r\nand more', 'h'), [
    { aor: 'chat-a@h', isPrivate: false, role: '' },
    { aor: 'chat-b@h', isPrivate: true, role: 'owner' },
    { aor: 'chat-c@h', isPrivate: false, role: 'invited' },
  ]);
  assert.deepEqual(protocol.readRooms('There are no rooms to see.', 'h'), []);
});

test('history', () => {
  const text = 'What was said in the room chat-x@h: (2/3)\r\n[alice 2026-11-30 14:05]: shall we\r\n| meet?\r\n[b] c 2026-11-30 14:06]: x';
  assert.deepEqual(protocol.historyPage(text), { page: 2, pages: 3 });
  assert.deepEqual(protocol.readHistory(text, 'What was said in the room chat-x@h: (3/3)\r\n| y\r\n| z'), [
    { label: 'alice', time: Date.UTC(2026, 10, 30, 14, 5), text: 'shall we\nmeet?' },
    { label: 'b] c', time: Date.UTC(2026, 10, 30, 14, 6), text: 'x\ny\nz' },
  ]);
});

test('message/cpim and what became of it', () => {
  const body = protocol.writeCpim({ from: ME, to: ROOM, text: 'a\n\nb', messageId: 'id<1>', time: new Date(0) });
  const came = read(body.replace('From: <', 'From: "al \\"x\\"" <'), { type: 'message/cpim' });
  assert.equal(came.label, 'al "x"');
  assert.deepEqual([came.text, came.messageId, came.wants], ['a\n\nb', 'id<1>', ['positive-delivery', 'display']]);
  const about = { messageId: 'x1', room: ROOM, recipient: 'bob@h', time: new Date(0) };
  const [one, two] = [false, true].map((isDisplay) => protocol.writeReport({ ...about, isDisplay }));
  assert.deepEqual(protocol.readReports(`--b\r\n\r\n${one}\r\n--b\r\n\r\n${two}\r\n--b--`), [
    { messageId: 'x1', recipient: 'bob@h', isDisplay: false },
    { messageId: 'x1', recipient: 'bob@h', isDisplay: true },
  ]);
  const written = protocol.writeComposing(true, 60);
  assert.deepEqual(protocol.readComposing(written), { isActive: true, refresh: 60 });
});

test('nothing that comes makes the page stumble', () => {
  const pieces = ['[', ']: ', 'bob', '\r\n', '| ', '<imdn>', '</imdn>', '(1/0)', '\0', ' 2026-13-40 99:99]: ', '"', '\n\n', 'From: '];
  let seed = 1;
  const next = () => (seed = (seed * 48271) % 2147483647);
  for (let round = 0; round < 2000; round += 1) {
    const body = Array.from({ length: next() % 12 }, () => pieces[next() % pieces.length]).join('');
    for (const type of ['text/plain', 'message/cpim', 'message/imdn+xml', protocol.COMPOSING, 'x']) read(body, { type });
    protocol.readHistory(body);
    protocol.readMembers(body, 'h');
    protocol.readRooms(body, 'h');
  }
});

// A server that does what the test says.
class FakeSession {
  constructor() {
    this.sent = [];
    this.isOnline = true;
    this.results = [];
  }

  async send(to, body, { began = () => {} } = {}) {
    const callId = `call-${this.sent.length}`;
    this.sent.push({ to, body, callId });
    if (this.isOnline) began(callId);
    const result = this.results.shift();
    if (typeof result === 'function') result(callId);
    return { status: this.isOnline ? 200 : 0, reason: '', event: '', callId, ...(typeof result === 'object' ? result : {}) };
  }

  watch() {}
  unwatch() {}
}

function begin() {
  const state = new State(ME);
  const chat = new Chat({ config: CONFIG, state, told: () => {}, isLooking: () => true });
  chat.session = new FakeSession();
  Object.assign(state.room(ROOM), { role: 'member', hasHistory: true });
  return { state, chat, session: chat.session, room: state.room(ROOM) };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 5));
const copy = (body, more = {}) => ({
  ...{ from: ROOM, display: 'bob', type: 'text/plain', event: 'message', callId: Math.random().toString(), inReplyTo: '' },
  ...{ body, date: Date.now(), ...more },
});
const minute = (time) => new Date(time).toISOString().replace('T', ' ').slice(0, 16);

test('a text whose answer was lost is looked for in the history, and sent again only where it is not there', async () => {
  const { chat, session, room } = begin();
  session.results = [() => (session.isOnline = false), () => {}];
  chat.say(ROOM, 'it arrived');
  await settled();
  chat.say(ROOM, 'it did not');
  await settled();
  assert.deepEqual(room.messages.map(({ status, wasSent }) => [status, !!wasSent]), [['waiting', true], ['waiting', false]]);
  session.isOnline = true;
  session.sent = [];
  const text = `What was said in the room ${ROOM}:\r\n[alice ${minute(Date.now())}]: it arrived`;
  session.results = [(callId) => chat.receive(copy(text, { event: 'history', inReplyTo: callId }))];
  await chat.caughtUp();
  await settled();
  assert.deepEqual(session.sent.map(({ body }) => body).filter((body) => body !== '#rooms'), ['#history 50', 'it did not']);
  assert.deepEqual(room.messages.map(({ text: said, status }) => [said, status]), [['it arrived', 'accepted'], ['it did not', 'accepted']]);
});

test('a clock that is wrong by hours changes nothing', async () => {
  const { chat, session, room } = begin();
  const there = Date.now() + 5 * 3_600_000;
  session.results = [() => (session.isOnline = false)];
  chat.say(ROOM, 'it arrived');
  await settled();
  session.isOnline = true;
  session.sent = [];
  const text = `What was said in the room ${ROOM}:\r\n[alice ${minute(there)}]: it arrived`;
  session.results = [(callId) => chat.receive(copy(text, { event: 'history', inReplyTo: callId, date: there }))];
  await chat.caughtUp();
  await settled();
  assert.ok(!session.sent.some(({ body }) => body === 'it arrived'));
  chat.receive(copy('[bob]: now', { date: there }));
  assert.deepEqual(room.messages.map(({ text: said }) => said), ['it arrived', 'now']);
});

test('"is typing" is said, repeated, and ends by itself, on both sides', () => {
  const real = { setTimeout, clearTimeout, setInterval, clearInterval };
  const timers = new Map();
  let number = 0;
  const start = (run, after) => (timers.set((number += 1), { run, after }), number);
  Object.assign(globalThis, { setTimeout: start, setInterval: start, clearTimeout: (id) => timers.delete(id) });
  globalThis.clearInterval = globalThis.clearTimeout;
  const fire = (after) => [...timers.values()].filter((one) => one.after === after).forEach((one) => one.run());
  try {
    const { chat, session, room } = begin();
    const said = () => session.sent.splice(0).map(({ body }) => protocol.readComposing(body).isActive);
    chat.typing.typed(ROOM, false);
    chat.typing.typed(ROOM, false);
    assert.deepEqual(said(), [true]);
    fire(50_000); // before the 60 s that it holds are over
    assert.deepEqual(said(), [true]);
    fire(15_000);
    assert.deepEqual([said(), chat.typing.now], [[false], null]);
    chat.typing.typed(ROOM, false);
    chat.typing.typed(ROOM, true); // the field is empty again
    assert.deepEqual(said(), [true, false]);
    const typing = (isActive) => copy(protocol.writeComposing(isActive, 60), { type: protocol.COMPOSING });
    chat.receive(typing(true));
    assert.deepEqual([...room.typing.keys()], ['bob']);
    fire(60_000);
    assert.equal(room.typing.size, 0);
    chat.receive(typing(true));
    chat.receive(typing(false));
    assert.equal(room.typing.size, 0);
    chat.receive(typing(true));
    chat.receive(copy('[bob]: done'));
    assert.equal(room.typing.size, 0);
  } finally {
    Object.assign(globalThis, real);
  }
});

test('what is refused fails, with its reason, and can be sent again', async () => {
  const { chat, session, room } = begin();
  session.results = [{ status: 403, reason: '399 imc "You are not a member of the room."' }];
  chat.say(ROOM, 'hello');
  await settled();
  const [message] = room.messages;
  assert.deepEqual([message.status, message.why], ['failed', 'You are not a member of the room.']);
  await chat.transmit(room, message);
  assert.equal(message.status, 'accepted');
});

test('nothing is shown twice', () => {
  const { chat, room } = begin();
  const one = copy('[bob]: hi');
  chat.receive(one);
  chat.receive(one);
  const body = protocol.writeCpim({ from: 'bob@h', to: ROOM, text: 'with id', messageId: 'm1', time: new Date() });
  chat.receive(copy(body, { type: 'message/cpim' }));
  chat.receive(copy(body, { type: 'message/cpim' }));
  chat.gather(room, `What was said in the room ${ROOM}:\r\n[bob ${minute(Date.now())}]: hi\r\n[bob ${minute(Date.now())}]: new`, Date.now());
  chat.receive(copy('[bob]: new', { date: Date.now() - 1000 })); // it waited
  assert.deepEqual(room.messages.map(({ text }) => text).sort(), ['hi', 'new', 'with id']);
  chat.receive(copy('[bob]: new', { date: Date.now() + 1000 })); // and this one is another
  assert.equal(room.messages.length, 4);
});

test('a long text that the history breaks over its pages is whole, and shown once', () => {
  const { chat, room } = begin();
  const at = minute(Date.now());
  const head = `What was said in the room ${ROOM}:`;
  assert.ok(!chat.gather(room, `${head} (1/2)\r\n[bob ${at}]: one two\r\n| three`, Date.now()));
  assert.equal(room.messages.length, 0);
  assert.ok(chat.gather(room, `${head} (2/2)\r\n| fo\r\n| ur\r\n[bob ${at}]: five`, Date.now()));
  assert.deepEqual(room.messages.map(({ text }) => text), ['one two\nthree\nfo\nur', 'five']);
  chat.receive(copy('[bob]: one two three four', { date: Date.now() - 1000 })); // it waited
  assert.equal(room.messages.length, 2);
});

test('what is kept in the browser is bounded, and comes back', () => {
  const kept = new Map();
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) };
  const state = new State(ME, storage);
  for (let number = 0; number < 600; number += 1) state.add(state.room(ROOM), { kind: 'talk', label: 'b', text: `${number}`, time: number });
  for (let number = 0; number < 3000; number += 1) state.isNew(`${number}`);
  assert.equal(state.room(ROOM).messages.length, 500);
  assert.equal(state.seen.size, 2000);
  state.save();
  const again = new State(ME, storage);
  again.load();
  assert.equal(again.room(ROOM).messages.length, 150);
  assert.equal(again.room(ROOM).messages.at(-1).text, '599');
  assert.ok(!again.isNew('2999'));
  again.forget();
  assert.equal(kept.size, 0);
  for (const broken of ['{', '[]', 'null', '{"rooms": 5}']) {
    kept.set('imc:alice@example.com', broken);
    new State(ME, storage).load();
  }
});
