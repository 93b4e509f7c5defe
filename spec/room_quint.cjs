// Runs of Quint in one process: for each line of standard input, a JSON object with what `quint run` takes, one line with
// { error }. The stages are those of Quint's own command; a process for each run would spend most of its time on starting.
'use strict'
const { createInterface } = require('node:readline')
const { load, parse, typecheck, runSimulator } = require('@informalsystems/quint/dist/src/cliCommands.js')

const FIXED = { backend: 'typescript', maxSamples: 1, maxSteps: 0, nTraces: 1, verbosity: 0, step: 'step', hide: [], witnesses: [] }

// { input, main, init, invariants, outItf, isTyped }
async function run(job) {
  const args = { ...FIXED, ...job, invariant: 'true' }
  const stages = [parse, ...(job.isTyped ? [typecheck] : []), runSimulator]
  let result = await load(args)
  for (const stage of stages) {
    if (result.isLeft()) break
    result = await stage(result.value)
  }
  if (result.isRight()) return ''
  const errors = (result.value.stage.errors ?? []).map(error => error.explanation ?? error.message ?? String(error))
  return [result.value.msg, ...errors].join('\n')
}

async function main() {
  for await (const line of createInterface({ input: process.stdin })) {
    const error = await run(JSON.parse(line)).catch(failure => String(failure.stack ?? failure))
    process.stdout.write(JSON.stringify({ error }) + '\n')
  }
}

main()
