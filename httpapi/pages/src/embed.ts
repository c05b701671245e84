// The contract with pages that show the portal in a frame, as svix-react does: parameters choose
// among safe looks, and the height is told to the parent.

const color = /^[0-9a-f]{6}$/i
const fonts = /^[a-z0-9 -]{1,40}$/i

// bare is whether the parent has its own navigation.
export let bare = false

export function embed(): void {
  const query = new URLSearchParams(location.search)
  const root = document.documentElement
  bare = query.get('hideNavigation') === 'true'
  if (query.get('noGutters') === 'true') root.dataset.gutters = 'none'
  const dark = query.get('darkMode')
  if (dark === 'true' || dark === 'false') root.dataset.theme = dark === 'true' ? 'dark' : 'light'
  const light = query.get('primaryColorLight') ?? query.get('primaryColor') ?? ''
  const darkColor = query.get('primaryColorDark') ?? query.get('primaryColor') ?? ''
  if (color.test(light) || color.test(darkColor)) setAccent(color.test(light) ? light : '1f5fbf', color.test(darkColor) ? darkColor : '82b4ff')
  const font = query.get('fontFamily') ?? ''
  if (fonts.test(font)) root.style.setProperty('--font', `"${font}", system-ui, sans-serif`)
  const next = query.get('next') ?? ''
  if (/^\/[a-z0-9/_-]*$/i.test(next)) history.replaceState(null, '', '/portal' + next + location.hash)
  if (parent !== window) reportHeight()
}

// setAccent uses a brand's colour where text on it, and it as text, can be read: a contrast of 4.5.
function setAccent(light: string, dark: string): void {
  const a = readable(light, 'ffffff', false), b = readable(dark, '1c2027', true)
  const root = document.documentElement.style
  root.setProperty('--accent', `light-dark(#${a}, #${b})`)
  root.setProperty('--on-accent', `light-dark(${onColor(a)}, ${onColor(b)})`)
}

// readable moves a colour towards black or white until it can be read on a background.
function readable(hex: string, back: string, lighter: boolean): string {
  for (let i = 0; i < 20 && contrast(hex, back) < 4.5; i++) {
    hex = channels(hex).map((c) => Math.round(lighter ? c + (255 - c) * 0.1 : c * 0.9).toString(16).padStart(2, '0')).join('')
  }
  return hex
}

const onColor = (hex: string): string => (contrast(hex, 'ffffff') >= contrast(hex, '000000') ? '#ffffff' : '#000000')
const channels = (hex: string): number[] => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16))

// contrast is that of WCAG 2.2.
function contrast(a: string, b: string): number {
  const luminance = (hex: string) => {
    const [r, g, bl] = channels(hex).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4) as [number, number, number]
    return 0.2126 * r + 0.7152 * g + 0.0722 * bl
  }
  const [x, y] = [luminance(a), luminance(b)].sort((m, n) => n - m) as [number, number]
  return (x + 0.05) / (y + 0.05)
}

function reportHeight(): void {
  const tell = () => parent.postMessage({ type: 'svix.iframe-resizer-height', payload: { height: document.documentElement.scrollHeight } }, '*')
  new ResizeObserver(tell).observe(document.body)
  tell()
}
