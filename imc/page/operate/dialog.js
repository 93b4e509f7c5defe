// A question before something is done. What cannot be undone wants a word typed.

import { field, find, h, show } from './dom.js';

/**
 * Ask; the values of the fields where it is confirmed, else null.
 * `fields` are [name, label, control]; `word` is what must be typed; `danger` marks the button.
 */
export function ask({ title, text, fields = [], word = '', button, danger = false }) {
  const dialog = find('dialog');
  const typed = h('input', { name: 'confirm', autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none' });
  const confirm = h('button', { type: 'submit', class: danger ? 'danger' : 'main', disabled: word !== '' }, button);
  typed.addEventListener('input', () => {
    confirm.disabled = typed.value.trim() !== word;
  });
  return new Promise((resolve) => {
    let answer = null;
    const form = h(
      'form',
      {
        method: 'dialog',
        onsubmit: () => {
          if (confirm.disabled) return;
          answer = Object.fromEntries(fields.map(([name, , control]) => [name, control.value]));
        },
      },
      h('h2', { id: 'dialog-title' }, title),
      h('p', {}, text),
      fields.map(([, label, control]) => field(label, control)),
      word ? field(`To confirm, type ${word}`, typed) : null,
      h(
        'div',
        { class: 'buttons' },
        h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel'),
        confirm
      )
    );
    show(dialog, form);
    dialog.addEventListener('close', () => resolve(answer), { once: true });
    dialog.showModal();
    (fields.length ? fields[0][2] : word ? typed : confirm).focus();
  });
}
