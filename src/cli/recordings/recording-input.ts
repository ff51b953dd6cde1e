/** The recording that a command is given: a file, or standard input. */
import type { RecordingInput } from '../../history/recording/input.ts';

export const STANDARD_INPUT = '-';

export function inputOf(file: string): RecordingInput {
  return file === STANDARD_INPUT ? (process.stdin as AsyncIterable<Buffer>) : file;
}
