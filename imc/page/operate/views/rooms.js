// Rooms: found by name, with their members; and what an operator may do to them.

import * as api from '../api.js';
import { field, figure, h, select, show, table } from '../dom.js';

const PAGE = 50;

function open(place, tools) {
  return tools.path[0] ? one(place, tools, tools.path[0]) : all(place, tools);
}

function all(place, { go, act }) {
  let after = '';
  let back = [];
  const search = h('input', { type: 'search', name: 'search', autocomplete: 'off', spellcheck: 'false' });
  const list = h('div');
  const form = h(
    'form',
    {
      class: 'bar',
      role: 'search',
      onsubmit: (event) => {
        event.preventDefault();
        after = '';
        back = [];
        act(async () => '');
      },
    },
    field('Name has', search),
    h('button', { type: 'submit' }, 'Search')
  );
  show(place, form, list);

  async function refresh(options) {
    const found = await api.call('imc.find_rooms', { text: search.value.trim(), after, limit: String(PAGE) }, options);
    const rows = found.rooms.map((room) => [
      h('a', { href: `#rooms/${encodeURIComponent(room.room)}` }, room.room),
      figure(room.members),
      room.owner || '–',
      h('span', { class: room.private ? 'badge' : 'badge quiet' }, room.private ? 'private' : 'public'),
    ]);
    const columns = [['Room'], ['Members', 'number'], ['Owner'], ['Kind']];
    show(
      list,
      table('Rooms', columns, rows, found.next ? 'None so far.' : 'No such room.'),
      h(
        'div',
        { class: 'buttons' },
        h('button', { type: 'button', disabled: !back.length, onclick: () => turn(back.pop(), false) }, 'Previous'),
        h('button', { type: 'button', disabled: !found.next, onclick: () => turn(found.next, true) }, 'Next')
      )
    );
  }

  function turn(to, isForward) {
    if (isForward) back.push(after);
    after = to;
    act(async () => '');
  }

  return { refresh, go };
}

function one(place, { act, ask, go }, room) {
  const about = h('dl', { class: 'facts' });
  const members = h('div');
  const mayAct = api.may('operator');
  const invitee = h('input', { name: 'user', autocomplete: 'off', spellcheck: 'false', required: true });
  show(
    place,
    h('p', {}, h('a', { href: '#rooms' }, '← All rooms')),
    h('h2', { class: 'address' }, room),
    about,
    h('h3', {}, 'People'),
    members,
    mayAct
      ? h(
          'form',
          {
            class: 'bar',
            onsubmit: (event) => {
              event.preventDefault();
              const user = invitee.value.trim();
              act(async () => {
                await api.call('imc.invite', { room, user });
                invitee.value = '';
                return `${user} is invited.`;
              });
            },
          },
          field('Invite', invitee),
          h('button', { type: 'submit' }, 'Invite')
        )
      : null,
    mayAct
      ? h(
          'div',
          { class: 'card risky' },
          h('h3', {}, 'End the room'),
          h('p', {}, 'Everybody in it is told. What was said in it is gone.'),
          h('button', { type: 'button', class: 'danger', onclick: destroy }, 'Destroy the room…')
        )
      : null
  );

  async function destroy() {
    const answer = await ask({
      title: 'Destroy the room?',
      text: `${room} ends for all its members. This cannot be undone.`,
      word: room,
      button: 'Destroy',
      danger: true,
    });
    if (!answer) return;
    await act(async () => {
      await api.call('imc.destroy_room', { room });
      go('rooms');
      return `${room} is destroyed.`;
    });
  }

  async function remove(user) {
    const text = `${user} leaves ${room}, and is told, as is the room.`;
    const answer = await ask({ title: 'Remove them?', text, button: 'Remove', danger: true });
    if (answer) await act(() => api.call('imc.remove', { room, user }).then(() => `${user} is removed.`));
  }

  async function change(user, role) {
    const roles = ['member', 'admin', 'owner'].map((name) => [name, name]);
    const control = select(roles, role, { name: 'role' });
    const answer = await ask({
      title: 'Another role',
      text: `${user} in ${room}:`,
      fields: [['role', 'Role', control]],
      button: 'Change',
    });
    if (answer) {
      await act(() => api.call('imc.set_role', { room, user, role: answer.role }).then(() => `${user} is ${answer.role}.`));
    }
  }

  async function refresh(options) {
    const [facts, people] = await api.calls([['imc.room', { room }], ['imc.members', { room }]], options);
    if (facts instanceof Error) throw facts;
    if (people instanceof Error) throw people;
    const pairs = [
      ['Kind', facts.private ? 'private' : 'public'],
      ['Members', figure(facts.members)],
      ['Invited', figure(facts.invited)],
      ['Kept', `${figure(facts.kept.messages)} messages, ${figure(facts.kept.days)} days`],
      ['Messages so far', figure(facts.logged)],
    ];
    show(about, pairs.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
    const rows = people.slice(0, 1000).map(({ user, role }) => [
      user,
      h('span', { class: `badge role-${role}` }, role),
      mayAct
        ? h(
            'span',
            { class: 'buttons' },
            role === 'invited'
              ? null
              : h('button', { type: 'button', 'aria-label': `Role of ${user}`, onclick: () => change(user, role) }, 'Role…'),
            h('button', { type: 'button', 'aria-label': `Remove ${user}`, onclick: () => remove(user) }, 'Remove…')
          )
        : '',
    ]);
    show(
      members,
      table('People in the room', [['User'], ['Role'], ['', 'actions']], rows),
      people.length > 1000 ? h('p', {}, `and ${figure(people.length - 1000)} more`) : null
    );
  }

  return { refresh };
}

export default { title: 'Rooms', role: 'viewer', every: 10, open };
