// Everything that is shown was written by a plugin, so all of it goes in as text.
import { createFields } from './call-form.js';

const find = (id) => document.getElementById(id);
const mostRows = 2000;

async function ask(path, body) {
  const answer = await fetch(path, {
    method: body === undefined ? 'GET' : 'POST',
    ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.hint ? `${value.detail} (${value.hint})` : value.detail);
  return value;
}

const say = (text) => {
  find('said').textContent = text;
};
const run = (job) =>
  job.then(
    () => say(''),
    (error) => say(error.message),
  );
const command = (text) => run(ask('/command', { text }));

/** The token in the address counts once and is taken out of it. */
async function signIn() {
  const token = location.hash.slice(1);
  history.replaceState(null, '', '/');
  if (token !== '') await ask('/session', { token });
}

function addRow({ event, lines, isPing }) {
  const row = document.createElement('li');
  row.dataset.kind = isPing ? 'ping' : event.kind;
  row.className = classOf(event);
  row.textContent = lines.join('\n');
  const list = find('timeline');
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(row);
  hideUnmatched(row);
  while (list.children.length > mostRows) (list.querySelector('[data-kind=ping]') ?? list.firstChild).remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
  if (event.kind === 'host-answer' && event.method.startsWith('kv.') && event.verdict === 'allow') void refreshBuckets();
}

function classOf(event) {
  const failed = event.outcome && !event.outcome.ok;
  if (event.kind === 'build' ? !event.ok : failed || ['backoff', 'failed'].includes(event.to)) return 'bad';
  if (event.kind === 'state' && event.to === 'ready') return 'good';
  return event.kind === 'message' ? 'quiet' : '';
}

function hideUnmatched(row) {
  const isHiddenPing = row.dataset.kind === 'ping' && !find('pings').checked;
  row.hidden = isHiddenPing || !row.textContent.toLowerCase().includes(find('filter').value.toLowerCase());
}

function hideAllUnmatched() {
  for (const row of find('timeline').children) hideUnmatched(row);
}

async function refreshBuckets() {
  const rows = await ask('/kv');
  find('kv').replaceChildren(
    ...rows.map((entry) => {
      const row = document.createElement('tr');
      for (const name of ['bucket', 'key', 'revision', 'value']) row.insertCell().textContent = String(entry[name]);
      return row;
    }),
  );
}

const createOption = (value, title = '') => Object.assign(document.createElement('option'), { value, textContent: value, title });

const methods = new Map();

/** The fields write the payload; whoever wants something else writes it there. */
function showFields() {
  const { params = null, takes = '', gives = '' } = methods.get(find('method').value) ?? {};
  find('takes').textContent = takes === '' ? '' : `takes ${takes}, gives ${gives}`;
  find('fields').replaceChildren();
  if (params === null) return;
  const { element, read } = createFields(params);
  const write = () => {
    try {
      find('payload').value = JSON.stringify(read(), null, 1);
    } catch {
      // the browser says at the field what is wrong with it
    }
  };
  element.addEventListener('input', write);
  find('fields').append(element);
  write();
}

/** After a reload that changed no method, what was filled in stays. */
function showMethods(rows) {
  if (JSON.stringify(rows) === JSON.stringify([...methods.values()])) return;
  const before = find('method').value;
  methods.clear();
  for (const row of rows) methods.set(row.name, row);
  find('method').replaceChildren(...rows.map((row) => createOption(row.name, `effect ${row.effect}, ${row.timeout_ms} ms`)));
  if (methods.has(before)) find('method').value = before;
  showFields();
}

function showPlugin({ name, version, methods: rows, actions, steps }) {
  find('name').textContent = `${name} ${version}`;
  document.title = `${name} · Lattice inspector`;
  showMethods(rows);
  find('steps').replaceChildren(...steps.map((step) => createOption(step)));
  find('faults').replaceChildren(
    ...Object.entries(actions).map(([action, doc]) => {
      const button = Object.assign(document.createElement('button'), { type: 'button', textContent: action, title: doc });
      button.dataset.action = action;
      button.addEventListener('click', () => {
        const count = find('occurrence').value.trim();
        void command(`f ${action}@${find('step').value.trim()}${count === '' ? '' : `#${count}`}`);
      });
      return button;
    }),
  );
}

find('call').addEventListener('submit', (event) => {
  event.preventDefault();
  void command(`c ${find('method').value} ${find('payload').value}`);
});
find('method').addEventListener('change', showFields);
find('reload').addEventListener('click', () => void command('r'));
find('pause').addEventListener('click', () => void command('p'));
find('refresh').addEventListener('click', () => void run(refreshBuckets()));
find('filter').addEventListener('input', hideAllUnmatched);
find('pings').addEventListener('change', hideAllUnmatched);

try {
  await signIn();
  const events = new EventSource('/events');
  events.addEventListener('row', ({ data }) => addRow(JSON.parse(data)));
  events.addEventListener('plugin', ({ data }) => showPlugin(JSON.parse(data)));
  events.addEventListener('status', ({ data }) => {
    find('status').textContent = JSON.parse(data);
  });
  events.addEventListener('error', () => {
    find('status').textContent = 'not connected: is lattice dev still running?';
  });
} catch (error) {
  find('status').textContent = error.message;
}
