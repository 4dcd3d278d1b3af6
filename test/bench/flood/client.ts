// Runs a client process: task in, report out.

/** Reads the task from the arguments and prints the report as JSON. */
export async function runAsClient(work: (task: never) => Promise<object>): Promise<void> {
  const report = await work(JSON.parse(process.argv[2] ?? '') as never)
  process.stdout.write(JSON.stringify(report))
}
