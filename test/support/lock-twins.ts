/**
 * Servers with one protection taken away. Each safety test has a twin that runs over one of these
 * and must come out wrong: else the test would prove nothing.
 */
import type { Connection, MemcachedServer, Outcome } from '../../src/memcached/server.ts';

type Wrap = (connection: Connection, server: MemcachedServer) => Partial<Connection>;

/** `replace` writes whatever the item's CAS is, as a plain client would; still only over an item that exists. */
export function withoutReplaceCas(
  server: MemcachedServer,
  names: (name: string) => boolean,
): MemcachedServer {
  return wrapped(server, (connection) => ({
    replace: async (name, item, cas) => {
      if (!names(name)) return connection.replace(name, item, cas);
      const now = await connection.get(name);
      return now.kind === 'done' ? connection.replace(name, item, now.value.cas) : now;
    },
  }));
}

/** `delete` deletes whosever item it is. */
export function withoutDeleteCas(server: MemcachedServer): MemcachedServer {
  return wrapped(server, (connection) => ({
    delete: async (name) => {
      const now = await connection.get(name);
      return now.kind === 'done' ? connection.delete(name, now.value.cas) : now;
    },
  }));
}

/** `bump` compares, but leaves the CAS as it was: what an older holder knows stays true. */
export function withoutBump(server: MemcachedServer): MemcachedServer {
  return wrapped(server, (connection) => ({
    bump: async (name, cas) => {
      const now = await connection.get(name);
      if (now.kind !== 'done') return now;
      return now.value.cas === cas
        ? { kind: 'done', value: cas }
        : { kind: 'refused', reason: 'exists' };
    },
  }));
}

/** Reconnects behind the lease's back, as memjs and pooling proxies do: a request goes out wherever it can. */
export function reconnecting(server: MemcachedServer): MemcachedServer {
  const immortal = (): Connection => {
    const send = <T>(
      request: (connection: Connection) => Promise<Outcome<T>>,
    ): Promise<Outcome<T>> => server.connection().then(request);
    return {
      epoch: 1,
      casByUs: false,
      alive: true,
      ended: new Promise<void>(() => {}),
      get: (name) => send((to) => to.get(name)),
      add: (name, item) => send((to) => to.add(name, item)),
      replace: (name, item, cas) => send((to) => to.replace(name, item, cas)),
      delete: (name, cas) => send((to) => to.delete(name, cas)),
      bump: (name, cas) => send((to) => to.bump(name, cas)),
      getAndTouch: (name, ttlSeconds) => send((to) => to.getAndTouch(name, ttlSeconds)),
      destroy: () => {},
    };
  };
  const connection = immortal();
  return {
    address: server.address,
    current: connection,
    trouble: undefined,
    get facts() {
      return server.facts;
    },
    connection: () => Promise.resolve(connection),
    close: () => server.close(),
  };
}

export function wrapped(server: MemcachedServer, change: Wrap): MemcachedServer {
  const known = new WeakMap<Connection, Connection>();
  const wrap = (connection: Connection): Connection => {
    const before = known.get(connection);
    if (before !== undefined) return before;
    const changed = change(connection, server);
    const proxy = new Proxy(connection, {
      get: (target, property) => {
        const own = changed[property as keyof Connection];
        if (own !== undefined) return own;
        const value: unknown = Reflect.get(target, property, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    known.set(connection, proxy);
    return proxy;
  };
  return {
    address: server.address,
    get current() {
      return server.current === undefined ? undefined : wrap(server.current);
    },
    get trouble() {
      return server.trouble;
    },
    get facts() {
      return server.facts;
    },
    connection: async () => wrap(await server.connection()),
    close: () => server.close(),
  };
}
