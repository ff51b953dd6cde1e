/** What a user says about the page, and its checks. */
import { TorilError } from '../errors.ts';
import type { Queue } from '../jobs/queue.ts';
import type { MemcachedSetting } from '../memcached/options.ts';

/** `write` may do everything that `read` may. */
export type May = 'read' | 'write';

/** Somebody who was let in. */
export interface Visitor {
  /** Stands in the audit trail: a name, an e-mail address. */
  readonly who: string;
  readonly may: May;
}

/** Whoever has the token signs in with it, once per browser. */
export interface AccessToken extends Visitor {
  /** At least 16 characters. */
  readonly token: string;
}

/** What a value shown on the page is. */
export interface Shown {
  readonly queue: string;
  readonly key: string;
  /** `data`: of a job. `reason`: why a job failed, or a state cannot be used; a text, which may quote either. */
  readonly what: 'value' | 'data' | 'reason';
}

export interface UiOptions {
  /** The queues that are shown. They stay open when the page closes. */
  readonly queues: readonly Queue[];
  /** The servers of the queues' workers. Without them, the page shows what Redis knows. */
  readonly memcached?: MemcachedSetting | undefined;
  /** The path below which the handler is mounted, as `/admin/toril`. Default: the root. */
  readonly basePath?: string;
  /** Who may come in, by tokens of the page's own. Either this, or `authorize`. */
  readonly tokens?: readonly AccessToken[];
  /**
   * Who may come in, by the host's own sessions. Undefined: nobody; the page answers 403.
   * Either this, or `tokens`.
   */
  readonly authorize?: (request: Request) => Visitor | undefined | Promise<Visitor | undefined>;
  /** What is shown instead of a value. What it throws is not shown, and neither is the value. */
  readonly hide?: (value: unknown, shown: Shown) => unknown;
  /** Where bull-board is mounted, for links to it, as `/admin/queues`; or the address of a job. */
  readonly bullBoard?: string | ((queue: string, jobId: string) => string);
  /**
   * Signs sessions and forms, at least 16 characters. Needed where several processes serve one page; default: made by
   * chance, so that everybody signs in again after a restart.
   */
  readonly secret?: string;
  /** Is told what went wrong by a fault of the page, or in `authorize`. Default: a warning of the process. */
  readonly onError?: (error: unknown) => void;
}

/** What is said of the pages, whatever stands behind them. */
export type PageOptions = Omit<UiOptions, 'queues' | 'memcached'>;

const SECRET_MIN = 16;

/** @throws TorilError INVALID_OPTIONS */
export function checkUiOptions(options: UiOptions): void {
  const { queues, tokens, authorize, basePath, secret, hide } = options;
  if (!Array.isArray(queues) || queues.length === 0)
    throw invalid('"queues" must name at least one queue.');
  const names = queues.map((queue) => queue.qualifiedName);
  const double = names.find((name, at) => names.indexOf(name) !== at);
  if (double !== undefined) throw invalid(`"queues" has the queue ${double} twice.`);
  if ((tokens === undefined) === (authorize === undefined)) {
    throw invalid(
      'the page is closed unless it is told who may come in: give either "tokens" or "authorize".',
    );
  }
  if (tokens !== undefined) checkTokens(tokens);
  if (authorize !== undefined && typeof authorize !== 'function')
    throw invalid('"authorize" must be a function of the request.');
  if (hide !== undefined && typeof hide !== 'function')
    throw invalid('"hide" must be a function of a value.');
  if (basePath !== undefined && !/^(\/[\w.~-]+)*$/.test(basePath))
    throw invalid('"basePath" must be empty or like "/admin/toril", without a slash at its end.');
  if (secret !== undefined && !isLongEnough(secret))
    throw invalid(`"secret" must be a text of at least ${SECRET_MIN} characters.`);
}

function checkTokens(tokens: readonly AccessToken[]): void {
  if (!Array.isArray(tokens) || tokens.length === 0)
    throw invalid('"tokens" must have at least one, or nobody can come in.');
  for (const { token, who, may } of tokens) {
    if (!isLongEnough(token))
      throw invalid(`each token must be a text of at least ${SECRET_MIN} characters.`);
    if (typeof who !== 'string' || who === '')
      throw invalid('each token needs "who" it belongs to: the name stands in the audit trail.');
    if (may !== 'read' && may !== 'write')
      throw invalid('each token needs "may": "read" or "write".');
  }
  if (new Set(tokens.map(({ token }) => token)).size < tokens.length)
    throw invalid('two of the "tokens" are the same.');
}

function isLongEnough(text: unknown): boolean {
  return typeof text === 'string' && text.length >= SECRET_MIN;
}

function invalid(what: string): TorilError {
  return new TorilError('INVALID_OPTIONS', `the page: ${what}`);
}
