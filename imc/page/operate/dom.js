// Elements from data. Text becomes text nodes and attributes become attributes: nothing that comes from the server is
// ever parsed as HTML.

const SVG = 'http://www.w3.org/2000/svg';

/** An element: `h('td', { class: 'number', onclick: work }, 'text', child, null)`. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Likewise, of SVG. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'value') element.value = value;
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  put(element, children);
  return element;
}

function put(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Other children for an element. */
export function show(element, ...children) {
  element.replaceChildren();
  put(element, children);
}

export const find = (id) => document.getElementById(id);

/** A table: `columns` are [title, class] and `rows` lists of cells, each text or nodes. */
export function table(caption, columns, rows, empty = 'Nothing.') {
  if (!rows.length) return h('p', { class: 'empty' }, empty);
  return h(
    'div',
    { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption },
    h(
      'table',
      {},
      h('caption', { class: 'hidden' }, caption),
      h('thead', {}, h('tr', {}, columns.map(([title, kind]) => h('th', { scope: 'col', class: kind }, title || h('span', { class: 'hidden' }, 'Actions'))))),
      h(
        'tbody',
        {},
        rows.map((cells) =>
          h('tr', {}, cells.map((cell, index) => h('td', { class: columns[index][1], 'data-title': columns[index][0] }, cell)))
        )
      )
    )
  );
}

/** A labelled input or select. */
export function field(label, control) {
  return h('label', { class: 'field' }, h('span', {}, label), control);
}

export function select(options, value, attributes = {}) {
  return h('select', attributes, options.map(([key, text]) => h('option', { value: key, selected: key === value }, text)));
}

const two = (number) => String(number).padStart(2, '0');

/** Unix seconds as local time; "" for none. */
export function time(seconds) {
  if (!seconds) return '';
  const date = new Date(seconds * 1000);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return h('time', { datetime: date.toISOString() }, `${day} ${clock}`);
}

/** Seconds as people say them. */
export function span(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** A number with few digits. */
export function figure(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  if (Number.isInteger(value)) return value.toLocaleString('en');
  return value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en');
}
