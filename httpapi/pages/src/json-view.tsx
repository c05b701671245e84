// A payload as it was sent: numbers keep their digits, and what is not JSON is shown as text.

import { useLayoutEffect, useRef } from 'preact/hooks'
import { lines, visible, type Token } from './json'
import { t } from './text'
import { Copy } from './ui'

const colored = 64 << 10 // characters that are shown in colours, each of which is an element
const deepest = 32 // levels that are indented: more would be mostly white
const size = 4 << 10 // characters of a block, which is laid out only when it is seen
const most = 8 // blocks that are drawn
const longest = 8 // ms that are spent before the page responds again

// JSONView shows a text. isJSON says that it is known to be JSON.
export function JSONView({ text, isJSON = false, label = t.payload }: { text: string; isJSON?: boolean; label?: string }) {
  const area = useRef<HTMLPreElement>(null)
  useLayoutEffect(() => draw(area.current!, blocks(isJSON || parses(text) ? indented(text) : asItIs(text), text.length <= colored)), [text])
  return (
    <>
      <pre class="json" ref={area} tabIndex={0} aria-label={label} />
      <div class="actions"><Copy text={text} /></div>
    </>
  )
}

function parses(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

// draw fills an element with others, a few at a time. The function that it returns ends it.
function draw(area: HTMLElement, blocks: Iterator<HTMLElement>): () => void {
  let timer = 0
  const more = () => {
    const begin = performance.now()
    for (let n = 0; n < most && performance.now() - begin < longest; n++) {
      const { done, value } = blocks.next()
      if (done) return void (area.ariaBusy = null)
      area.append(value)
    }
    timer = window.setTimeout(more)
  }
  area.replaceChildren()
  area.ariaBusy = 'true'
  more()
  return () => clearTimeout(timer)
}

// indented and asItIs return the parts of each line.
function* indented(json: string): Generator<Token[]> {
  for (const { depth, tokens } of lines(json)) yield [{ text: '  '.repeat(Math.min(depth, deepest)), kind: '' }, ...tokens]
}

function* asItIs(text: string): Generator<Token[]> {
  for (const line of text.split(/\r?\n/)) yield [{ text: line, kind: '' }]
}

// blocks puts lines together. Only a line that is longer than a block goes over several.
function* blocks(lines: Iterable<Token[]>, colors: boolean): Generator<HTMLElement> {
  let block = document.createElement('div'), plain = '', length = 0
  const whole = () => {
    const done = block
    done.append(plain)
    block = document.createElement('div')
    plain = ''
    length = 0
    return done
  }
  for (const line of lines) {
    if (length > 0 && line.reduce((sum, { text }) => sum + text.length, length + 1) > size) yield whole()
    if (length++ > 0) plain += '\n'
    for (const { text, kind } of line) {
      for (const part of visible(text).match(/[^]{1,4096}/gu) ?? []) {
        if (length + part.length > size) yield whole()
        length += part.length
        if (!colors || kind === '') plain += part
        else {
          const span = document.createElement('span')
          span.className = kind
          span.textContent = part
          block.append(plain, span)
          plain = ''
        }
      }
    }
  }
  yield whole()
}
