import { writeSync } from 'node:fs';

writeSync(2, 'about to leave\n');
process.exit(3);
