// Who did what: searched, in pages, and as a file.

import * as api from '../api.js';
import { field, h, show, table, time } from '../dom.js';

const PAGE = 100;
const MOST = 10_000; // rows of a file

function open(place, { act, tell }) {
  let after = '';
  const inputs = Object.fromEntries(
    ['room', 'user', 'caller', 'act', 'since', 'until'].map((name) => [
      name,
      h('input', { name, type: name === 'since' || name === 'until' ? 'datetime-local' : 'search', autocomplete: 'off', spellcheck: 'false' }),
    ])
  );
  const list = h('div');
  const wanted = () => {
    const params = {};
    for (const [name, input] of Object.entries(inputs)) {
      const value = input.value.trim();
      if (value) params[name] = input.type === 'datetime-local' ? String(new Date(value).getTime() / 1000) : value;
    }
    return params;
  };
  show(
    place,
    h(
      'form',
      {
        class: 'bar',
        role: 'search',
        onsubmit: (event) => {
          event.preventDefault();
          after = '';
          act(async () => '');
        },
      },
      field('Room', inputs.room),
      field('User', inputs.user),
      field('Done by', inputs.caller),
      field('Act', inputs.act),
      field('From', inputs.since),
      field('Until', inputs.until),
      h('button', { type: 'submit' }, 'Search'),
      h('button', { type: 'button', onclick: () => act(download) }, 'Save as a file')
    ),
    list
  );

  async function download() {
    const lines = [];
    let next = '';
    do {
      const found = await api.call('imc.audit', { ...wanted(), after: next, limit: '1000' });
      lines.push(...found.rows.map((row) => JSON.stringify(row)));
      next = found.next;
      tell(`${lines.length} rows …`);
    } while (next && lines.length < MOST);
    const url = URL.createObjectURL(new Blob([lines.map((line) => `${line}\n`).join('')], { type: 'application/jsonl' }));
    h('a', { href: url, download: 'imc-audit.jsonl' }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    return next ? `${lines.length} rows; there are more: narrow the time.` : `${lines.length} rows.`;
  }

  async function refresh(options) {
    const found = await api.call('imc.audit', { ...wanted(), after, limit: String(PAGE) }, options);
    const rows = found.rows.map((row) => [
      time(row.time),
      row.caller,
      row.via,
      row.act,
      row.room,
      row.user,
      Object.entries(row.detail).map(([name, value]) => `${name}: ${value}`).join(', '),
      row.result,
    ]);
    const columns = [['Time'], ['Done by'], ['Via'], ['Act'], ['Room'], ['User'], ['Details'], ['Result']];
    const turn = (to) => {
      after = to;
      act(async () => '');
    };
    show(
      list,
      table('Audit', columns, rows, 'Nothing.'),
      h(
        'div',
        { class: 'buttons' },
        h('button', { type: 'button', disabled: !after, onclick: () => turn('') }, 'Newest'),
        h('button', { type: 'button', disabled: !found.next, onclick: () => turn(found.next) }, 'Older')
      )
    );
  }

  return { refresh };
}

export default { title: 'Audit', role: 'operator', every: 15, open };
