/** Apart from what they do, so that the help of a command names them without loading it. */
export const faultNames = ['drop', 'delay', 'dup', 'garble', 'deny', 'kill'] as const;
export type FaultAction = (typeof faultNames)[number];
