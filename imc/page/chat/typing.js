// "is typing" (RFC 3994): what the others are told of the user, and what the user is shown of the others.

import { COMPOSING, writeComposing } from './protocol.js';

const REFRESH = 60; // seconds for which it holds, §3.2
const IDLE = 15_000; // milliseconds without a key, §3.2
const MAX_SHOWN = 50;
const LONGEST = 300; // seconds: whoever says to type for longer is not believed

export class Typing {
  constructor(chat) {
    this.chat = chat;
    this.now = null; // { room, idle, again } while the user types
  }

  // The user has typed in a room's field, or emptied it.
  typed(aor, isEmpty) {
    if (isEmpty || !this.chat.state.isIn(this.chat.state.room(aor))) {
      this.stop(true);
      return;
    }
    if (!this.now || this.now.room !== aor) {
      this.stop(true);
      this.now = { room: aor, idle: null, again: setInterval(() => this.say(aor, true), (REFRESH - 10) * 1000) };
      this.say(aor, true);
    }
    clearTimeout(this.now.idle);
    this.now.idle = setTimeout(() => this.stop(true), IDLE);
  }

  // A message that is sent says it by itself.
  stop(isSaid = false) {
    if (!this.now) return;
    clearTimeout(this.now.idle);
    clearInterval(this.now.again);
    if (isSaid) this.say(this.now.room, false);
    this.now = null;
  }

  say(aor, isActive) {
    const { session, isTextOnly } = this.chat;
    if (session.isOnline && !isTextOnly) session.send(aor, writeComposing(isActive, REFRESH), { type: COMPOSING });
  }

  // Somebody else.
  heard(room, { label, isActive, refresh }) {
    this.ended(room, label);
    if (!isActive || !label || this.chat.isMine(label) || room.typing.size >= MAX_SHOWN) return;
    room.typing.set(label, setTimeout(() => this.ended(room, label), Math.min(refresh, LONGEST) * 1000));
    this.chat.state.changed();
  }

  ended(room, label) {
    if (!room.typing.has(label)) return;
    clearTimeout(room.typing.get(label));
    room.typing.delete(label);
    this.chat.state.changed();
  }
}
