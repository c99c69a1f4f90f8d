import { contenders } from './contenders/all.ts';
import { measureRounds } from './rounds.ts';
import type { Report } from './suites.ts';

export const measure = (): Promise<Report> => measureRounds(contenders, 'invoke');
