// Who sends how much of late. What they say is not shown: nobody but the rooms' members reads it.

import * as api from '../api.js';
import { field, figure, h, select, show, table } from '../dom.js';

function open(place, { act }) {
  const again = () => act(async () => '');
  const minutes = select([['1', 'minute'], ['10', '10 minutes'], ['60', 'hour']], '10', { name: 'minutes', onchange: again });
  const found = h('div', { class: 'columns' });
  show(place, h('div', { class: 'bar' }, field('Of the last', minutes)), found);

  async function refresh(options) {
    const { senders, rooms } = await api.call('imc.traffic', { minutes: minutes.value, limit: '20' }, options);
    const list = (title, talkers, link) => {
      const most = Math.max(1, ...talkers.map((one) => one.messages));
      const rows = talkers.map((one) => [
        one.name && link ? h('a', { href: `#rooms/${encodeURIComponent(one.name)}` }, one.name) : one.name || '(others)',
        [figure(one.messages), ' ', h('meter', { min: 0, max: most, value: one.messages, 'aria-hidden': 'true' })],
        figure(one.copies),
        figure(one.bytes),
        figure(one.refused),
      ]);
      const columns = [['Name'], ['Messages', 'number'], ['Copies', 'number'], ['Bytes', 'number'], ['Refused', 'number']];
      return h('section', {}, h('h2', {}, title), table(title, columns, rows, 'Silence.'));
    };
    show(found, list('Users', senders, false), list('Rooms', rooms, true));
  }

  return { refresh };
}

export default { title: 'Traffic', role: 'viewer', every: 5, open };
