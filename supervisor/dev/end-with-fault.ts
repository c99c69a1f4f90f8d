import { asHostError } from '../../protocol/errors.ts';

/** The last words of a script of the checkout: what is wrong and what would help, without a stack. */
export function endWithFault(thrown: unknown): void {
  const { hint } = asHostError(thrown).details;
  process.stderr.write(
    `lattice: ${thrown instanceof Error ? thrown.message : String(thrown)}\n${typeof hint === 'string' ? `  hint: ${hint}\n` : ''}`,
  );
  process.exit(1);
}
