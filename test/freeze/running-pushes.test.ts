import { describe, expect, it } from 'vitest'
import { createRunningPushes, NO_PUSH } from '../../src/freeze/running-pushes.ts'

function setScene() {
  let now = 0
  const pushes = createRunningPushes(() => now)
  return { pushes, advance: (ms: number) => (now += ms) }
}

describe('a push', () => {
  it('runs while one of its writes runs, and for 15 s afterwards', () => {
    const { pushes, advance } = setScene()
    const [first, second] = [pushes.begin('a'), pushes.begin('a')]
    first('push-goes-on')
    advance(1_000_000)
    expect([pushes.has('a'), pushes.count()]).toEqual([true, 1])
    second('push-goes-on')
    advance(14_999)
    expect([pushes.has('a'), pushes.count()]).toEqual([true, 1])
    advance(1)
    expect([pushes.has('a'), pushes.count()]).toEqual([false, 0])
  })

  it('ends at once with the write that completes it, unless another of its writes runs', () => {
    const { pushes } = setScene()
    const [upload, tag] = [pushes.begin('a'), pushes.begin('a')]
    tag('push-ended')
    expect(pushes.has('a')).toBe(true)
    upload('push-goes-on')
    expect(pushes.has('a')).toBe(true)
    pushes.begin('a')('push-ended')
    expect([pushes.has('a'), pushes.count()]).toEqual([false, 0])
  })

  it('is no push of another repository or client', () => {
    const { pushes } = setScene()
    pushes.begin('a')('push-goes-on')
    expect(pushes.has('b')).toBe(false)
  })

  it('is not made of writes outside of repositories, which count only while they run', () => {
    const { pushes } = setScene()
    const end = pushes.begin(NO_PUSH)
    expect([pushes.has(NO_PUSH), pushes.count()]).toEqual([false, 1])
    end('push-goes-on')
    expect(pushes.count()).toBe(0)
  })

  it('is forgotten when there are more than 10,000, oldest first', () => {
    const { pushes } = setScene()
    const open = pushes.begin('open')
    for (let i = 0; i < 10_002; i++) pushes.begin(`push ${i}`)('push-goes-on')
    expect(['open', 'push 0', 'push 2', 'push 10001'].map((push) => pushes.has(push))).toEqual([
      true,
      false,
      true,
      true,
    ])
    open('push-goes-on')
  })
})
