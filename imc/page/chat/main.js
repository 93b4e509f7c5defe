// The page: log in, then rooms. What the server says of itself is in config.json.

import { Chat } from './chat.js';
import { byId, h } from './dom.js';
import { address } from './protocol.js';
import { Session } from './session.js';
import { State } from './state.js';
import { PeopleView } from './view-people.js';
import { RoomView } from './view-room.js';
import { RoomsView } from './view-rooms.js';

const NAME = 'imc-name'; // localStorage: who logged in last
const LOGIN = 'imc-login'; // sessionStorage: only where its user wants it, until the tab is closed

const config = await (await fetch('config.json')).json();
const isLooking = () => document.visibilityState === 'visible' && document.hasFocus();

function told(text, isError = false) {
  if (!text) return;
  const toast = h('p', { class: isError ? 'error' : '' }, text);
  byId('toasts').append(toast);
  while (byId('toasts').childElementCount > 3) byId('toasts').firstElementChild.remove();
  setTimeout(() => toast.remove(), 7000);
}

function url() {
  if (config.server) return config.server;
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/`;
}

function stored(storage, name, value) {
  try {
    if (value === undefined) return storage.getItem(name) || '';
    if (value === null) storage.removeItem(name);
    else storage.setItem(name, value);
  } catch {
    // a browser that stores nothing: all else works
  }
  return '';
}

let current = null; // { session, state, chat }

function begin(aor, password, stay) {
  const state = new State(aor, window.localStorage);
  state.load();
  const chat = new Chat({ config, state, told, isLooking });
  let isIn = false;
  const on = {
    state(connection) {
      if (connection === 'online' && !isIn) {
        isIn = true;
        stored(localStorage, NAME, aor);
        stored(sessionStorage, LOGIN, stay ? JSON.stringify([aor, password]) : null);
        enter(state, chat);
      }
      if (!isIn && connection === 'offline') loginFailed('The server cannot be reached. Trying again …', true);
      chat.connection(connection);
    },
    refused(status) {
      const words = { 401: 'Wrong name or password.', 407: 'Wrong name or password.', 403: 'You may not log in here.' };
      stored(sessionStorage, LOGIN, null);
      if (isIn) leave(false);
      loginFailed(words[status] || `The server refused the login (${status}).`);
    },
    message: (message) => chat.receive(message),
  };
  const session = new Session({ url: url(), aor, password, on });
  chat.session = session;
  current = { session, state, chat };
  session.start();
}

function enter(state, chat) {
  byId('login').hidden = true;
  byId('app').hidden = false;
  byId('login-password').value = '';
  const views = [new RoomsView(chat), new RoomView(chat), new PeopleView(chat)];
  const render = () => views.forEach((view) => view.render());
  let saving = null;
  state.listeners.push(render, () => {
    saving = saving || setTimeout(() => {
      saving = null;
      state.save();
    }, 500);
  });
  render();
  byId('new-room').focus();
}

function leave(isForgotten) {
  if (!current) return;
  const { session, state } = current;
  current = null;
  session.stop();
  if (isForgotten) state.forget();
  else state.save();
  state.listeners.length = 0;
  document.body.className = '';
  document.title = 'imc';
  byId('app').hidden = true;
  showLogin();
}

function loginFailed(words, goesOn = false) {
  byId('login-error').textContent = words;
  byId('login-button').disabled = goesOn;
  if (goesOn) return;
  current = null;
  byId('login-password').focus();
  byId('login-password').select();
}

function showLogin() {
  byId('login').hidden = false;
  byId('login-button').disabled = false;
  byId('login-error').textContent = '';
  byId('login-domain').textContent = `Your address is name@${config.domains[0]}`;
  const before = stored(localStorage, NAME);
  const isUsual = before.endsWith(`@${config.domains[0]}`);
  byId('login-user').value = isUsual ? before.slice(0, before.lastIndexOf('@')) : before;
  byId(before ? 'login-password' : 'login-user').focus();
}

byId('login-form').onsubmit = (event) => {
  event.preventDefault();
  const given = new FormData(event.target);
  const aor = address(given.get('user'), config.domains[0]);
  if (!aor) {
    loginFailed('That is not a name.');
    return;
  }
  byId('login-error').textContent = '';
  byId('login-button').disabled = true;
  begin(aor, given.get('password'), given.get('stay') === 'on');
};
byId('logout').onclick = () => {
  stored(sessionStorage, LOGIN, null);
  leave(true);
};
// Who comes back to the page sees what is new; which public rooms there are nobody tells, so they are asked for.
function lookedAgain() {
  if (!current || !isLooking()) return;
  current.chat.looked();
  current.chat.refreshRooms();
}
window.addEventListener('focus', lookedAgain);
document.addEventListener('visibilitychange', lookedAgain);
setInterval(lookedAgain, 60_000);
window.addEventListener('pagehide', () => current && current.state.save());

showLogin();
try {
  const [aor, password] = JSON.parse(stored(sessionStorage, LOGIN) || 'null') || [];
  if (aor) begin(aor, password, true);
} catch {
  stored(sessionStorage, LOGIN, null);
}
