// The open room: its head, what may be done at its gate, its messages, and the field to write in.

import { byId, h } from './dom.js';
import { userOf } from './protocol.js';
import { LogView } from './view-log.js';

export class RoomView {
  constructor(chat) {
    this.chat = chat;
    this.log = new LogView(byId('log'), (message) => this.chat.transmit(this.room, message));
    this.shown = null;
    const entry = byId('entry');
    byId('entry-form').onsubmit = (event) => {
      event.preventDefault();
      this.send();
    };
    entry.onkeydown = (event) => {
      if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        this.send();
      }
    };
    entry.oninput = () => {
      this.fit();
      const { value } = entry;
      if (!value.startsWith(this.chat.config.start)) this.chat.typing.typed(this.room.aor, value === '');
    };
    byId('receipts').hidden = chat.isTextOnly;
    entry.maxLength = this.chat.config.longest;
    byId('back').onclick = () => this.back();
    byId('receipts').onclick = () => {
      this.room.wantsReceipts = !this.room.wantsReceipts;
      this.chat.state.changed();
      entry.focus();
    };
  }

  get room() {
    return this.chat.state.room(this.chat.state.current);
  }

  back() {
    const { current } = this.chat.state;
    this.chat.close();
    setTimeout(() => [...document.querySelectorAll('#room-lists button')].find((one) => one.dataset.room === current)?.focus());
  }

  send() {
    const entry = byId('entry');
    const text = entry.value.replace(/\s+$/, '');
    if (!text) return;
    entry.value = '';
    this.fit();
    this.chat.say(this.room.aor, text);
    entry.focus();
  }

  fit() {
    const entry = byId('entry');
    entry.rows = Math.min(6, Math.max(1, entry.value.split('\n').length));
  }

  render() {
    const { state } = this.chat;
    const isOpen = !!state.current;
    document.body.classList.toggle('in-room', isOpen);
    byId('no-room').hidden = isOpen;
    byId('open-room').hidden = !isOpen;
    if (!isOpen) {
      this.shown = null;
      return;
    }
    const { room } = this;
    const isIn = state.isIn(room);
    byId('room-name').textContent = userOf(room.aor);
    byId('room-name').title = room.aor;
    byId('room-about').textContent = this.about(room, isIn);
    byId('offline').hidden = state.connection === 'online';
    byId('offline').textContent = 'No connection. What you write is sent as soon as there is one.';
    byId('receipts').setAttribute('aria-pressed', String(room.wantsReceipts));
    byId('entry-form').hidden = !isIn;
    this.gate(room, isIn);
    this.log.render(room);
    byId('typing').textContent = this.typing([...room.typing.keys()]);
    if (this.shown !== room) {
      this.shown = room;
      byId('entry').value = '';
      this.fit();
      if (isIn) byId('entry').focus();
      else byId('gate').querySelector('button')?.focus();
    }
  }

  about(room, isIn) {
    const kind = room.isPrivate ? 'private room' : 'public room';
    if (!isIn) return kind;
    const count = room.members.size;
    return [kind, count ? `${count} ${count === 1 ? 'person' : 'people'}` : '', `you are ${room.role}`].filter(Boolean).join(' · ');
  }

  // For who is not in the room.
  gate(room, isIn) {
    const gate = byId('gate');
    const state = `${room.aor} ${room.role}`;
    gate.hidden = isIn;
    if (gate.dataset.state === state) return;
    const hadFocus = gate.contains(document.activeElement);
    gate.dataset.state = state;
    const button = (text, kind, act) => h('button', { class: kind, onclick: () => act(room.aor) }, text);
    if (room.role === 'invited') {
      gate.replaceChildren(
        h('p', {}, `${room.inviter || 'Somebody'} invites you to this room.`),
        h('div', { class: 'actions' },
          button('Accept', 'primary', (aor) => this.chat.accept(aor)),
          button('Decline', 'quiet', (aor) => this.chat.reject(aor)))
      );
    } else {
      gate.replaceChildren(
        h('p', {}, 'You are not in this room.'),
        h('div', { class: 'actions' }, button('Join', 'primary', (aor) => this.chat.join(aor)))
      );
    }
    if (hadFocus && isIn) byId('entry').focus();
  }

  typing(labels) {
    if (!labels.length) return '';
    if (labels.length === 1) return `${labels[0]} is typing …`;
    return labels.length === 2 ? `${labels[0]} and ${labels[1]} are typing …` : 'Several people are typing …';
  }
}
