import { acceptedVersions, protocolVersion, wireLimits } from '../protocol/version.ts';
import type { Launch } from './runner.ts';

/** The params of `initialize`: all that a child is told of itself. */
export const describeInitialize = ({ plugin, generation, grant, services, config }: Launch, callTimeoutMs: number) => ({
  protocol: protocolVersion,
  accepts: acceptedVersions,
  plugin,
  generation,
  grant: { capabilities: [...grant.capabilities].sort(), read_buckets: grant.readBuckets, egress: grant.egress },
  services,
  limits: { line_bytes: wireLimits.lineBytes, in_flight: wireLimits.inFlight, call_timeout_ms: callTimeoutMs },
  config,
});
