/** One line to whoever waits; the tables on standard output stay free of it. */
export const tell = (text: string): void => void process.stderr.write(`${text} …\n`);
