/** One process of many (shards.ts): searches one configuration and sends what came out. */
import { explore, type Task } from './explore.ts';

const task = JSON.parse(process.argv[2] as string) as Task;
const report = await explore(task);
if (process.send === undefined) console.log(JSON.stringify(report));
else process.send(report, () => process.disconnect());
