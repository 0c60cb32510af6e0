#!/usr/bin/env node
import { main } from '../lib/cli/program.ts';

// `pgdr … | head` closes the pipe: what is left unsaid then is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

process.exitCode = await main(process.argv.slice(2));
