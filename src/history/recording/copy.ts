/** A recording once more, line by line: as it is, or without what is secret. */
import { TorilError } from '../../errors.ts';
import { asLines, eachCommit, nameOf, type RecordedLines, type RecordingInput } from './input.ts';
import type { Masking } from './mask.ts';
import { RecordingReader } from './reader.ts';
import { ChainWriter, type RecordingHeader } from './recording.ts';

/** @throws TorilError as `replay`, and as `Masking.next` */
export function copyOfRecording(recording: RecordingInput, masking?: Masking): RecordedLines {
  return asLines(linesOf(recording, masking));
}

async function* linesOf(
  recording: RecordingInput,
  masking: Masking | undefined,
): AsyncGenerator<string, void, undefined> {
  const reader = new RecordingReader(nameOf(recording));
  const writer = new ChainWriter();
  for await (const commit of eachCommit(recording, reader)) {
    if (reader.commits === 1) yield writer.line({ recording: headerOf(reader, masking) });
    const line = reader.commits + 1;
    const masked = masking === undefined ? [commit] : await masking.next(commit, line);
    for (const one of masked) yield writer.line({ commit: one });
  }
  for (const one of (await masking?.end()) ?? []) yield writer.line({ commit: one });
  const { results, ...end } = reader.end();
  if (end.commits === 0) {
    throw new TorilError('NOTHING_RECORDED', `${nameOf(recording)} has no commits.`);
  }
  yield writer.line({
    end: { ...end, ...(results === true && masking?.keepsReplayable !== false && { results }) },
  });
}

function headerOf({ header }: RecordingReader, masking: Masking | undefined): RecordingHeader {
  const own = header as RecordingHeader;
  if (masking === undefined) return own;
  return { ...own, masked: true, replayable: masking.keepsReplayable };
}
