const guide = '(docs/AUTHOR.md, "Living in the cage")';

/** What a plugin sees that reaches for what the cage does not have, and what is there instead. */
const rows: readonly (readonly [seen: RegExp, hint: string])[] = [
  [
    /--allow-(?:child-process|worker|addons|wasi)|ERR_WORKER|spawn \S+ E/,
    `there are no other processes, threads or addons in the cage ${guide}`,
  ],
  [
    /--allow-fs-|\b(?:EROFS|ENOENT|EACCES)\b/,
    `there are no files of the host in the cage: use host.kv, or context.config for settings ${guide}`,
  ],
  [
    /--allow-net|ERR_ACCESS_DENIED|^fetch failed$|\b(?:EAI_AGAIN|ENOTFOUND|ENETUNREACH|ECONNREFUSED)\b/,
    `there is no network in the cage: use host.http.fetch, with the capability http:egress and the host in "egress" ${guide}`,
  ],
];

export const findCageHint = (message: string): string | null => rows.find(([seen]) => seen.test(message))?.[1] ?? null;
