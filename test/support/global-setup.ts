/**
 * Runs once before the tests of a project that needs servers. Under `npm test` the variables are
 * set already, and nothing is started here.
 */
import { getServers } from '../../scripts/servers.ts';

export default async function setup(): Promise<() => Promise<void>> {
  const { env, stop } = await getServers();
  Object.assign(process.env, env);
  return stop;
}
