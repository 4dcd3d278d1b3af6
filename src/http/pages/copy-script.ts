// Holds the script of the copy buttons.

/** Without scripts the buttons stay hidden. If the browser refuses to copy, the script selects the text. */
export const COPY_SCRIPT = `
(() => {
  const outcome = document.getElementById('outcome')
  for (const button of document.querySelectorAll('.commands button')) {
    const commands = button.nextElementSibling
    const label = button.firstChild
    button.hidden = false
    button.addEventListener('click', async () => {
      const done = await copy(commands)
      label.data = outcome.textContent = done ? 'Copied' : 'Selected'
      setTimeout(() => {
        label.data = 'Copy'
        outcome.textContent = ''
      }, 3000)
    })
  }

  async function copy(commands) {
    try {
      await navigator.clipboard.writeText(commands.textContent)
      return true
    } catch {
      getSelection().selectAllChildren(commands)
      return false
    }
  }
})()
`
