/**
 * A seat map. Whoever comes first gets the seat, whoever comes later is refused or waits; and who
 * waits gets what is given back, in the order of waiting. So the order of jobs is the whole point.
 */
import { defineUpdate, type Update, type UpdateContext } from 'toril';

export interface SeatMap {
  /** Guests by seat. */
  readonly taken: Readonly<Record<string, string>>;
  /** Who would take any seat, longest wait first. */
  readonly waiting: readonly string[];
  /** Guests who were drawn by lot to go backstage. */
  readonly backstage: readonly string[];
}

export interface Booking {
  readonly show: string;
  readonly guest: string;
  readonly seats: readonly string[];
}

export interface Guest {
  readonly show: string;
  readonly guest: string;
}

export interface Show {
  readonly show: string;
}

const initial = (): SeatMap => ({ taken: {}, waiting: [], backstage: [] });

export const book: Update<'book', SeatMap, Booking, Booking, readonly string[]> = defineUpdate({
  name: 'book',
  key: ({ show }: Booking) => `show:${show}`,
  initial,
  apply: (map: SeatMap, { guest, seats }: Booking) => {
    const gone = seats.filter((seat) => seat in map.taken);
    // All or none of them: a job that fails leaves no trace in the value.
    if (gone.length > 0)
      throw new Error(`${gone.join(' and ')} ${gone.length > 1 ? 'are' : 'is'} taken`);
    const mine = Object.fromEntries(seats.map((seat) => [seat, guest]));
    return { ...map, taken: { ...map.taken, ...mine } };
  },
  result: (_, { seats }) => seats,
});

export const wait: Update<'wait', SeatMap, Guest, Guest, number> = defineUpdate({
  name: 'wait',
  key: ({ show }: Guest) => `show:${show}`,
  initial,
  apply: (map: SeatMap, { guest }: Guest) => ({ ...map, waiting: [...map.waiting, guest] }),
  result: (map) => map?.waiting.length ?? 0,
});

export const cancel: Update<'cancel', SeatMap, Guest, Guest, void> = defineUpdate({
  name: 'cancel',
  key: ({ show }: Guest) => `show:${show}`,
  initial,
  apply: (map: SeatMap, { guest }: Guest) => {
    const waiting = map.waiting.filter((one) => one !== guest);
    const taken = Object.fromEntries(
      Object.entries(map.taken).flatMap(([seat, holder]) => {
        const next = holder === guest ? waiting.shift() : holder;
        return next === undefined ? [] : [[seat, next]];
      }),
    );
    return { ...map, taken, waiting };
  },
});

/** By lot, but the same guest in every replay. */
export const draw: Update<'draw', SeatMap, Show, Show, string> = defineUpdate({
  name: 'draw',
  key: ({ show }: Show) => `show:${show}`,
  initial,
  apply: (map: SeatMap, _: Show, { random }: UpdateContext) => {
    const guests = [...new Set(Object.values(map.taken))].filter(
      (guest) => !map.backstage.includes(guest),
    );
    const drawn = guests[Math.floor(random() * guests.length)];
    return drawn === undefined ? map : { ...map, backstage: [...map.backstage, drawn] };
  },
  result: (map) => map?.backstage.at(-1) ?? '',
});
