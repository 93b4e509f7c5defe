// The list of rooms: those that invite, those one is in, and the public ones.

import { ask, byId, h, hueOf, initialOf } from './dom.js';
import { address, isRoom, userOf } from './protocol.js';

const CONNECTIONS = { online: 'online', connecting: 'connecting …', offline: 'offline, trying again …' };

export class RoomsView {
  constructor(chat) {
    this.chat = chat;
    byId('me').textContent = userOf(chat.state.account);
    byId('me').title = chat.state.account;
    this.chosen = byId('room-lists').addEventListener('click', (event) => {
      const item = event.target.closest('button[data-room]');
      if (item) this.chat.open(item.dataset.room);
    });
    byId('new-room').onclick = () => this.create();
    byId('other-room').onclick = () => this.join();
  }

  render() {
    const { state } = this.chat;
    const connection = byId('connection');
    connection.textContent = CONNECTIONS[state.connection];
    connection.className = state.connection;
    const rooms = [...state.rooms.values()].sort((one, other) => one.aor.localeCompare(other.aor));
    const invited = rooms.filter((room) => room.role === 'invited');
    const own = rooms.filter((room) => state.isIn(room));
    const open = rooms.filter((room) => !room.role && room.isListed && !room.isPrivate);
    const focused = document.activeElement?.dataset?.room;
    byId('room-lists').replaceChildren(
      ...this.list('Invitations', invited),
      ...this.list('Your rooms', own),
      ...this.list('Public rooms', open)
    );
    if (!invited.length && !own.length && !open.length) {
      byId('room-lists').append(h('p', { class: 'empty' }, 'There are no rooms yet. Make the first one.'));
    }
    if (focused) [...byId('room-lists').querySelectorAll('button')].find((one) => one.dataset.room === focused)?.focus();
    document.title = state.unread ? `(${state.unread}) imc` : 'imc';
  }

  list(title, rooms) {
    if (!rooms.length) return [];
    const id = `list-${title.replace(/\W/g, '-').toLowerCase()}`;
    return [h('h2', { id }, title), h('ul', { 'aria-labelledby': id }, rooms.map((room) => h('li', {}, this.item(room))))];
  }

  item(room) {
    const name = userOf(room.aor);
    const last = room.messages.findLast((one) => one.kind === 'talk');
    const about = room.role === 'invited' ? `from ${room.inviter || 'somebody'}` : last ? `${last.label}: ${last.text}` : room.role;
    return h(
      'button',
      { 'data-room': room.aor, title: room.aor, 'aria-current': room.aor === this.chat.state.current ? 'true' : null },
      h('span', { class: `avatar hue-${hueOf(room.aor)}`, 'aria-hidden': 'true' }, initialOf(name)),
      h(
        'span',
        { class: 'names' },
        h('strong', {}, h('bdi', {}, name), room.isPrivate && h('span', { class: 'tag' }, 'private')),
        h('small', {}, h('bdi', {}, about.slice(0, 80)))
      ),
      room.unread
        ? h('span', { class: 'count' }, String(room.unread), h('span', { class: 'unseen' }, ' not read'))
        : null
    );
  }

  get host() {
    return this.chat.state.account.slice(this.chat.state.account.lastIndexOf('@') + 1);
  }

  // What was typed as a room's name, as its address: where the pattern is a prefix ("chat-*") it need not be typed.
  named(text) {
    const { rooms } = this.chat.config;
    const bare = text.trim().toLowerCase().replace(/\s+/g, '-');
    let aor = address(bare, this.host);
    const prefix = /^([^*?]+)\*$/.exec(rooms);
    if (aor && prefix && !isRoom(aor, rooms)) aor = prefix[1] + aor;
    if (aor && isRoom(aor, rooms)) return aor;
    this.chat.told(`A room cannot be named ${bare || 'that'} here.`, true);
    return '';
  }

  async create() {
    const fields = [
      { name: 'name', label: 'Name', hint: `One word, as lobby. Its address becomes ${this.chat.config.rooms.replace('*', 'lobby')}@${this.host}` },
      { name: 'private', label: 'Private: only those invited can see and join it', type: 'checkbox' },
    ];
    const given = await ask({ title: 'New room', fields, action: 'Create' });
    const aor = given && this.named(given.name);
    if (aor) this.chat.create(aor, given.private === 'on');
  }

  async join() {
    const fields = [{ name: 'name', label: 'Name or address of the room' }];
    const given = await ask({ title: 'Join a room', fields, action: 'Join' });
    const aor = given && this.named(given.name);
    if (aor) this.chat.join(aor);
  }
}
