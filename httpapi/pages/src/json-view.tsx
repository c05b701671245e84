// A payload as it was sent: numbers keep their digits, and what is not JSON is shown as text.

import { useMemo, useState } from 'preact/hooks'
import { bytes } from './format'
import { indent, tokenize, visible } from './json'
import { t } from './text'
import { Button, Copy } from './ui'

const colored = 64 << 10 // characters that are shown in colours; more would take long to draw
const shown = 256 << 10 // characters that are shown before they are asked for

export function JSONView({ text }: { text: string }) {
  const [all, showAll] = useState(false)
  const pretty = useMemo(() => isJSON(text) ? indent(tokenize(text)) : undefined, [text])
  const whole = useMemo(() => {
    if (!pretty) return visible(text)
    return pretty.map((l) => '  '.repeat(l.depth) + l.tokens.map(spaced).join('')).join('\n')
  }, [pretty, text])
  const cut = !all && whole.length > shown
  return (
    <>
      {pretty && whole.length <= colored
        ? (
          <pre class="json" tabIndex={0} aria-label={t.payload}>
            {pretty.map((line) => <>{'  '.repeat(line.depth)}{line.tokens.map((k) => <span class={k.kind}>{spaced(k)}</span>)}{'\n'}</>)}
          </pre>
        )
        : <pre tabIndex={0} aria-label={t.payload}>{cut ? whole.slice(0, shown) : whole}</pre>}
      <div class="actions">
        {cut && <Button onClick={() => showAll(true)}>{t.showAll(bytes(whole.length))}</Button>}
        <Copy text={text} />
      </div>
    </>
  )
}

const spaced = (k: { text: string; kind: string }): string => (k.text === ':' ? ': ' : visible(k.text))

function isJSON(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
