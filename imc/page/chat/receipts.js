// What became of a message (IMDN, RFC 5438): what the others are told of theirs, and what the user sees of their own.

import { IMDN, writeReport } from './protocol.js';

const MAX_UNSEEN = 200;

export class Receipts {
  constructor(chat) {
    this.chat = chat;
    this.unseen = []; // { room, messageId } of what waits until the user looks
  }

  // A message came whose sender wants to know.
  asked(room, { messageId, wants }) {
    if (wants.includes('positive-delivery')) this.tell(room, messageId, false);
    if (!wants.includes('display')) return;
    this.unseen.push({ room, messageId });
    if (this.unseen.length > MAX_UNSEEN) this.unseen.shift();
    this.chat.looked();
  }

  // The user sees this room.
  looked(room) {
    const shown = this.unseen.filter((one) => one.room === room);
    this.unseen = this.unseen.filter((one) => one.room !== room);
    for (const { messageId } of shown) this.tell(room, messageId, true);
  }

  tell(room, messageId, isDisplay) {
    const { session, state } = this.chat;
    const about = { messageId, room: room.aor, recipient: state.account, isDisplay, time: new Date() };
    session.send(room.aor, writeReport(about), { type: IMDN });
  }

  // Of messages of the user's own.
  came(room, reports) {
    for (const { messageId, recipient, isDisplay } of reports) {
      const message = room.messages.find((one) => one.messageId === messageId && one.isOwn);
      if (!message) continue;
      message.marks[recipient] = isDisplay ? 'displayed' : message.marks[recipient] || 'delivered';
      if (message.status !== 'displayed') message.status = isDisplay ? 'displayed' : 'delivered';
    }
    this.chat.state.changed();
  }
}
