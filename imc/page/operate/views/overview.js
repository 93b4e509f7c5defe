// How the daemon does: a few figures, and plots of the last hour.

import * as api from '../api.js';
import { figure, h, show, span, time } from '../dom.js';
import { plot, rates } from '../plot.js';

const HOUR = 3600;
const LEAST = 120;
const LONG = ['Listens on', 'Database', 'Since'];
const PLOTS = [
  ['Messages to rooms', '/s', [['messages', 'room_messages'], ['commands', 'room_commands']]],
  ['Deliveries', '/s', [['delivered', 'delivered'], ['failed', 'failed'], ['put off', 'put_off'], ['given up', 'dead_letters']]],
  ['Refusals', '/s', [['refused', 'refusals'], ['limits hit', 'limits_hit'], ['muted', 'messages_muted']]],
  ['Queues', '', [['to be sent', 'queued'], ['waiting', 'waiting'], ['writes', 'writes_waiting']]],
  ['Rooms', '', [['rooms', 'active_rooms'], ['in memory', 'rooms_in_memory']]],
  ['People', '', [['members in memory', 'members_in_memory'], ['contacts', 'bindings']]],
  ['SIP', '/s', [['datagrams in', 'udp_received'], ['datagrams out', 'udp_sent']]],
  ['Latency', ' ms', [['half', 'latency_p50'], ['95 %', 'latency_p95'], ['99 %', 'latency_p99']]],
];

function open(place) {
  let rows = [];
  let known = null;
  const facts = h('dl', { class: 'facts' });
  const plots = h('div', { class: 'plots' });
  const health = h('p', { class: 'health' });
  show(place, health, facts, plots);

  async function refresh(options) {
    const kept = rows.length > 1 ? rows[rows.length - 2][0] : 0; // the last one was of that moment
    const [status, samples] = await api.calls([['imc.status'], ['imc.samples', { since: String(kept) }]], options);
    if (samples instanceof Error) throw samples;
    known = samples;
    rows = [...rows.filter((row) => row[0] <= kept), ...samples.rows].slice(-1000);
    draw();
    if (status instanceof Error) throw status;
    describe(status);
  }

  function describe(status) {
    const connections = Object.entries(status.connections || {}).map(([kind, count]) => `${kind} ${count}`);
    const isWell = !status.dead;
    show(health, h('span', { class: isWell ? 'badge good' : 'badge bad' }, isWell ? 'Well' : 'Look'), ' ', [
      status.dead ? `${figure(status.dead)} copies were given up since the start: see the outbox. ` : '',
      `imc ${status.version || ''} has been running for ${span(status.uptime)}.`,
    ]);
    const pairs = [
      ['Rooms', figure(status.rooms)],
      ['Registered users', figure(status.users_registered)],
      ['Contacts', figure(status.contacts)],
      ['Waiting copies', figure(status.waiting)],
      ['Given up', figure(status.dead)],
      ['Subscriptions', figure(status.subscriptions)],
      ['Connections', connections.join(', ') || '–'],
      ['Listens on', (status.listen || []).join(' ')],
      ['Database', status.database],
      ['Since', time(status.started)],
    ];
    show(
      facts,
      pairs.map(([name, value]) =>
        h('div', { class: LONG.includes(name) && 'long' }, h('dt', {}, name), h('dd', {}, value))
      )
    );
  }

  function draw() {
    const until = rows[rows.length - 1][0];
    const from = Math.max(until - HOUR, Math.min(rows[0][0], until - LEAST)); // no empty hour after a start
    const column = (name) => {
      const index = known.names.indexOf(name);
      if (index < 0) return null;
      const points = rows.map((row) => [row[0], row[index + 1]]);
      const found = known.counters.includes(name) ? rates(points) : points;
      return found.filter(([when, value]) => when >= from && value !== null);
    };
    show(
      plots,
      PLOTS.map(([title, unit, series]) => {
        const lines = series.map(([name, key]) => ({ name, points: column(key) })).filter(({ points }) => points);
        return lines.length ? plot(title, lines, { from, until, unit, gap: 4 * known.interval }) : null;
      })
    );
  }

  return { refresh };
}

export default { title: 'Overview', role: 'viewer', every: 5, open };
