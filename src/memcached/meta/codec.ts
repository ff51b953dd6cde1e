/**
 * Requests of the meta protocol, written in place; with the two classic commands that leave an item alone which
 * they cannot store. Numbers are written as digits, not as texts: a text for each was an eighth of what a job leaves
 * to be collected.
 */
import { assert } from '../../base/assert.ts';
import type { Cas } from '../server.ts';
import type { Room } from '../socket/room.ts';

/** Bytes; memcached refuses the line at 251. */
const NAME_BYTES_MAX = 250;
/** Bytes of UTF-8 for one unit of a string, at most. */
const UNIT_BYTES_MAX = 3;
/** Bytes of a line without its name: a verb, and its numbers with all their digits. */
const LINE_BYTES_MAX = 120;
const CR = 0x0d;
const LF = 0x0a;
const ZERO = 0x30;
const INT32_MAX = 0x7fff_ffff;

/** Bytes that a command takes at most. */
export function commandBytesAtMost(name: string, value: Buffer | undefined): number {
  return LINE_BYTES_MAX + name.length * UNIT_BYTES_MAX + (value === undefined ? 0 : value.length);
}

/** `<verb> <name><rest>`, and the end of the line. `verb` has its blank, as have the parts of `rest`. */
export function writeLine(room: Room, verb: string, name: string, rest: string): void {
  beginLine(room, verb, name);
  writeAscii(room, rest);
  endLine(room);
}

/** `verb` has its blank. */
export function beginLine(room: Room, verb: string, name: string): void {
  // The name first: what it is refused for leaves the room as it was.
  const nameEnd = writeName(room.bytes, name, room.used + verb.length);
  writeAscii(room, verb);
  room.used = nameEnd;
}

/** `before` has its blank; the number is a whole one, from 0 to 2^53 - 1. */
export function writeNumber(room: Room, before: string, number: number): void {
  writeAscii(room, before);
  const { bytes } = room;
  let digits = 1;
  for (let bound = 10; bound <= number; bound *= 10) digits++;
  let at = room.used + digits;
  room.used = at;
  let left = number;
  for (; left > INT32_MAX; left = Math.floor(left / 10)) bytes[--at] = ZERO + (left % 10);
  for (let small = left | 0; ; small = (small / 10) | 0) {
    bytes[--at] = ZERO + (small % 10);
    if (small < 10) return;
  }
}

/** By way of a Number where that is exact: no text, and half the time. */
export function writeCas(room: Room, before: string, cas: Cas): void {
  const number = Number(cas);
  if (number <= Number.MAX_SAFE_INTEGER) return writeNumber(room, before, number);
  writeAscii(room, before);
  writeAscii(room, String(cas));
}

/** The block behind the line of a store. */
export function writeBlock(room: Room, value: Buffer): void {
  room.bytes.set(value, room.used);
  room.used += value.length;
  endLine(room);
}

export function writeAscii(room: Room, text: string): void {
  const { bytes } = room;
  let at = room.used;
  for (let index = 0; index < text.length; index++) bytes[at++] = text.charCodeAt(index);
  room.used = at;
}

/** Returns where it ends. A blank or a control character would end the name: what is behind it would be executed. */
function writeName(bytes: Buffer, name: string, start: number): number {
  const units = name.length;
  let end = start;
  let isAscii = true;
  for (let index = 0; index < units; index++) {
    const code = name.charCodeAt(index);
    if (code <= 0x20 || code === 0x7f) assert(false, 'a blank or control character in a name');
    if (code > 0x7f) isAscii = false;
    bytes[end++] = code;
  }
  if (!isAscii) end = start + bytes.write(name, start);
  if (end === start || end - start > NAME_BYTES_MAX)
    assert(false, `an item name of ${end - start} bytes`);
  return end;
}

export function endLine(room: Room): void {
  room.bytes[room.used++] = CR;
  room.bytes[room.used++] = LF;
}
