/** npm's settings of this machine, for the builds of an image that get packages from where it does. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { command } from './command.ts';

/** Those that say where packages come from. */
const NAMES = ['registry', 'proxy', 'https-proxy', 'noproxy', 'cafile'];
/** Where npm in the image looks for its settings, and for those of root, who builds it. */
const GLOBAL_CONFIG = '/usr/local/etc/npmrc';
const USER_CONFIG = '/root/.npmrc';

/** Files by their path in the image: settings, certificates. None of them stays in it. @param folder for a file */
export function npmSettings(folder: string): Record<string, string> {
  const settings = new Map<string, string>();
  for (const name of NAMES) {
    const value = command('npm', ['config', 'get', name]).trim();
    if (value !== '' && value !== 'null' && value !== 'undefined') settings.set(name, value);
  }
  const certificates = settings.get('cafile') ?? process.env['NODE_EXTRA_CA_CERTS'];
  if (certificates !== undefined) settings.set('cafile', certificates);
  const global = join(folder, 'npmrc');
  const lines = Array.from(settings, ([name, value]) => `${name}=${value}\n`);
  writeFileSync(global, lines.join(''));
  // A user's own may hold what a registry wants to know of whoever asks.
  const user = command('npm', ['config', 'get', 'userconfig']).trim();
  return {
    [GLOBAL_CONFIG]: global,
    ...(existsSync(user) && { [USER_CONFIG]: user }),
    ...(certificates !== undefined && { [certificates]: certificates }),
  };
}
