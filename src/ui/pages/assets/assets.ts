/** The page's own style and script; nothing comes from elsewhere. */
import { hash } from 'node:crypto';
import { SCRIPT } from './script.ts';
import { STYLE } from './style.ts';

export interface Asset {
  /** With a part of its hash, so that a browser may keep it for ever. */
  readonly name: string;
  readonly type: string;
  readonly text: string;
}

function asset(text: string, ending: string, type: string): Asset {
  return { name: `${hash('sha256', text, 'hex').slice(0, 12)}.${ending}`, type, text };
}

export const ASSETS: { readonly style: Asset; readonly script: Asset } = {
  style: asset(STYLE, 'css', 'text/css; charset=utf-8'),
  script: asset(SCRIPT, 'js', 'text/javascript; charset=utf-8'),
};
