// The shell: log-in, the pages behind the hash, and asking again and again while the page can be seen.

import * as api from './api.js';
import { field, find, h, show } from './dom.js';
import { ask } from './dialog.js';
import audit from './views/audit.js';
import limits from './views/limits.js';
import operators from './views/operators.js';
import outbox from './views/outbox.js';
import overview from './views/overview.js';
import rooms from './views/rooms.js';
import traffic from './views/traffic.js';
import users from './views/users.js';

// Each view: {title, role, every: seconds, open(place, tools) → {refresh({isAutomatic}), close?}}
const VIEWS = { overview, rooms, traffic, outbox, limits, users, audit, operators };

let view = null;
let timer = 0;
let asking = null; // the promise of what is under way
let opened = '';

function tell(text) {
  find('status').textContent = text;
}

function complain(error) {
  const place = find('alert');
  place.hidden = !error;
  place.textContent = error ? error.message : '';
}

/** Do what somebody asked for, and say what came of it. */
async function act(work, done) {
  try {
    complain(null);
    const words = await work();
    await refresh(false);
    tell(words || done || '');
  } catch (error) {
    complain(error);
  }
}

async function refresh(isAutomatic) {
  if (asking && isAutomatic) return;
  while (asking) await asking; // what it brings may be of before
  if (!view) return;
  asking = look(view, isAutomatic);
  try {
    await asking;
  } finally {
    asking = null;
  }
}

async function look(asked, isAutomatic) {
  try {
    await asked.refresh({ isAutomatic });
    if (isAutomatic && asked.isFailing) complain(null);
    asked.isFailing = false;
  } catch (error) {
    if (view === asked && error.status !== 401) {
      asked.isFailing = true;
      complain(error);
    }
  }
}

function again(seconds) {
  clearInterval(timer);
  timer = setInterval(() => {
    if (document.visibilityState === 'visible' && !find('dialog').open) refresh(true);
  }, seconds * 1000);
}

function open() {
  const [name, ...rest] = location.hash.slice(1).split('/').map(safeDecode);
  const key = VIEWS[name] && api.may(VIEWS[name].role) ? name : 'overview';
  const { title, every, open: make } = VIEWS[key];
  clearInterval(timer);
  view?.close?.();
  complain(null);
  tell('');
  for (const link of find('nav').querySelectorAll('a')) {
    if (link.dataset.view === key) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = `${title} – imc operators`;
  const place = h('div', { class: 'view', 'data-view': key });
  show(find('main'), h('h1', {}, title), place);
  view = make(place, { act, ask, tell, complain, go, path: rest });
  if (opened && opened !== location.hash) find('main').focus({ preventScroll: true });
  opened = location.hash;
  refresh(false);
  again(every);
}

const safeDecode = (text) => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/** To another page: `go('rooms', 'sip:chat-1@example.com')`. */
function go(...parts) {
  const hash = `#${parts.map(encodeURIComponent).join('/')}`;
  if (hash === location.hash) open();
  else location.hash = hash;
}

function enter() {
  find('header').hidden = false;
  show(find('who'), api.me.name, ' ', h('span', { class: 'badge' }, api.me.role));
  show(
    find('nav'),
    Object.entries(VIEWS)
      .filter(([, { role }]) => api.may(role))
      .map(([key, { title }]) => h('a', { href: `./#${key}`, 'data-view': key }, title))
  );
  open();
}

function leave(words) {
  clearInterval(timer);
  view?.close?.();
  view = null;
  find('header').hidden = true;
  find('dialog').close();
  complain(null);
  tell('');
  document.title = 'Log in – imc operators';
  const name = h('input', { name: 'name', autocomplete: 'username', required: true, autocapitalize: 'none', spellcheck: 'false', maxlength: 64 });
  const password = h('input', { name: 'password', type: 'password', autocomplete: 'current-password', required: true, maxlength: 1024 });
  const button = h('button', { class: 'main', type: 'submit' }, 'Log in');
  const form = h(
    'form',
    {
      class: 'card login',
      method: 'post',
      onsubmit: async (event) => {
        event.preventDefault();
        button.disabled = true;
        complain(null);
        try {
          await api.login(name.value, password.value);
          enter();
        } catch (error) {
          complain(error);
          password.value = '';
          password.focus();
        } finally {
          button.disabled = false;
        }
      },
    },
    h('h1', {}, 'imc operators'),
    words ? h('p', {}, words) : null,
    field('Name', name),
    field('Password', password),
    button
  );
  show(find('main'), form);
  name.focus();
}

function explain() {
  show(
    find('main'),
    h(
      'div',
      { class: 'card login' },
      h('h1', {}, 'imc operators'),
      h('p', {}, 'There is no operator yet. On the machine where imc runs, make one:'),
      h('pre', {}, 'imc operator add NAME --role admin'),
      h('p', {}, 'with -c FILE where the configuration is not imc.toml of that folder. Then load this page again.')
    )
  );
}

api.whenLost((words) => leave(words));
find('logout').addEventListener('click', async () => {
  try {
    await api.logout();
    leave('You are logged out.');
  } catch (error) {
    complain(error);
  }
});
addEventListener('hashchange', () => view && location.hash !== '#main' && open());
document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && refresh(true));

try {
  const found = await api.resume();
  if (found === true) enter();
  else if (found.has_operators) leave('');
  else explain();
} catch (error) {
  complain(error);
  leave('');
}
