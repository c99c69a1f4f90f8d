import { HostError } from '../../protocol/errors.ts';
import { fetchLimits, type ParsedParams, type Result } from '../../protocol/host-methods.ts';
import { decodeUtf8 } from '../../protocol/strict-json.ts';
import type { HostCall } from '../broker.ts';
import { type EgressAllow, egressLine, isListed } from './egress-rules.ts';
import type { FetchAnswer, FetchPolicy, GuardedClient } from './guarded-client.ts';

type FetchParams = ParsedParams<'http.fetch'>;

const inFlightPerPlugin = 16; // each may hold a body and an answer: about 16 MiB a plugin at most
const textJsonBytes = 768 * 1024; // as JSON text the body must fit in a line of 1 MiB, beside the headers and the URL

/** The handler of `http.fetch`. `allow` is what LATTICE_EGRESS_ALLOW opens, by plugin id. */
export function createHttpFetch(deps: { client: GuardedClient; allow: EgressAllow }) {
  const inFlight = new Map<string, number>();

  return async function httpFetch(params: FetchParams, call: HostCall): Promise<Result<'http.fetch'>> {
    const { pluginId, egress } = call.grant;
    const body = readRequestBody(params);
    const running = inFlight.get(pluginId) ?? 0;
    if (running >= inFlightPerPlugin) {
      throw new HostError('rate-limited', `${pluginId} has ${running} fetches under way`, {
        rule: 'fetches-in-flight',
        hint: 'wait for an answer before asking again',
      });
    }
    inFlight.set(pluginId, running + 1);
    const policy: FetchPolicy = {
      owner: pluginId,
      isListed: (host, port) => isListed(egress, host, port),
      exemptions: deps.allow.get(pluginId) ?? [],
    };
    try {
      const { url, method, redirect, headers = {} } = params;
      const request = {
        url,
        method,
        redirect,
        headers,
        body,
        timeoutMs: params.timeout_ms,
        maxBytes: params.max_bytes,
        signal: call.signal,
      };
      return describeAnswer(await deps.client.fetch(request, policy));
    } catch (thrown) {
      throw nameManifestLine(thrown);
    } finally {
      const left = (inFlight.get(pluginId) ?? 1) - 1;
      if (left > 0) inFlight.set(pluginId, left);
      else inFlight.delete(pluginId);
    }
  };
}

function readRequestBody(params: FetchParams): Buffer | null {
  const { body, body_base64: encoded, method } = params;
  if (body !== undefined && encoded !== undefined) {
    throw new HostError('invalid-params', 'http.fetch: body and body_base64 are both given', {
      rule: 'body-twice',
      pointer: '/body_base64',
      hint: 'give one of them',
    });
  }
  if (body === undefined && encoded === undefined) return null;
  if (method === 'GET' || method === 'HEAD') {
    throw new HostError('invalid-params', `http.fetch: a ${method} has no body`, {
      rule: 'body-not-allowed',
      pointer: '/body',
      hint: 'use POST, or leave the body out',
    });
  }
  const bytes = body === undefined ? Buffer.from(encoded ?? '', 'base64') : Buffer.from(body, 'utf8');
  if (bytes.length > fetchLimits.bodyBytes) {
    throw new HostError('payload-too-large', `http.fetch: the body is over ${fetchLimits.bodyBytes} bytes`, {
      rule: 'body-too-large',
      hint: 'send it in parts',
    });
  }
  return bytes;
}

function describeAnswer(answer: FetchAnswer): Result<'http.fetch'> {
  const { status, headers, url, redirects } = answer;
  const text = decodeUtf8(answer.body);
  // Text that is mostly quotes or control characters grows up to six times in JSON; then base64 is the smaller form.
  const isText = text !== null && Buffer.byteLength(JSON.stringify(text)) <= textJsonBytes;
  return {
    status,
    headers: { ...headers },
    ...(isText ? { body: text } : { body_base64: answer.body.toString('base64') }),
    url,
    redirects,
  };
}

/** A refusal for the list says which line of the manifest would change it. */
function nameManifestLine(thrown: unknown): unknown {
  if (!(thrown instanceof HostError) || thrown.details.rule !== 'egress-not-listed') return thrown;
  const line = egressLine(String(thrown.details.host), Number(thrown.details.port));
  const hint =
    line === null
      ? 'no manifest line can name this host: "egress" takes DNS names with a dot, and addresses'
      : `add ${line} to "egress" in the manifest, pack, sign, and have the operator consent`;
  return new HostError(thrown.code, thrown.message, { ...thrown.details, ...(line === null ? {} : { pointer: '/egress/-', line }), hint });
}
