/** From whatever was thrown to a line on standard error and an exit code. */
import { CommanderError } from 'commander';
import { ERROR_CODES, type ErrorCode, messageOf, type TorilError } from '../../errors.ts';
import { EXIT, exitCodeFor } from './exit-codes.ts';
import { colours, note } from './terminal.ts';

/** Says what went wrong, unless it was said already, and returns the exit code. */
export function reportFailure(thrown: unknown): number {
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.done : EXIT.usage;
  const known = isTorilError(thrown);
  noteError(known ? thrown.code : 'INTERNAL', messageOf(thrown));
  if (isDebugging()) note(stackOf(thrown));
  else if (!known) note('Set DEBUG=toril to see where it happened.');
  return known ? exitCodeFor(thrown.code) : EXIT.internal;
}

export function noteError(code: string, message: string): void {
  note(`${colours.err.red('error')} ${code}: ${message}`);
}

/** Not by `instanceof`: the code in --updates may bring a Toril of its own. */
export function isTorilError(thrown: unknown): thrown is TorilError {
  return thrown instanceof Error && isErrorCode((thrown as { code?: unknown }).code);
}

function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERROR_CODES, code);
}

function isDebugging(): boolean {
  return /(^|[\s,])(toril|\*)/.test(process.env['DEBUG'] ?? '');
}

/** With its causes, outermost first. */
function stackOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const own = thrown.stack ?? thrown.message;
  return thrown.cause === undefined ? own : `${own}\ncaused by: ${stackOf(thrown.cause)}`;
}
