/** The page: what protects it, and its routes by subject. */
import type { Clock } from '../base/clock.ts';
import type { Board } from './board.ts';
import { Links } from './links.ts';
import { LiveStreams } from './live-streams.ts';
import type { PageOptions } from './options.ts';
import { ASSETS } from './pages/assets/assets.ts';
import { Acting } from './routes/acting.ts';
import type { Asking, Env } from './routes/asking.ts';
import { Reading } from './routes/reading.ts';
import { SigningIn } from './routes/signing-in.ts';
import { Site } from './routes/site.ts';
import { Views } from './views.ts';
import { bodyLimit, type Context, csrf, Hono, secureHeaders } from './web.ts';

/** A form of the page has a token and nothing else. */
const BODY_BYTES_MAX = 16 * 1024;
/** Seconds; the name of an asset has its hash. */
const FOR_EVER_SECONDS = 31_536_000;

export interface App {
  fetch(request: Request): Promise<Response>;
  /** Ends what is live. */
  close(): void;
}

export function createApp(options: PageOptions, boards: readonly Board[], clock: Clock): App {
  const base = options.basePath ?? '';
  const site = new Site(options, boards, new Links(base, options.bullBoard), clock);
  const live = new LiveStreams(clock);
  const app = new Hono<Env>({ strict: false });
  app.onError((thrown, context) => site.trouble(context as Asking, thrown));
  app.notFound((context) => site.notFound(context as Asking, 'There is no such page.'));
  app.use(secured());
  app.get('/assets/:name', (context) => asset(context.req.param('name')));
  // Browsers say where a form comes from; where one does not, its token does (Site.checkForm).
  app.use(csrf({ origin: isOfHost }), bodyLimit({ maxSize: BODY_BYTES_MAX }));
  new SigningIn(site).mount(app); // nobody comes further who is not let in
  new Reading(site, new Views(options.hide), live).mount(app);
  new Acting(site).mount(app);
  return {
    // Some hosts take the path away at which they mount a handler, others leave it.
    fetch: async (request) => app.fetch(below(base, request)),
    close: () => live.close(),
  };
}

function below(base: string, request: Request): Request {
  const url = new URL(request.url);
  if (base === '' || (url.pathname !== base && !url.pathname.startsWith(`${base}/`)))
    return request;
  url.pathname = url.pathname.slice(base.length) || '/';
  return new Request(url, request);
}

function secured() {
  return secureHeaders({
    contentSecurityPolicy: {
      defaultSrc: ["'none'"],
      styleSrc: ["'self'"],
      scriptSrc: ["'self'"],
      connectSrc: ["'self'"],
      imgSrc: ['data:'],
      formAction: ["'self'"],
      frameAncestors: ["'none'"],
      baseUri: ["'none'"],
    },
    referrerPolicy: 'no-referrer',
    // The host's business: it would hold for all of its pages.
    strictTransportSecurity: false,
  });
}

/** For browsers without Sec-Fetch-Site. A proxy may have taken TLS off, so the scheme is not looked at. */
function isOfHost(origin: string, context: Context): boolean {
  return URL.canParse(origin) && new URL(origin).host === context.req.header('host');
}

function asset(name: string): Response {
  const found = Object.values(ASSETS).find((one) => one.name === name);
  if (found === undefined) return new Response('There is no such file.\n', { status: 404 });
  return new Response(found.text, {
    headers: {
      'Content-Type': found.type,
      'Cache-Control': `public, max-age=${FOR_EVER_SECONDS}, immutable`,
    },
  });
}
