// What happens: messages come in, and the user's wishes go out. Between `session` (SIP) and `state`; knows no DOM.

import * as protocol from './protocol.js';
import { Receipts } from './receipts.js';
import { Typing } from './typing.js';

const HISTORY = 50;
const LIVE = 60_000;

// Notices after which the lists are asked for anew.
const CHANGES = new Set([
  'room-created', 'room-destroyed', 'member-joined', 'already-joined', 'member-left', 'you-were-removed', 'invitation',
  'invitation-rejected', 'invitation-withdrawn', 'invitation-sent', 'role-changed',
]);

// Whether it is the answer to the user's own leave, or to their refusal of an invitation.
const isLeaving = (asked, event) =>
  !!asked && (event === 'invitation-rejected' || (event === 'member-left' && ['leave', 'exit'].includes(asked.verb)));

const verbOf = (words) => words.trim().split(/\s+/)[0].toLowerCase();

export class Chat {
  // `told(text, isError)` shows a short word to the user, `isLooking()` says whether they see the page.
  constructor({ config, state, told, isLooking }) {
    Object.assign(this, { config, state, told, isLooking });
    this.session = null;
    this.asked = new Map(); // Call-ID → { verb, refusal } of a command, { done } of the page's own question
    this.queues = new Map(); // room → the promise of what goes out there last
    this.typing = new Typing(this);
    this.refreshing = null;
    this.skew = 0; // milliseconds by which the server's clock is ahead
    this.receipts = new Receipts(this);
  }

  isMine(label) {
    return label === this.state.account || label === protocol.userOf(this.state.account);
  }

  // Kamailio's module takes every type for text, and hands it to everybody: no "is typing", no receipts there.
  get isTextOnly() {
    return !!this.config.server;
  }

  command(words) {
    return this.config.start + words;
  }

  // Connection

  connection(state) {
    this.state.connection = state;
    if (state === 'online') this.caughtUp();
    this.state.changed();
  }

  // What was missed comes by itself (the server keeps it); what was not answered is looked for, and else sent again.
  async caughtUp() {
    this.refreshRooms();
    for (const room of this.state.rooms.values()) {
      room.hasHistory = false;
      const waiting = this.state.waiting(room);
      if (waiting.some((one) => one.wasSent)) await this.askHistory(room);
      for (const message of this.state.waiting(room)) this.transmit(room, message);
    }
    if (this.state.current) this.open(this.state.current);
  }

  // What comes in

  receive(message) {
    if (!this.state.isNew(message.callId)) return;
    const asked = this.asked.get(message.inReplyTo);
    if (asked) this.skew = message.date - Date.now(); // an answer is of this moment
    const read = protocol.readMessage(message);
    if (asked && read.kind === 'notice' && this.answered(asked, read, message)) return;
    if (message.from === this.config.manager || !this.isRoom(message.from)) {
      if (read.text) this.told(message.from === this.config.manager ? read.text : `${message.from}: ${read.text}`);
      return;
    }
    const room = this.state.room(message.from);
    if (read.kind === 'composing') this.typing.heard(room, read);
    else if (read.kind === 'reports') this.receipts.came(room, read.reports);
    else if (read.kind === 'talk') this.heard(room, read, message);
    else this.noticed(room, read, message, asked);
  }

  // Of what comes now the moment counts, whatever the server's clock says; of what waited there, its own time.
  timeOf(message) {
    const time = message.date - this.skew;
    return Math.abs(Date.now() - time) < LIVE ? Date.now() : Math.min(time, Date.now());
  }

  isRoom(aor) {
    return protocol.isRoom(aor, this.config.rooms);
  }

  heard(room, read, message) {
    this.typing.ended(room, read.label);
    if (read.messageId && !this.state.isNew(`${room.aor} ${read.label} ${read.messageId}`)) return;
    const entry = { label: read.label, text: read.text, time: this.timeOf(message) };
    if (!(message.date < room.toldUntil && this.state.isRepeated(room, entry))) {
      this.state.add(room, { kind: 'talk', ...entry, isOwn: false });
      this.count(room);
    }
    if (read.wants) this.receipts.asked(room, read);
  }

  count(room) {
    if (room.aor !== this.state.current || !this.isLooking()) room.unread += 1;
  }

  // The user sees the room that is open.
  looked() {
    if (!this.isLooking() || !this.session) return;
    const room = this.state.current && this.state.room(this.state.current);
    if (room && room.unread) {
      room.unread = 0;
      this.state.changed();
    }
    if (room) this.receipts.looked(room);
  }

  noticed(room, read, message, asked) {
    const { event, text } = read;
    if (event === 'history') {
      this.gather(room, text, message.date);
      return;
    }
    if (event === 'invitation') {
      room.role = 'invited';
      room.inviter = protocol.readInviter(text);
      room.isPrivate = /\bprivate\b/.test(text);
    }
    if (event === 'you-were-removed' || event === 'room-destroyed' || isLeaving(asked, event)) {
      room.role = '';
      room.members.clear();
      this.session.unwatch(room.aor);
      this.told(text, false);
    }
    if (asked && event === 'room-created') Object.assign(room, { role: 'owner', isPrivate: /\bprivate\b/.test(text) });
    if (asked && ['member-joined', 'already-joined'].includes(event) && !this.state.isIn(room)) room.role = 'member';
    this.state.add(room, { kind: 'notice', event, text, time: this.timeOf(message), isOwn: false, label: '' });
    if (CHANGES.has(event)) this.refreshRooms();
    if (event === 'invitation' || event === 'join-attempted') this.count(room);
    if (room.aor === this.state.current) this.follow(room);
  }

  // Asking the server

  // Send a command that the page wants to know the answer of. `done(text)` for each MESSAGE of the answer.
  async ask(to, words, done) {
    let callId = '';
    const began = (id) => this.expect((callId = id), { done });
    const result = await this.session.send(to, this.command(words), { began });
    if (result.status >= 300) this.asked.delete(callId);
    return result;
  }

  expect(callId, asked) {
    this.asked.set(callId, asked);
    if (this.asked.size > 200) this.asked.delete(this.asked.keys().next().value);
  }

  // True where the answer was for the page, or was said already, and is not to be shown.
  answered(asked, read, message) {
    if (asked.done) {
      asked.done(read.text, message.date);
      return true;
    }
    if (asked.refusal && asked.refusal === read.event) return true;
    if (read.event === 'member-list') this.tookMembers(this.state.room(message.from), read.text);
    return false;
  }

  refreshRooms() {
    if (this.refreshing || !this.session.isOnline) return;
    this.refreshing = setTimeout(() => {
      this.refreshing = null;
      const pages = [];
      this.ask(this.config.manager, 'rooms', (text) => {
        pages.push(text);
        this.tookRooms(pages);
      });
    }, 150);
  }

  tookRooms(pages) {
    const host = this.state.account.slice(this.state.account.lastIndexOf('@') + 1);
    const listed = pages.flatMap((text) => protocol.readRooms(text, host)).filter(({ aor }) => this.isRoom(aor));
    const [, number, count] = /\((\d+)\/(\d+)\)/.exec(pages[0].split(/\r?\n/)[0]) || [0, 1, 1];
    const isWhole = Number(number) && pages.length >= Number(count) && !/^and more$/m.test(pages.at(-1));
    if (!this.config.server && isWhole) {
      // imc names every room in which the user has a part
      const names = new Set(listed.map(({ aor }) => aor));
      for (const room of this.state.rooms.values()) {
        room.isListed = names.has(room.aor);
        if (!room.isListed) room.role = '';
      }
    }
    for (const { aor, isPrivate, role } of listed) {
      const room = this.state.room(aor);
      room.isListed = true;
      room.isPrivate = room.isPrivate || isPrivate;
      if (role || !this.config.server) room.role = role;
    }
    const open = this.state.current && this.state.room(this.state.current);
    if (open) this.follow(open);
    this.state.changed();
  }

  // Who is in the open room: by subscription, else by #members whenever something happens there.
  follow(room) {
    if (!this.state.isIn(room) || !this.session.isOnline) return;
    if (this.hasNoRosters) {
      this.ask(room.aor, 'members', (text) => this.tookMembers(room, text));
      return;
    }
    const changed = ({ isFull, members }) => {
      if (isFull) room.members.clear();
      for (const { aor, role, isGone } of members) {
        if (isGone) room.members.delete(aor);
        else room.members.set(aor, role);
        if (aor === this.state.account && !isGone) room.role = role;
      }
      this.state.changed();
    };
    this.session.watch(room.aor, changed, (code) => {
      if (code === 2 && !room.members.size) {
        this.hasNoRosters = true; // SUBSCRIBE was refused
        this.follow(room);
      }
    });
  }

  tookMembers(room, text) {
    const host = room.aor.slice(room.aor.lastIndexOf('@') + 1);
    const members = protocol.readMembers(text, host);
    if (!/\((?!1\/)\d+\/\d+\)$/.test(text.split(/\r?\n/)[0])) room.members.clear();
    for (const { aor, role } of members) {
      room.members.set(aor, role);
      if (aor === this.state.account) room.role = role;
    }
    this.state.changed();
  }

  async askHistory(room) {
    room.hasHistory = true;
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, 5000);
      const took = (text, date) => {
        if (!this.gather(room, text, date)) return;
        clearTimeout(timer);
        resolve();
      };
      this.ask(room.aor, `history ${HISTORY}`, took).then(({ status }) => {
        if (status < 200 || status >= 300) resolve();
      });
    });
  }

  // One text of a history; true with its last one, at which all of it is shown. `date` is the server's, of when it told:
  // what was said before then may be among it.
  gather(room, text, date) {
    const { page, pages } = protocol.historyPage(text);
    if (page === 1) room.pages = [];
    room.pages.push(text);
    room.toldUntil = date;
    if (page < pages) return false;
    const entries = protocol.readHistory(...room.pages);
    room.pages = [];
    for (const entry of entries) entry.time -= this.skew;
    this.state.merge(room, entries, (label) => this.isMine(label));
    return true;
  }

  // What the user wants

  open(aor) {
    const before = this.state.current;
    if (before && before !== aor && this.session) this.session.unwatch(before);
    this.typing.stop();
    this.state.current = aor;
    const room = this.state.room(aor);
    this.looked();
    if (this.state.isIn(room) && this.session.isOnline) {
      this.follow(room);
      if (!room.hasHistory) this.askHistory(room);
    }
    this.state.changed();
  }

  close() {
    this.typing.stop();
    if (this.state.current) this.session.unwatch(this.state.current);
    this.state.current = null;
    this.state.changed();
  }

  // A command of a button; true where it was done. Why not is told.
  async run(aor, words) {
    let callId = '';
    const asked = { verb: verbOf(words), refusal: '' };
    const began = (id) => this.expect((callId = id), asked);
    const result = await this.session.send(aor, this.command(words), { began });
    if (result.status >= 200 && result.status < 300) return true;
    asked.refusal = result.event;
    this.refreshRooms();
    const why = /"([^"]*)"/.exec(result.reason);
    this.told(result.status ? (why ? why[1] : result.reason) : 'There is no connection now. Try again.', true);
    setTimeout(() => this.asked.delete(callId), 10_000);
    return false;
  }

  async create(aor, isPrivate) {
    if (!(await this.run(aor, isPrivate ? 'create private' : 'create'))) return;
    this.state.room(aor).isPrivate = isPrivate;
    this.refreshRooms();
    this.open(aor);
  }

  async join(aor) {
    if (!(await this.run(aor, 'join'))) return;
    const room = this.state.room(aor);
    if (!this.state.isIn(room)) room.role = 'member';
    this.open(aor);
  }

  async accept(aor) {
    if (!(await this.run(aor, 'accept'))) return;
    this.state.room(aor).role = 'member';
    this.open(aor);
  }

  async reject(aor) {
    if (!(await this.run(aor, 'reject'))) return;
    this.state.room(aor).role = '';
    this.close();
    this.refreshRooms();
  }

  // What was typed into the open room.
  say(aor, text) {
    this.typing.stop();
    const room = this.state.room(aor);
    if (text.startsWith(this.config.start)) {
      this.type(room, text);
      return;
    }
    const messageId = room.wantsReceipts && !this.isTextOnly ? crypto.getRandomValues(new Uint32Array(4)).join('-') : '';
    const message = { kind: 'talk', label: protocol.userOf(this.state.account), text, time: Date.now(), isOwn: true };
    this.transmit(room, this.state.add(room, { ...message, status: 'sending', messageId }));
  }

  // A command by hand: it and its answer are shown in the room.
  async type(room, text) {
    this.state.add(room, { kind: 'notice', event: 'typed', text, time: Date.now(), isOwn: true, label: '' });
    const began = (id) => this.expect(id, { verb: verbOf(text.slice(this.config.start.length)) });
    const { status, reason } = await this.session.send(room.aor, text, { began });
    if (status === 0) this.told('The command was not sent: there is no connection now.', true);
    else if (status >= 300 && this.config.server) this.told(`${status} ${reason}`, true);
  }

  // One after the other, so that they arrive in order.
  transmit(room, message) {
    message.status = 'sending';
    this.state.changed();
    const before = this.queues.get(room.aor) || Promise.resolve();
    const next = before.then(() => this.transmitNow(room, message));
    this.queues.set(room.aor, next);
    return next;
  }

  async transmitNow(room, message) {
    if (message.status !== 'sending') return;
    const { text, messageId } = message;
    const [from, to, time] = [this.state.account, room.aor, new Date(message.time)];
    const body = messageId ? protocol.writeCpim({ from, to, text, messageId, time }) : text;
    const began = (callId) => Object.assign(message, { callId, wasSent: true });
    const type = messageId ? protocol.CPIM : 'text/plain';
    const { status, reason } = await this.session.send(room.aor, body, { type, began });
    if (status >= 200 && status < 300) {
      if (message.status === 'sending') message.status = 'accepted';
    } else if (status === 0) message.status = this.session.isOnline ? 'failed' : 'waiting';
    else message.status = 'failed';
    message.why = message.status === 'failed' ? (/"([^"]*)"/.exec(reason) || [0, reason])[1] : '';
    this.state.changed();
  }
}
