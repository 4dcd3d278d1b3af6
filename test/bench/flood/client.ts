/** The whole of a client's process: takes the task it was started with, works, prints its report. */
export async function runAsClient(work: (task: never) => Promise<object>): Promise<void> {
  const report = await work(JSON.parse(process.argv[2] ?? '') as never)
  process.stdout.write(JSON.stringify(report))
}
