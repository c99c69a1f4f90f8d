import { createRequire } from 'node:module';

/**
 * `node:http` as CommonJS has it. An import reads each of its exports, and one of them, `WebSocket`, loads Node's client for fetches with HTTP/2 and
 * web streams: 15 MiB that nobody here uses.
 */
export const http = createRequire(import.meta.url)('node:http') as typeof import('node:http');
