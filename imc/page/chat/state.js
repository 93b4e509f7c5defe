// What the page knows: rooms, who is in them, what was said. Plain data, bounded, kept per account in localStorage until its
// user logs out.

const MAX_MESSAGES = 500; // of one room, in memory
const MAX_KEPT = 150; // of one room, in the browser
const MAX_KEPT_ROOMS = 40;
const MAX_SEEN = 2000;
const MINUTE = 60_000;

const KINDS = ['talk', 'notice'];
const WAITING = ['sending', 'waiting'];

export class State {
  constructor(account, storage = null) {
    this.account = account;
    this.storage = storage;
    this.rooms = new Map();
    this.seen = new Set(); // Call-IDs and Message-IDs
    this.current = null; // an address
    this.connection = 'connecting';
    this.listeners = [];
    this.number = 0;
    this.timer = null;
  }

  // Tell whoever listens, once for all changes of a moment.
  changed() {
    if (this.timer) return;
    this.timer = setTimeout(() => {
      this.timer = null;
      for (const listener of this.listeners) listener();
    }, 0);
  }

  room(aor) {
    if (!this.rooms.has(aor)) {
      this.rooms.set(aor, {
        aor,
        isPrivate: false,
        role: '', // owner, admin, member, invited; '' for who is not in it
        inviter: '',
        members: new Map(), // address → role
        messages: [],
        typing: new Map(), // label → timer
        unread: 0,
        wantsReceipts: false,
        pages: [], // texts of a history that is not whole
        toldUntil: 0, // by the server's clock: up to when it has told what was said
        hasHistory: false, // asked for since the connection was made
      });
    }
    return this.rooms.get(aor);
  }

  isIn(room) {
    return ['owner', 'admin', 'member'].includes(room.role);
  }

  // True the first time that this id is shown.
  isNew(id) {
    if (!id) return true;
    if (this.seen.has(id)) return false;
    this.seen.add(id);
    if (this.seen.size > MAX_SEEN) this.seen.delete(this.seen.values().next().value);
    return true;
  }

  // A message is { kind: talk | notice, label, text, time, isOwn, status, … }; it gets an `id` and its place by time.
  add(room, message) {
    const made = { id: (this.number += 1), status: '', marks: {}, ...message };
    let at = room.messages.length;
    while (at > 0 && room.messages[at - 1].time > made.time) at -= 1;
    room.messages.splice(at, 0, made);
    while (room.messages.length > MAX_MESSAGES) {
      const old = room.messages.findIndex((one) => !WAITING.includes(one.status));
      room.messages.splice(Math.max(old, 0), 1);
    }
    this.changed();
    return made;
  }

  // What came by the history takes the place of nothing: only what is not there yet is added. Of those that are there each
  // stands for one only.
  merge(room, entries, isMine) {
    const left = room.messages.filter((one) => one.kind === 'talk');
    for (const entry of entries) {
      const isOwn = isMine(entry.label);
      const at = left.findIndex((one) => isSame(one, entry, isOwn));
      if (at >= 0) {
        const [known] = left.splice(at, 1);
        if (WAITING.includes(known.status)) known.status = 'accepted';
      } else {
        const status = isOwn ? 'accepted' : '';
        this.add(room, { kind: 'talk', ...entry, isOwn, status, isRepeated: true });
      }
    }
    this.changed();
  }

  // Whether a text that came now is one that the history brought before.
  isRepeated(room, entry) {
    const found = room.messages.find((one) => one.isRepeated && isSame(one, entry, false));
    if (found) found.isRepeated = false;
    return !!found;
  }

  waiting(room) {
    return room.messages.filter((one) => one.status === 'waiting');
  }

  get unread() {
    return [...this.rooms.values()].reduce((sum, room) => sum + room.unread, 0);
  }

  // The browser's store

  load() {
    let kept;
    try {
      kept = JSON.parse(this.storage.getItem(this.key) || 'null');
    } catch {
      kept = null;
    }
    if (!kept || !Array.isArray(kept.rooms)) return;
    for (const { aor, messages, ...rest } of kept.rooms) {
      const room = Object.assign(this.room(String(aor)), rest);
      for (const message of messages || []) {
        const status = message.status === 'sending' ? 'waiting' : message.status;
        if (KINDS.includes(message.kind)) this.add(room, { ...message, status, id: (this.number += 1) });
      }
    }
    for (const id of kept.seen || []) this.isNew(id);
  }

  save() {
    if (!this.storage) return;
    const rooms = [...this.rooms.values()].filter((room) => room.role || room.messages.length).slice(-MAX_KEPT_ROOMS);
    const kept = rooms.map(({ aor, isPrivate, role, inviter, unread, wantsReceipts, messages }) => ({
      ...{ aor, isPrivate, role, inviter, unread, wantsReceipts },
      messages: messages.slice(-MAX_KEPT),
    }));
    try {
      this.storage.setItem(this.key, JSON.stringify({ rooms: kept, seen: [...this.seen].slice(-MAX_SEEN / 2) }));
    } catch {
      this.storage.removeItem(this.key); // full: what is in memory is still there
    }
  }

  forget() {
    if (this.storage) this.storage.removeItem(this.key);
    this.storage = null;
  }

  get key() {
    return `imc:${this.account}`;
  }
}

const sameText = (text) => text.replace(/\s+/g, ''); // the history breaks long lines

function isSame(one, entry, isOwn) {
  if (sameText(one.text) !== sameText(entry.text)) return false;
  if (isOwn ? !one.isOwn : one.isOwn || one.label !== entry.label) return false;
  // an own message that waits was sent when it was written; the server has it from that minute on, or never had it
  const later = isOwn ? 10 * MINUTE : MINUTE;
  return entry.time >= one.time - 2 * MINUTE && entry.time <= one.time + later;
}
