/** What the page uses of hono: nothing else in src names it. It comes along inside the package (scripts/package). */
export { type Context, Hono } from 'hono';
export { bodyLimit } from 'hono/body-limit';
export { deleteCookie, getCookie, setCookie } from 'hono/cookie';
export { csrf } from 'hono/csrf';
export { html, raw } from 'hono/html';
export { HTTPException } from 'hono/http-exception';
export { secureHeaders } from 'hono/secure-headers';
export { streamSSE } from 'hono/streaming';
