// The contract with pages that show the portal in a frame, as svix-react does: parameters choose
// among safe looks, and the height is told to the parent.

import type { Look, Palette } from './theme'

const color = /^[0-9a-f]{6}$/i
const font = /^[a-z0-9 _-]{1,64}$/i
const icon = /^https:\/\/[\w.:-]+\/[\w\-.~:/?#[\]@!$&*+,;=%]*$/

// bare is whether the parent has its own navigation.
export let bare = false

const framed = parent !== window

export function embed(): void {
  const query = new URLSearchParams(location.search)
  const root = document.documentElement
  bare = query.get('hideNavigation') === 'true'
  if (query.get('noGutters') === 'true') root.dataset.gutters = 'none'
  const dark = query.get('darkMode')
  if (dark === 'true' || dark === 'false') root.dataset.theme = dark === 'true' ? 'dark' : 'light'
  const next = query.get('next') ?? ''
  if (/^\/[a-z0-9/_-]*$/i.test(next)) history.replaceState(null, '', '/portal' + next + location.hash)
  if (framed) reportHeight()
  wish = query
}

let wish = new URLSearchParams()

// embedded returns a look with what the parameters of the page ask for. An image of another host is
// shown only in a frame: those who may show one are listed in the configuration.
export function embedded(look: Look): Look {
  const asked = (name: string, allowed: RegExp) => [wish.get(name) ?? ''].find((v) => allowed.test(v))
  const recolored = (palette: Palette, primary: string | undefined) =>
    primary ? { ...palette, primary: '#' + primary, buttonPrimary: null, interactiveAccent: null, navigationAccent: null } : palette
  const both = asked('primaryColor', color)
  const logo = framed && asked('icon', icon)
  return {
    ...look,
    ...(logo && { customLogoUrl: logo, customLogoUrlDark: null }),
    customFontFamily: asked('fontFamily', font) ?? look.customFontFamily,
    colorPaletteLight: recolored(look.colorPaletteLight, asked('primaryColorLight', color) ?? both),
    colorPaletteDark: recolored(look.colorPaletteDark, asked('primaryColorDark', color) ?? both),
  }
}

function reportHeight(): void {
  const tell = () => parent.postMessage({ type: 'svix.iframe-resizer-height', payload: { height: document.documentElement.scrollHeight } }, '*')
  new ResizeObserver(tell).observe(document.body)
  tell()
}
