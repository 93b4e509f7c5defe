// Elements, made of texts only: nothing that came from anybody is ever parsed as HTML.

// h('button', { class: 'x', onclick: f, 'aria-label': 'y' }, 'text', child, null)
export function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? '' : String(value));
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== '' && child !== false));
  return made;
}

export const byId = (id) => document.getElementById(id);

const LINK = /\bhttps?:\/\/[^\s<>"'\u202a-\u202e\u2066-\u2069]+[^\s<>"'.,;:!?)\]\u202a-\u202e\u2066-\u2069]/g;

// A text with its web addresses as links; what else it holds stays text.
export function linked(text) {
  const parts = [];
  let at = 0;
  for (const found of text.matchAll(LINK)) {
    parts.push(text.slice(at, found.index));
    parts.push(h('a', { href: found[0], target: '_blank', rel: 'noopener noreferrer nofollow' }, found[0]));
    at = found.index + found[0].length;
  }
  parts.push(text.slice(at));
  return parts.filter((part) => part !== '');
}

// Ask in a dialog: resolves to the form's values where it was confirmed, else to null. The fields are given as
// { name, label, type, value, options, pattern, required, hint }.
export function ask({ title, text = '', fields = [], action, isDangerous = false }) {
  return new Promise((resolve) => {
    const inputs = fields.map((field) => fieldOf(field));
    const cancel = h('button', { type: 'button', class: 'quiet' }, 'Cancel');
    const form = h(
      'form',
      { method: 'dialog' },
      h('h2', { id: 'dialog-title' }, title),
      text && h('p', {}, text),
      ...inputs,
      h('div', { class: 'actions' }, cancel, h('button', { class: isDangerous ? 'danger' : 'primary', value: 'yes' }, action))
    );
    const dialog = h('dialog', { 'aria-labelledby': 'dialog-title' }, form);
    const before = document.activeElement;
    cancel.addEventListener('click', () => dialog.close(''));
    dialog.addEventListener('close', () => {
      const values = Object.fromEntries(new FormData(form));
      dialog.remove();
      if (before && before.isConnected) before.focus();
      resolve(dialog.returnValue === 'yes' ? values : null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

function fieldOf({ name, label, type = 'text', value = '', options = null, required = true, hint = '', pattern = null }) {
  const id = `field-${name}`;
  if (type === 'checkbox') {
    return h('label', { class: 'check' }, h('input', { type, name, id }), label);
  }
  const input = options
    ? h('select', { name, id }, options.map((each) => h('option', { value: each, selected: each === value }, each)))
    : h('input', { name, id, type, value, required, pattern, maxlength: 200, autocomplete: 'off', autocapitalize: 'off',
        spellcheck: 'false', 'aria-describedby': hint ? `${id}-hint` : null });
  return h('p', { class: 'field' }, h('label', { for: id }, label), input, hint && h('small', { id: `${id}-hint` }, hint));
}

const DAY = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

export const dayOf = (time) => DAY.format(time);
export const clockOf = (time) => CLOCK.format(time);

// One of eight colours of the style sheet, always the same for one name.
export function hueOf(name) {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + character.codePointAt(0)) % 997;
  return sum % 8;
}

export const initialOf = (name) => [...name.replace(/^chat-/, '')][0]?.toUpperCase() || '?';
