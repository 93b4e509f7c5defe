// The messages of a room. Each keeps its element, so that a screen reader is told of what is new, and of nothing else.

import { clockOf, dayOf, h, hueOf, initialOf, linked } from './dom.js';

const MARKS = {
  sending: ['◌', 'sending'],
  waiting: ['◷', 'waits for the connection'],
  accepted: ['✓', 'sent'],
  delivered: ['✓✓', 'delivered'],
  displayed: ['✓✓', 'read'],
  failed: ['!', 'not sent'],
};
const GAP = 5 * 60_000; // between messages of one sender that stand together

export class LogView {
  constructor(element, retry) {
    this.element = element;
    this.retry = retry;
    this.made = new Map(); // id of a message → { element, was }
    this.room = null;
  }

  render(room) {
    const isOther = this.room !== room;
    if (isOther) {
      this.element.replaceChildren();
      this.made.clear();
      this.room = room;
    }
    const { element } = this;
    const isAtEnd = isOther || element.scrollHeight - element.scrollTop - element.clientHeight < 80;
    const wanted = this.wanted(room);
    const ids = new Set(wanted.map(({ id }) => id));
    for (const [id, { element: old }] of this.made) {
      if (!ids.has(id)) {
        old.remove();
        this.made.delete(id);
      }
    }
    let at = element.firstChild;
    for (const { id, key, make } of wanted) {
      let known = this.made.get(id);
      if (!known || known.key !== key) {
        const fresh = make();
        if (known) {
          if (at === known.element) at = fresh;
          known.element.replaceWith(fresh);
        }
        known = { element: fresh, key };
        this.made.set(id, known);
      }
      if (known.element === at) at = at.nextSibling;
      else element.insertBefore(known.element, at);
    }
    if (isAtEnd) element.scrollTop = element.scrollHeight;
  }

  // { id, key, make } of each line: what it shows is made anew where `key` is another than before.
  wanted(room) {
    const lines = [];
    let before = null;
    for (const message of room.messages) {
      const day = dayOf(message.time);
      if (!before || dayOf(before.time) !== day) {
        lines.push({ id: `day ${day}`, key: day, make: () => h('p', { class: 'day' }, day) });
        before = null;
      }
      const goesOn =
        !!before && message.kind === 'talk' && before.kind === 'talk' && before.label === message.label &&
        before.isOwn === message.isOwn && message.time - before.time < GAP;
      const marks = Object.values(message.marks || {}).join();
      const key = `${message.status} ${goesOn} ${message.why || ''} ${marks}`;
      const make = () => (message.kind === 'talk' ? this.talk(message, goesOn) : this.notice(message));
      lines.push({ id: message.id, key, make });
      before = message;
    }
    return lines;
  }

  talk(message, goesOn) {
    const { label, text, time, isOwn } = message;
    const side = isOwn ? 'own' : 'theirs';
    return h(
      'article',
      { class: `talk ${side} ${goesOn ? 'goes-on' : ''} ${message.status}`, 'aria-label': isOwn ? 'You' : label },
      !isOwn && !goesOn ? h('span', { class: `avatar hue-${hueOf(label)}`, 'aria-hidden': 'true' }, initialOf(label)) : null,
      h(
        'div',
        { class: 'bubble' },
        !isOwn && !goesOn ? h('strong', { class: `sender hue-${hueOf(label)}` }, h('bdi', {}, label)) : null,
        h('p', { class: 'text', dir: 'auto' }, linked(text)),
        h('footer', {}, h('time', { datetime: new Date(time).toISOString() }, clockOf(time)), this.mark(message))
      )
    );
  }

  mark(message) {
    const [sign, words] = MARKS[message.status] || [];
    if (!sign) return null;
    const entries = Object.entries(message.marks || {});
    const who = entries.map(([aor, mark]) => `${mark === 'displayed' ? 'read by' : 'delivered to'} ${aor}`).join('\n');
    const shown = entries.length > 1 ? `${words} (${entries.length})` : words;
    const parts = [
      h('span', { class: 'sign', 'aria-hidden': 'true' }, sign),
      h('span', { class: message.status === 'failed' || entries.length ? '' : 'unseen' }, shown),
    ];
    if (message.status === 'failed') {
      if (message.why) parts.push(h('span', {}, `: ${message.why}`));
      parts.push(h('button', { class: 'retry', onclick: () => this.retry(message) }, 'Try again'));
    }
    return h('span', { class: 'mark', title: who || words }, parts);
  }

  // The room need not be named in the room.
  notice({ event, text: whole, time }) {
    const text = event === 'typed' ? whole : whole.replaceAll(` room ${this.room.aor}`, ' room');
    const isLong = text.includes('\n');
    return h(
      'div',
      { class: `notice ${event === 'typed' ? 'typed' : ''} ${isLong ? 'long' : ''}` },
      h('p', { class: 'text', dir: 'auto' }, text),
      h('time', { datetime: new Date(time).toISOString() }, clockOf(time))
    );
  }
}
