import type { Item, NewItem } from '../../memcached/server.ts';
import type { DrawnToken } from '../lock.ts';

/** How a cell's bytes are read and written. The lock itself has never seen inside one. */
export interface CellCodec {
  /**
   * The value; undefined for a placeholder. `drawn`: the reader's token, drawn after the value was written.
   * @throws TorilError FOREIGN_VALUE and the like for an item that is not a cell; REDIS_WENT_BACK,
   *   CELL_OF_ANOTHER_REDIS for one whose token shows that `drawn` is not to be used
   */
  decode(item: Item, drawn: DrawnToken): unknown;
  /**
   * `previous`: the item that is replaced; undefined if there was none.
   * @throws TorilError for a value that cannot be stored as it is
   */
  encode(value: unknown, context: EncodeContext): NewItem;
  /** Stands for a missing cell while it is locked: an item that `decode` takes for no value. */
  placeholder(): NewItem;
}

export interface EncodeContext extends DrawnToken {
  readonly key: string;
  readonly previous: Item | undefined;
}
