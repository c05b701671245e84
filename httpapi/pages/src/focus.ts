// Where the focus goes when pages and parts of them come and go, so that the reader never has to
// begin at the top again.

let untold = false // whether the title of a new page was not focused yet
let from: Element | null // what had the focus when the reader left the page before

// focusTitle focuses the title of a new page, once the page has one, unless the reader has moved on.
export function focusTitle(): void {
  const title = untold ? document.querySelector<HTMLElement>('main h1') : null
  if (!title) return
  untold = false
  if (nothingFocused() || document.activeElement === from) title.focus({ preventScroll: true })
}

// focusNewTitle focuses the title of the page that is about to be drawn, so that screen readers
// read it.
export function focusNewTitle(): void {
  untold = true
  from = document.activeElement
  requestAnimationFrame(() => requestAnimationFrame(focusTitle)) // when it is drawn
}

const focusable = 'a[href], button, input, select, textarea, summary, [tabindex]'

// keepFocus gives the focus to what comes next, when the element that has it goes away.
export function keepFocus(area: HTMLElement): void {
  let last: Element | null = null
  area.addEventListener('focusin', (e) => (last = e.target as Element))
  area.addEventListener('focusout', (e) => setTimeout(() => last?.isConnected && last === e.target && document.hasFocus() && nothingFocused() && (last = null)))
  new MutationObserver((records) => {
    if (!last || last.isConnected || untold || !nothingFocused()) return
    const gone = last
    last = null
    for (const record of records) {
      const part = [...record.removedNodes].find((n) => n.contains(gone))
      if (part) return void requestAnimationFrame(() => nothingFocused() && focusNear(part as Element, gone, record)) // dialogs give it back
    }
  }).observe(area, { childList: true, subtree: true })
}

const nothingFocused = () => document.activeElement === document.body

// focusNear focuses the counterpart of an element in the part after the one that is gone, or in the
// one before, or else the beginning of the dialog, or the title of the page.
function focusNear(part: Element, gone: Element, { target, nextSibling, previousSibling }: MutationRecord): void {
  const all = (of: Element) => [of as HTMLElement, ...of.querySelectorAll<HTMLElement>('*')].filter((e) => e.matches(focusable))
  for (const near of part.matches('dialog, h1') ? [] : [nextSibling, previousSibling]) {
    const found = near instanceof Element && near.isConnected ? all(near) : []
    const to = found[Math.max(0, all(part).indexOf(gone as HTMLElement))] ?? found[0]
    if (to) return to.focus({ preventScroll: true })
  }
  const dialog = document.querySelector('dialog[open]')
  if (dialog?.contains(target)) all(dialog)[0]?.focus()
  else focusNewTitle()
}
