/** From Node's requests to Web-standard ones and back. It comes along inside the package (scripts/package). */
export { getRequestListener } from '@hono/node-server';
