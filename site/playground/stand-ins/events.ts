/** Node warns of many listeners on one signal; a browser does not. */
export function setMaxListeners(): void {}
