// Lines over time as SVG, drawn anew for each set of samples.

import { figure, h, s } from './dom.js';

const WIDTH = 420;
const HEIGHT = 150;
const LEFT = 44;
const BOTTOM = 20;
const TOP = 8;

/** The next larger of 1, 2, 5, 10, 20 … */
export function ceiling(value) {
  if (!(value > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * unit).find((step) => step >= value * 0.999999);
}

/** Differences a second of a counter: [[time, value], …]; one that has fallen began anew. */
export function rates(points) {
  const found = [];
  for (let index = 1; index < points.length; index += 1) {
    const [before, first] = points[index - 1];
    const [now, second] = points[index];
    if (now - before < 0.5) continue;
    found.push([now, (second >= first ? second - first : second) / (now - before)]);
  }
  return found;
}

const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });

/** A figure with its plot: `series` are {name, points: [[unix seconds, value], …]}; `unit` as "/s". */
export function plot(title, series, { from, until, unit = '', gap = 20 }) {
  const values = series.flatMap(({ points }) => points.map(([, value]) => value));
  const top = ceiling(Math.max(0, ...values));
  const x = (when) => LEFT + ((when - from) / (until - from || 1)) * (WIDTH - LEFT - 4);
  const y = (value) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM);
  const grid = [0, 0.5, 1].map((part) => [
    s('line', { class: 'grid', x1: LEFT, x2: WIDTH - 4, y1: y(part * top), y2: y(part * top) }),
    s('text', { class: 'tick', x: LEFT - 6, y: y(part * top) + 4, 'text-anchor': 'end' }, figure(part * top)),
  ]);
  const step = (until - from) / 3;
  const times = [0, 1, 2, 3].map((index) =>
    s(
      'text',
      {
        class: 'tick',
        x: x(from + index * step),
        y: HEIGHT - 4,
        'text-anchor': index === 0 ? 'start' : index === 3 ? 'end' : 'middle',
      },
      clock(from + index * step)
    )
  );
  const lines = series.map(({ points }, index) =>
    s('path', { class: `line line-${index}`, d: path(points, x, y, gap), fill: 'none' })
  );
  const latest = series.map(({ name, points }) => {
    const last = points.length ? points[points.length - 1][1] : null;
    return { name, last, most: Math.max(0, ...points.map(([, value]) => value)) };
  });
  const words = latest.map(({ name, last, most }) => `${name} ${figure(last)}${unit}, at most ${figure(most)}${unit}`);
  return h(
    'figure',
    { class: 'plot', 'data-plot': title },
    h('figcaption', {}, title),
    s(
      'svg',
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': `${title} since ${clock(from)}: ${words.join('; ')}` },
      grid,
      times,
      lines
    ),
    h(
      'ul',
      { class: 'legend' },
      latest.map(({ name, last, most }, index) =>
        h(
          'li',
          { 'data-series': name, 'data-last': last, 'data-most': most },
          h('span', { class: `key key-${index}`, 'aria-hidden': 'true' }),
          `${name} `,
          h('strong', {}, `${figure(last)}${unit}`)
        )
      )
    )
  );
}

// A line is broken where samples are missing.
function path(points, x, y, gap) {
  let before = -Infinity;
  return points
    .map(([when, value]) => {
      const command = when - before > gap ? 'M' : 'L';
      before = when;
      return `${command}${x(when).toFixed(1)} ${y(value).toFixed(1)}`;
    })
    .join('');
}
