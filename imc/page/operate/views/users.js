// Who is registered, and from where; and who has an account.

import * as api from '../api.js';
import { field, h, show, span, table, time } from '../dom.js';

const PAGE = 100;

function open(place, { act, ask }) {
  let after = '';
  let accountsAfter = '';
  const who = h('input', { type: 'search', name: 'user', autocomplete: 'off', spellcheck: 'false' });
  const registered = h('section');
  const accounts = h('section');
  const again = () => act(async () => '');
  show(
    place,
    h(
      'form',
      {
        class: 'bar',
        onsubmit: (event) => {
          event.preventDefault();
          after = '';
          again();
        },
      },
      field('User', who),
      h('button', { type: 'submit' }, 'Search')
    ),
    registered,
    accounts
  );

  async function kick(user) {
    const text = `All registrations of ${user} end. Their program may register again.`;
    const answer = await ask({ title: 'End the registrations?', text, button: 'End them', danger: true });
    if (answer) await act(() => api.call('imc.kick', { user }).then((count) => `${count} ended.`));
  }

  async function password(user) {
    const control = h('input', { name: 'password', type: 'password', autocomplete: 'new-password' });
    const answer = await ask({ title: 'New password', text: user, fields: [['password', 'Password', control]], button: 'Set' });
    if (answer) {
      await act(() => api.call('imc.user_password', { user, password: answer.password }).then(() => 'The password is set.'));
    }
  }

  async function remove(user) {
    const text = 'Their part in rooms, and what they said, stay.';
    const answer = await ask({ title: 'Remove the account?', text, word: user, button: 'Remove', danger: true });
    if (answer) await act(() => api.call('imc.user_remove', { user }).then(() => `${user} is removed.`));
  }

  async function forget(user) {
    const answer = await ask({
      title: 'Forget them?',
      text: `What ${user} said is taken out of every room's log, they out of every room; their account goes too.`,
      word: user,
      button: 'Forget',
      danger: true,
    });
    if (answer) {
      await act(() => api.call('imc.forget', { user, do: 'yes', account: 'remove' }).then(() => `${user} is forgotten.`));
    }
  }

  async function add() {
    const user = h('input', { name: 'user', autocomplete: 'off', spellcheck: 'false' });
    const secret = h('input', { name: 'password', type: 'password', autocomplete: 'new-password' });
    const fields = [['user', 'Address', user], ['password', 'Password', secret]];
    const answer = await ask({ title: 'A new account', text: 'As sip:alice@example.com', fields, button: 'Add' });
    if (answer) await act(() => api.call('imc.user_add', answer).then(() => `${answer.user} is added.`));
  }

  async function refresh(options) {
    const isAdmin = api.may('admin');
    const [found, listed] = await api.calls(
      [
        ['imc.registered', { user: who.value.trim(), after, limit: String(PAGE) }],
        ['imc.users', { after: accountsAfter, limit: String(PAGE) }],
      ],
      options
    );
    if (found instanceof Error) throw found;
    if (listed instanceof Error) throw listed;
    const rows = found.users.flatMap(({ user, contacts }) =>
      contacts.map((one, index) => [
        index ? '' : user,
        one.contact,
        one.transport,
        one.from,
        one.connected === null ? '' : one.connected ? 'open' : 'closed',
        span(one.expires),
        time(one.registered),
        one.agent,
        !index && api.may('operator')
          ? h('button', { type: 'button', 'aria-label': `End the registrations of ${user}`, onclick: () => kick(user) }, 'End…')
          : '',
      ])
    );
    const columns = [
      ['User'], ['Contact'], ['Transport'], ['From'], ['Connection'], ['Expires in'], ['Registered'], ['Program'],
      ['', 'actions'],
    ];
    const more = (next, turn) =>
      next ? h('button', { type: 'button', onclick: () => turn(next) }, 'Next page') : null;
    show(
      registered,
      h('h2', {}, 'Registered'),
      table('Registered users', columns, rows, 'Nobody.'),
      more(found.next, (next) => {
        after = next;
        again();
      })
    );
    const people = listed.users.map((user) => [
      user,
      isAdmin
        ? h(
            'span',
            { class: 'buttons' },
            h('button', { type: 'button', 'aria-label': `Password of ${user}`, onclick: () => password(user) }, 'Password…'),
            h('button', { type: 'button', 'aria-label': `Remove ${user}`, onclick: () => remove(user) }, 'Remove…'),
            h('button', { type: 'button', 'aria-label': `Forget ${user}`, onclick: () => forget(user) }, 'Forget…')
          )
        : '',
    ]);
    show(
      accounts,
      h('h2', {}, 'Accounts'),
      isAdmin ? h('button', { type: 'button', onclick: add }, 'Add an account…') : null,
      table('Accounts', [['User'], ['', 'actions']], people, 'No accounts.'),
      more(listed.next, (next) => {
        accountsAfter = next;
        again();
      })
    );
  }

  return { refresh };
}

export default { title: 'Users', role: 'viewer', every: 10, open };
