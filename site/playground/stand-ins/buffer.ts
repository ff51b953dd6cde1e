/** Node's `Buffer`, by its global name. Whatever uses it must be imported later. */
import { Buffer } from 'buffer/';

Object.assign(globalThis, { Buffer });
