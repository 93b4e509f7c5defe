// Who is in the open room, and what one's role there permits (docs/reference/permissions.md). The server decides.

import { ask, byId, h, hueOf, initialOf } from './dom.js';
import { address, userOf } from './protocol.js';

const RANKS = { owner: 3, admin: 2, member: 1, invited: 0 };

export class PeopleView {
  constructor(chat) {
    this.chat = chat;
    byId('show-people').onclick = () => this.show(byId('people').hidden);
    byId('hide-people').onclick = () => this.show(false);
    byId('people').onkeydown = (event) => {
      if (event.key === 'Escape') this.show(false);
    };
    this.key = '';
  }

  show(isShown) {
    byId('people').hidden = !isShown;
    byId('show-people').setAttribute('aria-expanded', String(isShown));
    document.body.classList.toggle('with-people', isShown);
    if (isShown) byId('hide-people').focus();
    else byId('show-people').focus();
  }

  render() {
    const { state } = this.chat;
    const room = state.current && state.room(state.current);
    if (!room || !state.isIn(room)) {
      byId('people').hidden = true;
      byId('show-people').hidden = true;
      document.body.classList.remove('with-people');
      return;
    }
    byId('show-people').hidden = false;
    const people = [...room.members].sort(([one, role], [other, otherRole]) => RANKS[otherRole] - RANKS[role] || one.localeCompare(other));
    const key = JSON.stringify([room.aor, room.role, people]);
    if (key === this.key) return;
    this.key = key;
    byId('members').replaceChildren(...people.map(([aor, role]) => this.person(room, aor, role)));
    const button = (text, kind, act) => h('button', { class: kind, onclick: act }, text);
    const mayInvite = RANKS[room.role] >= RANKS.admin;
    byId('room-actions').replaceChildren(
      ...(mayInvite ? [button('Invite', 'primary', () => this.invite(room))] : []),
      button('Leave the room', 'quiet', () => this.leave(room)),
      ...(room.role === 'owner' ? [button('Close the room', 'danger', () => this.destroy(room))] : [])
    );
  }

  person(room, aor, role) {
    const isMe = aor === this.chat.state.account;
    const name = userOf(aor);
    const mayModify = room.role === 'owner';
    const mayRemove = !isMe && RANKS[room.role] >= RANKS.admin && RANKS[room.role] > RANKS[role];
    return h(
      'li',
      {},
      h('span', { class: `avatar hue-${hueOf(name)}`, 'aria-hidden': 'true' }, initialOf(name)),
      h('span', { class: 'names', title: aor }, h('strong', {}, h('bdi', {}, name), isMe ? ' (you)' : ''), h('small', {}, role)),
      mayModify && !isMe
        ? h('button', { class: 'icon', 'aria-label': `Change the role of ${name}`, title: 'Change the role', onclick: () => this.modify(room, aor, role) }, '⚙')
        : null,
      mayRemove
        ? h('button', { class: 'icon', 'aria-label': `Remove ${name}`, title: 'Remove', onclick: () => this.remove(room, aor) }, '−')
        : null
    );
  }

  async invite(room) {
    const host = room.aor.slice(room.aor.lastIndexOf('@') + 1);
    const fields = [{ name: 'user', label: 'Name or address', hint: `Without an @: somebody of ${host}` }];
    const given = await ask({ title: `Invite to ${userOf(room.aor)}`, fields, action: 'Invite' });
    if (!given) return;
    const aor = address(given.user, host);
    if (aor) this.chat.run(room.aor, `invite sip:${aor}`);
    else this.chat.told('That is not a name or an address.', true);
  }

  async modify(room, aor, role) {
    const fields = [{ name: 'role', label: 'Role', options: ['owner', 'admin', 'member'], value: role }];
    const given = await ask({ title: `Role of ${userOf(aor)}`, fields, action: 'Change' });
    if (given && given.role !== role) this.chat.run(room.aor, `modify sip:${aor} ${given.role}`);
  }

  async remove(room, aor) {
    const given = await ask({ title: `Remove ${userOf(aor)}?`, text: `${aor} will not see this room any more.`, action: 'Remove', isDangerous: true });
    if (given) this.chat.run(room.aor, `remove sip:${aor}`);
  }

  async leave(room) {
    const others = [...room.members].some(([aor, role]) => role === 'owner' && aor !== this.chat.state.account);
    const text = room.role === 'owner' && !others ? 'You are its last owner: without one the room may end for everybody.' : '';
    const given = await ask({ title: `Leave ${userOf(room.aor)}?`, text, action: 'Leave', isDangerous: true });
    if (given && (await this.chat.run(room.aor, 'leave'))) this.chat.close();
  }

  async destroy(room) {
    const text = 'It ends for everybody in it, with all that was said.';
    const given = await ask({ title: `Close ${userOf(room.aor)}?`, text, action: 'Close the room', isDangerous: true });
    if (given && (await this.chat.run(room.aor, 'destroy'))) this.chat.close();
  }
}
