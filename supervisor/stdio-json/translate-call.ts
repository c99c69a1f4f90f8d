import type { HostMethod, Result } from '../../protocol/host-methods.ts';
import { decodeUtf8 } from '../../protocol/strict-json.ts';

/** A call as our broker knows it, and its result as the plugin expects it. */
export type Translated = { method: string; params: unknown; toResult(result: unknown): unknown };
type Fields = Record<string, unknown>;
type Translate = (params: Fields) => Translated;

/** The one channel that `notify.send` of this protocol can mean: it names none. */
export const defaultChannel = 'default';
const rawValueMost = 64 * 1024; // a longer value comes as base64 alone, so that an answer does not hold it twice

/** Ties a method's own result type to the function that rewrites it: the broker has parsed the result by that method's row. */
const map = <M extends HostMethod>(method: M, params: unknown, toResult: (result: Result<M>) => unknown): Translated => ({
  method,
  params,
  toResult: toResult as (result: unknown) => unknown,
});
const nothing = (): object => ({});

/** What is named or shaped differently than in our table. All other names go to the broker as they are: it knows them, or refuses them. */
const translations: Readonly<Record<string, Translate>> = {
  'kv.get': (params) =>
    map('kv.get', params, ({ value }) => {
      if (value === null) return { ok: false };
      const raw = value.length <= rawValueMost ? { value } : {};
      return { ok: true, ...raw, value_base64: Buffer.from(value).toString('base64') };
    }),
  'kv.put': (params) => map('kv.put', takeBytes(params, 'value', 'value_base64'), nothing),
  'http.do': ({ header, ...params }) =>
    map('http.fetch', { ...dropEmpty(params), ...(header === undefined ? {} : { headers: header }) }, (answer) => ({
      status_code: answer.status,
      header: answer.headers,
      body_base64: answer.body_base64 ?? Buffer.from(answer.body ?? '').toString('base64'),
    })),
  'log.write': ({ level, ...params }) => map('log.write', { ...params, level: level === 'warning' ? 'warn' : level || undefined }, nothing),
  'notify.send': ({ body, ...params }) =>
    map('notify.send', { channel: defaultChannel, ...params, ...(body === undefined ? {} : { text: body }) }, nothing),
};

export function translateCall(method: string, params: unknown): Translated {
  const translate = Object.hasOwn(translations, method) ? translations[method] : undefined;
  const isObject = typeof params === 'object' && params !== null && !Array.isArray(params);
  if (translate && isObject) return translate(params as Fields); // just checked
  return { method, params, toResult: (result) => result };
}

/** An empty method or body of `http.do` means none. */
const dropEmpty = (params: Fields): Fields => Object.fromEntries(Object.entries(params).filter(([, value]) => value !== ''));

/** A text is stored as it is; bytes that are not UTF-8 are left for the broker to refuse: our store holds text. */
function takeBytes(params: Fields, text: string, base64: string): Fields {
  const { [base64]: encoded, ...rest } = params;
  if (typeof encoded !== 'string' || encoded === '')
    return encoded === undefined || encoded === '' ? { ...rest, [text]: rest[text] ?? '' } : params;
  const bytes = Buffer.from(encoded, 'base64');
  const decoded = bytes.toString('base64') === encoded ? decodeUtf8(bytes) : null;
  return decoded === null ? params : { ...rest, [text]: decoded };
}
