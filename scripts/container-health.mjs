/**
 * The health check of the image: whether the worker in it is ready (`/readyz`, where TORIL_HTTP says), and why not. Of another
 * program in the image, an address that it answers:
 *
 *   node scripts/container-health.mjs [http://127.0.0.1:7777/sign-in]
 */
const DEADLINE_MS = 5_000;

const port = process.env['TORIL_HTTP']?.split(':').at(-1);
const [address = `http://127.0.0.1:${port}/readyz`] = process.argv.slice(2);
try {
  const answer = await fetch(address, { signal: AbortSignal.timeout(DEADLINE_MS) });
  if (!answer.ok) {
    console.log(`${address} answers ${answer.status}: ${await answer.text()}`);
    process.exitCode = 1;
  }
} catch (error) {
  const { message, cause } = /** @type {Error} */ (error);
  console.log(`${address}: ${cause instanceof Error ? cause.message : message}`);
  process.exitCode = 1;
}
