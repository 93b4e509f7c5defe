// Who may log in here; and what only admins do to the daemon.

import * as api from '../api.js';
import { h, select, show, table, time } from '../dom.js';

const ROLES = [['viewer', 'viewer: sees'], ['operator', 'operator: acts on rooms, outbox and limits'], ['admin', 'admin: all']];

function open(place, { act, ask }) {
  const list = h('div');
  show(
    place,
    h(
      'div',
      { class: 'bar' },
      h('button', { type: 'button', onclick: add }, 'Add an operator…'),
      h('button', { type: 'button', onclick: reload }, 'Reload the configuration…')
    ),
    list
  );

  async function add() {
    const name = h('input', { name: 'name', autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none' });
    const password = h('input', { name: 'password', type: 'password', autocomplete: 'new-password' });
    const answer = await ask({
      title: 'A new operator',
      text: 'a-z, 0-9, dot, dash and underscore; a password of 8 characters at least.',
      fields: [['name', 'Name', name], ['role', 'Role', select(ROLES, 'viewer', { name: 'role' })], ['password', 'Password', password]],
      button: 'Add',
    });
    if (answer) await act(() => api.call('imc.operator_add', answer).then(() => `${answer.name} is added.`));
  }

  async function reload() {
    const text = 'The configuration and the certificates are read again. Limits that were set here are gone then.';
    if (!(await ask({ title: 'Reload?', text, button: 'Reload' }))) return;
    await act(async () => {
      const found = await api.call('imc.reload');
      const restart = found.needs_restart.length ? ` Needs a restart: ${found.needs_restart.join(', ')}.` : '';
      return `Changed: ${found.changed.join(', ') || 'nothing'}.${restart}`;
    });
  }

  async function role(one) {
    const control = select(ROLES, one.role, { name: 'role' });
    const text = `${one.name} is logged out by it.`;
    const answer = await ask({ title: 'Another role', text, fields: [['role', 'Role', control]], button: 'Change' });
    if (answer) {
      await act(() => api.call('imc.operator_role', { name: one.name, role: answer.role }).then(() => `${one.name} is ${answer.role}.`));
    }
  }

  async function password(one) {
    const control = h('input', { name: 'password', type: 'password', autocomplete: 'new-password' });
    const text = `${one.name} is logged out by it.`;
    const answer = await ask({ title: 'New password', text, fields: [['password', 'Password', control]], button: 'Set' });
    if (answer) {
      await act(() => api.call('imc.operator_password', { name: one.name, password: answer.password }).then(() => 'The password is set.'));
    }
  }

  async function remove(one) {
    const answer = await ask({ title: 'Remove the operator?', text: one.name, button: 'Remove', danger: true });
    if (answer) await act(() => api.call('imc.operator_remove', { name: one.name }).then(() => `${one.name} is removed.`));
  }

  async function refresh(options) {
    const found = await api.call('imc.operators', {}, options);
    const rows = found.map((one) => [
      one.name,
      h('span', { class: 'badge' }, one.role),
      time(one.created),
      h(
        'span',
        { class: 'buttons' },
        h('button', { type: 'button', 'aria-label': `Role of ${one.name}`, onclick: () => role(one) }, 'Role…'),
        h('button', { type: 'button', 'aria-label': `Password of ${one.name}`, onclick: () => password(one) }, 'Password…'),
        h('button', { type: 'button', 'aria-label': `Remove ${one.name}`, onclick: () => remove(one) }, 'Remove…')
      ),
    ]);
    show(list, table('Operators', [['Name'], ['Role'], ['Since'], ['', 'actions']], rows));
  }

  return { refresh };
}

export default { title: 'Operators', role: 'admin', every: 30, open };
