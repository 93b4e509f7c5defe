// What [limits] says, what of it is used, and who has hit what.

import * as api from '../api.js';
import { figure, h, show, table, time } from '../dom.js';

function open(place, { act, ask }) {
  const hits = h('section');
  const all = h('section');
  show(place, hits, all);
  const mayAct = api.may('operator');

  async function change(limit, value) {
    const control = h('input', { name: 'value', value: String(value), autocomplete: 'off' });
    const answer = await ask({
      title: limit,
      text: 'Until the next reload or start. To keep it, write it into the configuration as well.',
      fields: [['value', 'Value', control]],
      button: 'Set',
    });
    if (!answer) return;
    await act(() => api.call('imc.set_limit', { limit, value: answer.value }).then(() => `${limit} is ${answer.value}.`));
  }

  async function refresh(options) {
    const [found, limits] = await api.calls([['imc.hits', { limit: '200' }], ['imc.limits']], options);
    if (found instanceof Error) throw found;
    if (limits instanceof Error) throw limits;
    const rows = found.hits.map((hit) => [hit.limit, hit.who, figure(hit.count), time(hit.first), time(hit.last)]);
    const columns = [['Limit'], ['Who'], ['Times', 'number'], ['First'], ['Last']];
    show(hits, h('h2', {}, 'Hit of late'), table('Limits hit', columns, rows, 'No limit was hit since the start.'));
    const shown = (value) => (typeof value === 'number' ? figure(value) : String(value ?? ''));
    const settings = limits.map((one) => [
      one.limit,
      shown(one.value),
      one.used === null ? '' : shown(one.used),
      figure(found.totals[one.limit] ?? one.hits ?? 0),
      mayAct && one.reload
        ? h('button', { type: 'button', 'aria-label': `Set ${one.limit}`, onclick: () => change(one.limit, one.value) }, 'Set…')
        : '',
    ]);
    const titles = [['Limit'], ['Value', 'number'], ['Used', 'number'], ['Hit', 'number'], ['', 'actions']];
    show(all, h('h2', {}, 'In force'), table('Limits in force', titles, settings));
  }

  return { refresh };
}

export default { title: 'Limits', role: 'viewer', every: 10, open };
