// Copies that wait for their recipient, and dead letters. Their text is not shown.

import * as api from '../api.js';
import { field, h, select, show, table, time } from '../dom.js';

const PAGE = 100;

function open(place, { act, ask }) {
  let after = '';
  let back = [];
  const mayAct = api.may('operator');
  const state = select([['all', 'all'], ['dead', 'dead letters'], ['waiting', 'waiting']], 'all', { name: 'state', onchange: begin });
  const who = h('input', { type: 'search', name: 'recipient', autocomplete: 'off', spellcheck: 'false' });
  const list = h('div');
  show(
    place,
    h(
      'form',
      {
        class: 'bar',
        onsubmit: (event) => {
          event.preventDefault();
          begin();
        },
      },
      field('State', state),
      field('Recipient', who),
      h('button', { type: 'submit' }, 'Search'),
      mayAct ? h('button', { type: 'button', onclick: retryAll }, 'Retry all dead letters…') : null
    ),
    list
  );

  function begin() {
    after = '';
    back = [];
    act(async () => '');
  }

  async function retryAll() {
    const recipient = who.value.trim() || 'all';
    const text = recipient === 'all' ? 'Those of everybody are put back.' : `Those for ${recipient} are put back.`;
    const answer = await ask({ title: 'Retry all dead letters?', text, button: 'Retry' });
    if (answer) await act(() => api.call('imc.outbox_retry', { recipient }).then((count) => `${count} put back.`));
  }

  async function drop(copy) {
    const text = `The copy for ${copy.recipient} from ${copy.from} is deleted, unread.`;
    const answer = await ask({ title: 'Drop it?', text, button: 'Drop', danger: true });
    if (!answer) return;
    const params = { recipient: copy.recipient, state: copy.state, id: copy.id };
    await act(() => api.call('imc.outbox_drop', params).then((count) => `${count} deleted.`));
  }

  const retry = (copy) =>
    act(() => api.call('imc.outbox_retry', { recipient: copy.recipient, id: copy.id }).then((count) => `${count} put back.`));

  async function refresh(options) {
    const params = { recipient: who.value.trim(), state: state.value, after, limit: String(PAGE) };
    const found = await api.call('imc.outbox', params, options);
    const rows = found.copies.map((copy) => [
      copy.recipient,
      copy.from,
      copy.event,
      h('span', { class: copy.state === 'dead' ? 'badge bad' : 'badge' }, copy.state),
      time(copy.created),
      copy.tries,
      copy.status || '',
      copy.size,
      mayAct
        ? h(
            'span',
            { class: 'buttons' },
            copy.state === 'dead' ? h('button', { type: 'button', onclick: () => retry(copy) }, 'Retry') : null,
            h('button', { type: 'button', onclick: () => drop(copy) }, 'Drop…')
          )
        : '',
    ]);
    const columns = [
      ['Recipient'], ['From'], ['Event'], ['State'], ['Since'], ['Tries', 'number'], ['Status', 'number'],
      ['Bytes', 'number'], ['', 'actions'],
    ];
    const turn = (to) => {
      after = to;
      act(async () => '');
    };
    show(
      list,
      table('Outbox', columns, rows, 'Nothing waits.'),
      h(
        'div',
        { class: 'buttons' },
        h('button', { type: 'button', disabled: !back.length, onclick: () => turn(back.pop()) }, 'Previous'),
        h(
          'button',
          {
            type: 'button',
            disabled: !found.next,
            onclick: () => {
              back.push(after);
              turn(found.next);
            },
          },
          'Next'
        )
      )
    );
  }

  return { refresh };
}

export default { title: 'Outbox', role: 'viewer', every: 10, open };
