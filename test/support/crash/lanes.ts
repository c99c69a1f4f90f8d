import type { Answer } from '../start-service.ts';
import { change, createRegister } from './register.ts';
import { type Bucket, bucketKeys, channel, type Entry, type PluginModel, type PluginState, type Service, type World } from './world.ts';

/** The connection is gone: the service was killed, and the lane ends. */
export class Lost extends Error {}

export type Op = 'put' | 'call-put' | 'notify' | 'fetch' | 'status' | 'offer' | 'upgrade' | 'rollback' | 'config' | 'token';
export type Lane = { step(wanted: Op | null): Promise<void> };
type Api = (method: string, path: string, body?: unknown) => Promise<Answer>;

const formerKept = 3;
// Not armed yet, or not in time on a machine that is busy: nothing was changed but what the answer says.
const notNow: readonly unknown[] = ['unavailable', 'rate-limited', 'sandbox-unavailable', 'deadline-exceeded'];

/** Writers that each own what they change, so that each knows what it must find after a crash. */
export function openLanes(world: World, service: Service, options: { withChildren: boolean }): Lane[] {
  const { random, tally } = world;
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T; // no list here is empty
  let serial = Math.floor(random() * 1e9);

  const api: Api = async (method, path, body) => {
    const answer = await service.api(method, path, body).catch(() => {
      throw new Lost(path);
    });
    if (answer.status < 400) tally.acknowledged++;
    else if (notNow.includes(answer.body.code)) tally.postponed++;
    else tally.refused++;
    return answer;
  };
  const odd = (what: string, answer: unknown): never => {
    throw new Error(`${what} was answered ${JSON.stringify(answer)}`);
  };

  /** A put or a delete, its revision the present one, another, or none. `ask` answers with a problem's code, or null when it was done. */
  async function write(
    bucket: Bucket,
    ask: (key: string, value: string | null, revision?: number) => Promise<string | null>,
  ): Promise<void> {
    const key = pick(bucketKeys);
    const register = bucket.entries.get(key) ?? createRegister<Entry>(null);
    const before = register.known;
    const value = random() < 0.75 ? `${key}-${++serial}-${'x'.repeat(Math.floor(random() * 200))}` : null;
    const present = before?.revision ?? 0;
    const revision = pick([present, present, present + 1, undefined]);
    const fits = revision === undefined || revision === present;
    const next: Entry = value === null ? null : { value, revision: bucket.revision + 1 };
    await change(
      register,
      [fits ? next : before],
      () => ask(key, value, revision),
      (code) => {
        if (code !== (fits ? null : 'conflict') && !notNow.includes(code)) odd(`a write to ${bucket.name}`, code);
        if (code !== null) return before;
        if (next !== null) bucket.revision = next.revision;
        return next;
      },
    );
  }

  const codeOf = ({ status, body }: Answer): string | null => (status < 400 ? null : String(body.code));
  const writeAsOperator = () =>
    write(world.operator, async (key, value, revision) => {
      const path = `/api/kv/${world.operator.name}/${key}`;
      const more = revision === undefined ? {} : { if_revision: revision };
      if (value !== null) return codeOf(await api('PUT', path, { value, ...more }));
      return codeOf(await api('DELETE', `${path}${revision === undefined ? '' : `?if_revision=${revision}`}`));
    });

  /** A host call of a plugin, by way of an invocation. */
  async function invoke(plugin: PluginModel, method: string, payload: unknown): Promise<string | null> {
    const answer = await api('POST', `/api/plugins/${plugin.id}/call`, { service: 'tool', method, payload });
    if (answer.status >= 400) return String(answer.body.code);
    return typeof answer.body.refused === 'string' ? answer.body.refused : null;
  }
  const writeAsPlugin = (plugin: PluginModel) =>
    write(plugin.bucket, (key, value, revision) => {
      const more = revision === undefined ? {} : { if_revision: revision };
      return value === null ? invoke(plugin, 'del', { key, ...more }) : invoke(plugin, 'put', { key, value, ...more });
    });

  async function changePlugin(plugin: PluginModel, next: Partial<PluginState>, ask: () => Promise<Answer>): Promise<void> {
    const before = plugin.state.known;
    const after = { ...before, ...next };
    const given = { ...after, status: 'disabled' as const }; // what a plugin becomes that cannot be armed
    await change(plugin.state, [after, ...(after.status === 'active' ? [given] : [])], ask, (answer) => {
      if (answer.status < 400) return after;
      if (!notNow.includes(answer.body.code)) odd(`${JSON.stringify(next)} of ${plugin.id}`, answer);
      return next.status === 'active' ? given : next.config === undefined ? before : after;
    });
  }

  const setStatus = (plugin: PluginModel) => {
    const choices = {
      verified: ['installed'],
      installed: ['active', 'active', 'disabled'],
      active: ['active', 'disabled'],
      disabled: ['active'],
    } as const;
    const status = pick<PluginState['status']>(choices[plugin.state.known.status]);
    const version = plugin.state.known.status === 'verified' ? plugin.offered : plugin.state.known.version;
    return changePlugin(plugin, { status, version }, () => api('POST', '/api/plugins/lifecycle', { id: plugin.id, status }));
  };
  async function offer(plugin: PluginModel): Promise<void> {
    world.place(plugin.id, ++plugin.offered);
    const answer = await api('POST', '/api/plugins/rescan', {});
    if (answer.status >= 400) odd('a rescan', answer);
  }
  async function upgrade(plugin: PluginModel): Promise<void> {
    const { version, former } = plugin.state.known;
    if (plugin.offered === version) await offer(plugin);
    const next = { version: plugin.offered, former: [version, ...former].slice(0, formerKept) };
    await changePlugin(plugin, next, () => api('POST', `/api/plugins/${plugin.id}/upgrade`, {}));
  }
  async function rollback(plugin: PluginModel): Promise<void> {
    const [version, ...former] = plugin.state.known.former;
    if (version === undefined) return upgrade(plugin);
    await changePlugin(plugin, { version, former }, () => api('POST', `/api/plugins/${plugin.id}/rollback`, {}));
  }
  const configure = (plugin: PluginModel) => {
    const config = ++serial;
    return changePlugin(plugin, { config }, () => api('PUT', `/api/plugins/${plugin.id}/config`, { n: config }));
  };

  async function act(plugin: PluginModel, op: Op): Promise<void> {
    const { status } = plugin.state.known;
    const isUp = status === 'active' && options.withChildren;
    if (status === 'verified') return setStatus(plugin);
    if (op === 'offer') return offer(plugin);
    if (op === 'upgrade') return upgrade(plugin);
    if (op === 'rollback') return rollback(plugin);
    if (op === 'config') return configure(plugin);
    if (op === 'status' || status !== 'active') return setStatus(plugin);
    if (!isUp) return setStatus(plugin); // nothing there to call
    if (op === 'call-put') return writeAsPlugin(plugin);
    const what =
      op === 'notify'
        ? { channel, title: `n${++serial}`, text: 'text', severity: 'info' }
        : { url: world.url(plugin.id, String(++serial)) };
    const code = await invoke(plugin, op === 'notify' ? 'notify' : 'fetch', what);
    if (code !== null && !notNow.includes(code)) odd(`${op} of ${plugin.id}`, code);
  }

  /** Most asks are writes and host calls; now and then a plugin is stopped, upgraded or taken back. */
  const usual: readonly Op[] = [
    'call-put',
    'call-put',
    'call-put',
    'call-put',
    'notify',
    'fetch',
    'call-put',
    'notify',
    'fetch',
    'status',
    'upgrade',
    'config',
    'offer',
    'rollback',
  ];
  const pluginLanes = world.plugins.map((plugin): Lane => ({ step: (wanted) => act(plugin, wanted ?? pick(usual)) }));
  return [...pluginLanes, { step: writeAsOperator }, { step: () => changeToken(world, api, () => ++serial) }];
}

async function changeToken({ tokens, tokenIds, random }: World, api: Api, nextSerial: () => number): Promise<void> {
  const live = [...tokens].find(([, { known }]) => known === 'live');
  if (live && random() < 0.5) {
    const [name, register] = live;
    await change(
      register,
      ['revoked'],
      () => api('DELETE', `/api/tokens/${tokenIds.get(name) ?? ''}`),
      ({ status }) => (status < 400 ? 'revoked' : 'live'),
    );
    return;
  }
  const name = `token-${nextSerial()}`;
  const register = createRegister<'none' | 'live' | 'revoked'>('none');
  tokens.set(name, register);
  const answer = await change(
    register,
    ['live'],
    () => api('POST', '/api/tokens', { name, scopes: ['audit:read'] }),
    ({ status }) => (status < 400 ? 'live' : 'none'),
  );
  tokenIds.set(name, String(answer.body.id));
}
