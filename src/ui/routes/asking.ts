/** A request to the page, what it asks about, and how it is answered. */
import type { LanesQuery } from '../links.ts';
import type { Visitor } from '../options.ts';
import type { Html } from '../pages/html.ts';
import type { Context } from '../web.ts';

export interface Env {
  Variables: { visitor: Visitor };
}
export type Asking = Context<Env>;

export function shown(context: Asking, page: Html, status = 200): Response {
  return context.body(page, status as 200, {
    'Content-Type': 'text/html; charset=utf-8',
    'Cache-Control': 'no-store',
  });
}

/** A program, which says so; browsers ask for HTML. */
export function wantsJson(context: Asking): boolean {
  const accepted = context.req.header('accept') ?? '';
  return accepted.includes('application/json') && !accepted.includes('text/html');
}

export function json(context: Asking, answer: object, status = 200): Response {
  return context.body(JSON.stringify(answer), status as 200, {
    'Content-Type': 'application/json; charset=utf-8',
    'Cache-Control': 'no-store',
  });
}

export function keyOf(context: Asking): string {
  return context.req.query('key') ?? '';
}

export function queryOf(context: Asking): LanesQuery {
  const { state, order, search, cursor } = context.req.query();
  return { state, order, search, cursor };
}
