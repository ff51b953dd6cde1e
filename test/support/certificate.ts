/** A self-signed certificate, made on the spot: no tool, and no key in the repository. */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';

const SEQUENCE = 0x30;
const SET = 0x31;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const UTF8_STRING = 0x0c;
const UTC_TIME = 0x17;
/** `[0]` and `[3]` of a certificate, `[7]` (an IP address) of a name. */
const VERSION = 0xa0;
const EXTENSIONS = 0xa3;
const IP_ADDRESS = 0x87;

/** As DER writes them. */
const ECDSA_WITH_SHA256 = Buffer.from('06082a8648ce3d040302', 'hex');
const COMMON_NAME = Buffer.from('0603550403', 'hex');
const SUBJECT_ALT_NAME = Buffer.from('0603551d11', 'hex');

/** For 127.0.0.1 and from last year to ten years on, unless said otherwise. */
export function selfSignedCertificate({
  ip = [127, 0, 0, 1],
  years = [-1, 10],
}: {
  readonly ip?: readonly number[];
  /** Its first and its last day, from now. */
  readonly years?: readonly [number, number];
} = {}): { readonly cert: string; readonly key: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = der(SEQUENCE, ECDSA_WITH_SHA256);
  const name = der(
    SEQUENCE,
    der(SET, der(SEQUENCE, COMMON_NAME, der(UTF8_STRING, Buffer.from('toril test')))),
  );
  const validity = years.map((more) => der(UTC_TIME, utcTime(more)));
  const address = der(SEQUENCE, der(IP_ADDRESS, Buffer.from(ip)));
  const extension = der(SEQUENCE, SUBJECT_ALT_NAME, der(OCTET_STRING, address));
  const body = der(
    SEQUENCE,
    der(VERSION, der(INTEGER, Buffer.of(2))),
    der(INTEGER, Buffer.concat([Buffer.of(1), randomBytes(8)])),
    algorithm,
    name,
    der(SEQUENCE, ...validity),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(EXTENSIONS, der(SEQUENCE, extension)),
  );
  const signature = Buffer.concat([Buffer.of(0), sign('sha256', body, privateKey)]);
  const certificate = der(SEQUENCE, body, algorithm, der(BIT_STRING, signature));
  const base64 = certificate.toString('base64').replace(/.{64}/g, '$&\n');
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const bytes =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...bytes), content]);
}

/** `YYMMDDHHMMSSZ` */
function utcTime(yearsFromNow: number): Buffer {
  const date = new Date();
  date.setFullYear(date.getFullYear() + yearsFromNow);
  return Buffer.from(`${date.toISOString().replace(/\D/g, '').slice(2, 14)}Z`);
}
