import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { listMigrations, migrationsDir } from '../migrate.ts';
import { type Connection, openConnection, openModes } from '../sqlite-connection.ts';

type Part = { name: string; sql: string };

const parts = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY name";

/** The first table, index or trigger that is not as the migrations up to this version make it; what somebody added is no matter. */
export async function findSchemaFault(connection: Connection, version: number): Promise<string | null> {
  const found = new Map((await connection.all<Part>(parts)).map(({ name, sql }) => [name, sql]));
  const wrong = (await makeSchema(version)).find(({ name, sql }) => found.get(name) !== sql);
  return wrong ? wrong.name : null;
}

async function makeSchema(version: number): Promise<Part[]> {
  const memory = await openConnection(':memory:', openModes.create);
  try {
    for (const { file } of (await listMigrations(migrationsDir)).slice(0, version))
      await memory.exec(await readFile(join(migrationsDir, file), 'utf8'));
    return await memory.all<Part>(parts);
  } finally {
    await memory.close();
  }
}
