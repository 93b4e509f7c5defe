// SIP: one registration over one WebSocket, by JsSIP. Reconnects by itself; says what happens to `on`:
//
//   state(text)                         connecting, online, offline
//   refused(status, reason)             the login was refused; the session is over
//   message({ from, display, type, body, event, callId, inReplyTo, date })
//
// `send` and `watch` may be called at any time; what cannot be sent fails with status 0.

import JsSIP from './jssip.js';
import { readConference } from './conference.js';

const CONFERENCE = 'application/conference-info+xml';

export class Session {
  constructor({ url, aor, password, on }) {
    this.aor = aor;
    this.on = on;
    this.isOver = false;
    this.watched = new Map(); // room → Subscriber
    const uri = `sip:${aor}`;
    this.ua = new JsSIP.UA({
      sockets: [new JsSIP.WebSocketInterface(url)],
      uri,
      password,
      user_agent: `imc page (JsSIP ${JsSIP.version})`,
      register_expires: 600,
      session_timers: false,
      connection_recovery_min_interval: 1,
      connection_recovery_max_interval: 20,
    });
    this.ua.on('connecting', () => this.say('connecting'));
    this.ua.on('disconnected', () => this.lost());
    this.ua.on('registered', () => this.say('online'));
    this.ua.on('registrationFailed', (event) => this.registrationFailed(event));
    this.ua.on('newMessage', (event) => this.received(event));
  }

  start() {
    this.ua.start();
  }

  get isOnline() {
    return this.ua.isRegistered();
  }

  say(state) {
    if (!this.isOver) this.on.state(state);
  }

  lost() {
    this.watched.clear();
    this.say('offline');
  }

  registrationFailed({ response, cause }) {
    const status = response ? response.status_code : 0;
    if (this.isOver) return;
    // 403 and 404 too: the account is none, or may not log in. All else may pass: JsSIP does not try again by itself.
    if ([401, 403, 404, 407].includes(status)) {
      this.isOver = true;
      this.ua.stop();
      this.on.refused(status, cause);
    } else if (status) {
      this.say('offline');
      setTimeout(() => !this.isOver && this.ua.isConnected() && this.ua.register(), 5000);
    }
  }

  received({ originator, message, request }) {
    if (originator !== 'remote') return;
    const { user, host } = message.remote_identity.uri;
    const header = (name) => request.getHeader(name) || '';
    this.on.message({
      from: `${user}@${host}`,
      display: message.remote_identity.display_name || '',
      type: header('Content-Type'),
      body: request.body || '',
      event: header('IMC-Event'),
      callId: request.call_id,
      inReplyTo: header('In-Reply-To').trim(),
      date: Date.parse(header('Date')) || Date.now(),
    });
  }

  // Resolves to { status, reason, event, callId }, and never fails. `began` is told the Call-ID before anything comes back.
  send(to, body, { type = 'text/plain', began = () => {} } = {}) {
    return new Promise((resolve) => {
      let callId = '';
      const done = (response) =>
        resolve({
          status: response ? response.status_code : 0,
          reason: response ? response.getHeader('Warning') || response.reason_phrase : '',
          event: (response && response.getHeader('IMC-Event')) || '',
          callId,
        });
      if (!this.isOnline) {
        done(null);
        return;
      }
      const noted = ({ originator, request }) => {
        if (originator !== 'local') return;
        callId = request.call_id;
        began(callId);
      };
      this.ua.once('newMessage', noted);
      this.ua.sendMessage(`sip:${to}`, body, {
        contentType: type === 'text/plain' ? 'text/plain; charset=utf-8' : type,
        eventHandlers: { succeeded: ({ response }) => done(response), failed: ({ response }) => done(response) },
      });
    });
  }

  // Who is in the room, told as it changes: `changed({ isFull, members: [{ aor, role, isGone }] })`; `failed()` where the
  // server has no such thing.
  watch(room, changed, failed) {
    if (!this.isOnline || this.watched.has(room)) return;
    const subscriber = this.ua.subscribe(`sip:${room}`, 'conference', CONFERENCE, { expires: 600, params: {} });
    subscriber.on('notify', (isFinal, request, body) => {
      const read = body && readConference(body);
      if (read) changed(read);
    });
    subscriber.on('terminated', (code) => {
      if (this.watched.get(room) !== subscriber) return;
      this.watched.delete(room);
      failed(code);
    });
    this.watched.set(room, subscriber);
    subscriber.subscribe();
  }

  unwatch(room) {
    const subscriber = this.watched.get(room);
    this.watched.delete(room);
    if (subscriber && this.ua.isConnected()) subscriber.terminate();
  }

  stop() {
    this.isOver = true;
    for (const room of [...this.watched.keys()]) this.unwatch(room);
    this.ua.stop();
  }
}
