import { isSecretName, removed, secretForms } from './secret-forms.ts';

const shortestSecret = 4; // a shorter text stands everywhere, and hiding it would hide everything
const leastLine = 16; // of a secret with several lines, such as a private key: what is printed comes line by line
const mostLearned = 200; // of what a plugin calls a secret itself: every text is searched for each

/** The texts that a configuration holds under names of secrets, however deep. */
export function listSecrets(config: unknown, named = false): string[] {
  if (typeof config === 'string') return named ? asSecrets(config) : [];
  if (typeof config === 'number') return named ? asSecrets(String(config)) : [];
  if (Array.isArray(config)) return config.flatMap((item) => listSecrets(item, named));
  if (typeof config !== 'object' || config === null) return [];
  return Object.entries(config).flatMap(([name, value]) => listSecrets(value, named || isSecretName(name)));
}

/** The values of a store whose keys are names of secrets. */
export const listStoredSecrets = (entries: Readonly<Record<string, string>>): string[] =>
  Object.entries(entries).flatMap(([key, value]) => (isSecretName(key) ? asSecrets(value) : []));

const asSecrets = (text: string): string[] =>
  text.length < shortestSecret ? [] : [text, ...text.split(/\r?\n/).filter((line) => line !== text && line.length >= leastLine)];

/** As itself, inside JSON that is kept as text, in each part of a URL, in a form, in hex, in base64 by itself or within something longer. */
function listSpellings(secret: string): string[] {
  const url = new URL('http://x');
  url.search = secret;
  const [asQuery, asPath] = [url.search.slice(1), encodeURI(secret)];
  const asForm = new URLSearchParams({ x: secret }).toString().slice(2);
  const asJson = JSON.stringify(secret).slice(1, -1);
  const spellings = [asJson, JSON.stringify(asJson).slice(1, -1), asQuery, asPath, asForm, encodeURIComponent(secret)];
  return [secret, ...spellings, Buffer.from(secret).toString('hex'), ...listBase64(secret)].filter((text) => text.length >= shortestSecret);
}

/** Within longer bytes a secret begins at one of three places of a base64 group; the characters that its neighbours share are left out. */
function listBase64(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const within = [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    return text.slice(before === 0 ? 0 : before + 1, (before + bytes.length) % 3 === 0 ? undefined : -1);
  });
  const all = [bytes.toString('base64'), ...within.filter((text) => text.length >= 8)];
  return [...all, ...all.map((text) => text.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, ''))];
}

export type Redact = (value: unknown) => unknown;
export type Redactor = {
  /** Takes secrets out of what is shown or written down: by name, by form, and the known texts wherever they stand. */
  redact: Redact;
  /** From now on this text is a secret too. */
  learn(secret: unknown): void;
};

export function createRedactor(secrets: readonly string[]): Redactor {
  const learned = new Set<string>();
  let longestFirst: readonly string[] = [];
  const order = (): void => {
    longestFirst = [...new Set([...secrets, ...learned].flatMap(listSpellings))].sort((a, b) => b.length - a.length);
  };
  order();

  function redactText(text: string): string {
    let clean = text;
    for (const secret of longestFirst) clean = clean.replaceAll(secret, removed);
    for (const [pattern, by] of secretForms) clean = clean.replace(pattern, by);
    return clean;
  }

  function redactObject(value: object, named: boolean): object {
    const isPair = Object.hasOwn(value, 'value') && ['key', 'name'].some((field) => isSecretName(String(Object(value)[field] ?? '')));
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [
        redactText(name),
        redact(item, named || isSecretName(name) || (isPair && name === 'value')),
      ]),
    );
  }

  function redact(value: unknown, named: boolean): unknown {
    if (typeof value === 'string') return named ? removed : redactText(value);
    if (typeof value === 'number') return named || longestFirst.includes(String(value)) ? removed : value;
    if (Array.isArray(value)) return value.map((item) => redact(item, named));
    return typeof value === 'object' && value !== null ? redactObject(value, named) : value;
  }

  return {
    redact: (value) => redact(value, false),
    learn(secret) {
      if (typeof secret !== 'string' || secret.length < shortestSecret || learned.has(secret)) return;
      for (const text of asSecrets(secret)) learned.add(text);
      for (const oldest of learned) {
        if (learned.size <= mostLearned) break;
        learned.delete(oldest);
      }
      order();
    },
  };
}

export const isRedacted = (text: string): boolean => text.includes(removed);
export const redactedMark = removed;
