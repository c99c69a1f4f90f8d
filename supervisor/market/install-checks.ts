/** What must hold before somebody installs what an index offers, in the order in which it can be told. */
export const installChecks = {
  'index-signature': 'enough of the pinned index keys signed the index, and it is not too old',
  'publisher-trust': 'the trust policy lets the publisher sign this id, and nothing is revoked',
  'manifest-signature': 'the publisher’s key signed the manifest, which says what the index says',
  'artifact-digest': 'the artifact is the one that the index and the manifest name',
  capabilities: 'the capabilities are known, fit the type, and are not over the publisher’s risk',
  sandbox: 'the runner and the sandbox of this service can hold it',
} as const satisfies Record<string, string>;
export type InstallCheck = keyof typeof installChecks;
export const installCheckNames = Object.keys(installChecks) as InstallCheck[]; // the object literal's own keys

export type CheckRow = { check: InstallCheck; verdict: 'pass' | 'fail' | 'unknown'; rule: string | null; reason: string };

export const pass = (check: InstallCheck, reason: string = installChecks[check]): CheckRow => ({
  check,
  verdict: 'pass',
  rule: null,
  reason,
});
export const fail = (check: InstallCheck, rule: string, reason: string): CheckRow => ({ check, verdict: 'fail', rule, reason });
export const unknown = (check: InstallCheck, rule: string, reason: string): CheckRow => ({ check, verdict: 'unknown', rule, reason });
