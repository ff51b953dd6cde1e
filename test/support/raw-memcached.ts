/** Bytes to a memcached and what comes back, by no code of the product. */
import net from 'node:net';

/** Milliseconds without a byte after which nothing more is expected. */
const QUIET_MS = 150;

/** All that is answered, as latin1; `<closed>` at the end if the server closed the connection. */
export async function said(address: string, bytes: string | Buffer): Promise<string> {
  const [host, port] = address.split(':');
  const socket = net.connect({ host: host ?? '', port: Number(port) });
  let text = '';
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.setTimeout(QUIET_MS, resolve);
    socket.on('data', (chunk) => void (text += chunk.toString('latin1')));
    socket.on('end', () => {
      text += '<closed>';
      resolve();
    });
    socket.write(bytes);
  });
  socket.destroy();
  return text;
}
