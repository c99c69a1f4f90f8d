import { writeSync } from 'node:fs';

writeSync(2, 'about to print\n');
writeSync(1, '{"this is not": JSON}\n');
export default {};
