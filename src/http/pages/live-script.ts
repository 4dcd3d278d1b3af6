// Holds the script that keeps the status page up to date.

/**
 * Each message is `{ sectionId: html }`, and one arrives each second. The script changes only the nodes that differ, so
 * focus, selection, scroll position and open details stay. It connects again after silence, because the browser does not
 * notice a lost network. A hidden page disconnects, because browsers allow only six connections to one address.
 */
export const LIVE_SCRIPT = `
(() => {
  const SILENCE_MS = 15000
  const connection = document.getElementById('connection')
  let source, timer

  function connect() {
    disconnect()
    source = new EventSource(connection.dataset.events)
    source.onmessage = ({ data }) => {
      report('Live')
      for (const [id, html] of Object.entries(JSON.parse(data))) show(id, html)
    }
    source.onerror = reportLoss
    connectAfterSilence()
  }

  function connectAfterSilence() {
    clearTimeout(timer)
    timer = setTimeout(() => {
      reportLoss()
      connect()
    }, SILENCE_MS)
  }

  function disconnect() {
    clearTimeout(timer)
    source?.close()
  }

  function reportLoss() {
    report('Connection lost. Trying to connect again …')
  }

  function report(text) {
    connectAfterSilence()
    if (connection.textContent !== text) connection.textContent = text
  }

  function show(id, html) {
    const section = document.getElementById(id)
    if (section === null) return
    const template = document.createElement('template')
    template.innerHTML = html
    changeChildren(section, template.content)
  }

  function changeChildren(parent, wanted) {
    const keys = new Set([...wanted.children].map(keyOf))
    const kept = new Map()
    for (const child of [...parent.children]) {
      if (keyOf(child) === undefined) continue
      if (keys.has(keyOf(child))) kept.set(keyOf(child), child)
      else child.remove()
    }
    let next = parent.firstChild
    for (const node of [...wanted.childNodes]) {
      const same = keyOf(node) === undefined ? reusable(next, node) : kept.get(keyOf(node))
      kept.delete(keyOf(node))
      if (same === undefined) parent.insertBefore(node, next)
      else {
        if (same === next) next = next.nextSibling
        else parent.insertBefore(same, next)
        change(same, node)
      }
    }
    while (next !== null) {
      const last = next
      next = next.nextSibling
      last.remove()
    }
  }

  function change(node, wanted) {
    if (node.nodeType !== Node.ELEMENT_NODE) {
      if (node.data !== wanted.data) node.data = wanted.data
      return
    }
    for (const { name } of [...node.attributes]) {
      if (name !== 'open' && !wanted.hasAttribute(name)) node.removeAttribute(name)
    }
    for (const { name, value } of wanted.attributes) {
      if (node.getAttribute(name) !== value) node.setAttribute(name, value)
    }
    changeChildren(node, wanted)
  }

  function reusable(node, wanted) {
    return node !== null && node.nodeName === wanted.nodeName && keyOf(node) === undefined ? node : undefined
  }

  function keyOf(node) {
    return node.dataset?.key
  }

  document.addEventListener('visibilitychange', () => {
    if (document.hidden) {
      disconnect()
      connection.textContent = 'Paused'
    } else connect()
  })
  if (!document.hidden) connect()
})()
`
