/** Exit codes of a child with a meaning; 78 is EX_CONFIG of sysexits.h. Any other that is not 0 is a crash like any. */
export const exitCodes = { configuration: 78, artifactRefused: 79, loadFailed: 80 } as const;
