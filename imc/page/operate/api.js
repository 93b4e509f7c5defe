// What the page asks the server: log-in, log-out, and JSON-RPC in the name of the operator who is logged in.

let csrf = '';
let serial = 0;
let onLost = () => {};

const RANKS = ['viewer', 'operator', 'admin'];
export const me = { name: '', role: '' };

/** Whether the operator may do what needs this role. */
export const may = (role) => RANKS.indexOf(me.role) >= RANKS.indexOf(role);

/** What is called when the session has ended. */
export function whenLost(work) {
  onLost = work;
}

class HttpError extends Error {
  constructor(status, body) {
    super(body.error || `The server says ${status}`);
    this.status = status;
    this.body = body;
  }
}

async function post(path, body, headers = {}) {
  let response;
  try {
    response = await fetch(path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...headers },
      body: JSON.stringify(body),
      credentials: 'same-origin',
      cache: 'no-store',
      redirect: 'error',
    });
  } catch {
    throw new Error('imc does not answer. It is asked again.');
  }
  if (response.status === 204) return null;
  let answer;
  try {
    answer = await response.json();
  } catch {
    throw new Error(`The server says ${response.status}, and no more`);
  }
  if (!response.ok) throw new HttpError(response.status, answer);
  return answer;
}

function begin(answer) {
  csrf = answer.csrf;
  me.name = answer.name;
  me.role = answer.role;
}

/** True where somebody is logged in; else {has_operators}. */
export async function resume() {
  const answer = await post('session', {});
  if (answer.name === null) return answer;
  begin(answer);
  return true;
}

export async function login(name, password) {
  begin(await post('login', { name, password }));
}

export async function logout() {
  await post('logout', {}, { 'X-CSRF-Token': csrf });
  csrf = '';
}

/** The results of several calls, [[method, {params}], …]; one that failed gives an Error in its place. */
export async function calls(list, { isAutomatic = false } = {}) {
  const requests = list.map(([method, params = {}]) => ({ jsonrpc: '2.0', id: ++serial, method, params }));
  const headers = { 'X-CSRF-Token': csrf };
  if (isAutomatic) headers['X-Automatic'] = '1';
  let answers;
  try {
    answers = await post('rpc', requests, headers);
  } catch (error) {
    if (error.status === 401) onLost(error.message);
    throw error;
  }
  if (!Array.isArray(answers)) throw new Error(answers?.error?.message || 'The answer is no batch');
  const byId = new Map(answers.map((answer) => [answer.id, answer]));
  return requests.map(({ id, method }) => {
    const answer = byId.get(id);
    if (!answer) return new Error(`${method}: no answer`);
    return answer.error ? new Error(answer.error.message) : answer.result;
  });
}

/** The result of one call. Throws what went wrong. */
export async function call(method, params = {}, options = {}) {
  const [result] = await calls([[method, params]], options);
  if (result instanceof Error) throw result;
  return result;
}
