export type Config = {
  channel: string;
  learnFirst: boolean;
  failureThreshold: number;
  failureWindowMinutes: number;
  sourcesPerUser: number;
  countInvalidUsers: boolean;
  burstAlertsPerHour: number;
};

type Check = { read: (value: unknown) => boolean; says: string };
const flag: Check = { read: (value) => typeof value === 'boolean', says: 'true or false' };
const integer = (least: number, most: number): Check => ({
  read: (value) => Number.isInteger(value) && Number(value) >= least && Number(value) <= most,
  says: `a whole number from ${least} to ${most}`,
});

const checks: Readonly<Record<string, Check>> = {
  channel: {
    read: (value) => typeof value === 'string' && /^[a-z0-9][a-z0-9._-]{0,63}$/.test(value),
    says: 'the name of a notification channel',
  },
  learn_first: flag,
  failure_threshold: integer(2, 10_000),
  failure_window_minutes: integer(1, 1440),
  sources_per_user: integer(1, 64),
  count_invalid_users: flag,
  burst_alerts_per_hour: integer(1, 1000),
};

/** Reads what the operator set; a wrong or unknown setting is refused, because a misspelt threshold would silently be none. */
export function readConfig(config: Readonly<Record<string, unknown>>): Config {
  for (const [name, value] of Object.entries(config)) {
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined;
    if (check === undefined) throw refuse(`there is no setting "${name.slice(0, 64)}": the settings are ${Object.keys(checks).join(', ')}`);
    if (!check.read(value)) throw refuse(`"${name}" must be ${check.says}`);
  }
  // Each value that is set has just been checked.
  const { channel = 'ops', learn_first = false, failure_threshold = 10, failure_window_minutes = 10 } = config;
  const { sources_per_user = 16, count_invalid_users = false, burst_alerts_per_hour = 20 } = config;
  return {
    channel: channel as string,
    learnFirst: learn_first as boolean,
    failureThreshold: failure_threshold as number,
    failureWindowMinutes: failure_window_minutes as number,
    sourcesPerUser: sources_per_user as number,
    countInvalidUsers: count_invalid_users as boolean,
    burstAlertsPerHour: burst_alerts_per_hour as number,
  };
}

const refuse = (message: string) => Object.assign(new Error(message), { code: 'invalid-params' });
