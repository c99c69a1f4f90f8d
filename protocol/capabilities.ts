/** What a plugin may be granted: a closed list. A name that is not here is refused at verification. */
export type Risk = 'read' | 'write' | 'host';
export const risks = ['read', 'write', 'host'] as const satisfies readonly Risk[];

type Row = { risk: Risk; sentence: string };

/** `sentence` is what an operator reads when asked to consent; it completes "This plugin can …". */
export const capabilities = {
  'audit:read': { risk: 'read', sentence: 'read the audit rows that its own calls caused' },
  'kv:read': { risk: 'read', sentence: 'read its own stored entries, and the operator buckets its manifest names' },
  'monitor:read': { risk: 'read', sentence: 'see monitors and their results' },
  'node:read': { risk: 'read', sentence: 'see the list of managed nodes and their labels' },
  'static:read': { risk: 'read', sentence: 'read the static files the server publishes' },
  'task:read': { risk: 'read', sentence: 'see queued and finished tasks' },
  'kv:write': { risk: 'write', sentence: 'store and delete its own entries, within a quota' },
  'log:write': { risk: 'write', sentence: 'write lines to its own log' },
  'notify:send': { risk: 'write', sentence: 'send messages through the notification channels you open to it' },
  'worker:route': { risk: 'write', sentence: 'answer web requests under its own path' },
  'http:egress': { risk: 'host', sentence: 'make web requests to the hosts its manifest names' },
  'ddns:admin': { risk: 'host', sentence: 'change dynamic DNS records' },
  'monitor:admin': { risk: 'host', sentence: 'create, change, run and delete monitors' },
  'network:apply': { risk: 'host', sentence: 'apply network changes that you approved one by one' },
  'network:plan': { risk: 'host', sentence: 'propose network changes for your approval' },
  'node:admin': { risk: 'host', sentence: 'change and delete managed nodes' },
  'static:write': { risk: 'host', sentence: 'publish and delete static files of the server' },
  'task:run': { risk: 'host', sentence: 'queue and cancel tasks that run on managed nodes' },
  'tunnel:admin': { risk: 'host', sentence: 'create, start, stop and delete tunnels' },
} as const satisfies Record<string, Row>;

export type Capability = keyof typeof capabilities;
export const capabilityNames = Object.keys(capabilities) as Capability[]; // the object literal's own keys are exactly the type
export const isCapability = (name: string): name is Capability => Object.hasOwn(capabilities, name);

export const pluginTypes = ['system', 'worker', 'wasm'] as const;
export type PluginType = (typeof pluginTypes)[number];

const workerCapabilities: ReadonlySet<Capability> = new Set(['kv:read', 'static:read', 'worker:route']);

/** Why a plugin of this type may not hold the capability, or null when it may. */
export function typeRefusal(type: PluginType, capability: Capability): string | null {
  if (type === 'worker') return workerCapabilities.has(capability) ? null : `${capability} is not available to worker plugins`;
  if (type !== 'system' && capabilities[capability].risk === 'host' && capability !== 'http:egress') {
    return `${capability} requires a system plugin`;
  }
  return null;
}

/** The highest risk among the capabilities; `read` when there are none. */
export function highestRisk(names: Iterable<Capability>): Risk {
  let highest = 0;
  for (const name of names) highest = Math.max(highest, risks.indexOf(capabilities[name].risk));
  return risks[highest] ?? 'host';
}
