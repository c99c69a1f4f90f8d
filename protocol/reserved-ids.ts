/** Words that stand in the API's paths where a plugin's id would: an id must not be one of them. */
export const reservedIds: ReadonlySet<string> = new Set(['lifecycle', 'call', 'verify', 'rescan', 'refused']);
