const architectures: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386', ppc64: 'ppc64le' };

/** This machine as v2 manifests name it, like `linux/amd64`. */
export const ownPlatform = (): string => `${process.platform}/${architectures[process.arch] ?? process.arch}`;
