// The look of the portal: name, logo, font and colours of the settings. A colour is used only where
// it can be read: WCAG 2.2 AA, a contrast of 4.5 to what is behind it.

import type { Settings } from './api'
import { t } from './text'

export type Theme = 'light' | 'dark'
export type Palette = Partial<Settings['colorPaletteLight']>
export type ColorName = keyof Palette
export type Look = Pick<Settings, 'displayName' | 'customLogoUrl' | 'customLogoUrlDark' | 'customFontFamily'> & { colorPaletteLight: Palette; colorPaletteDark: Palette }

// brand is what the pages are named, and their logos; '' for none.
export const brand = { name: 'Hookwheel', logo: '', logoDark: '' }

const enough = 4.5

// Check is what became of a colour of a palette.
export interface Check {
  name: ColorName
  given: string
  used: string // another one if given cannot be read
  contrast: number // of given, at its worst
}

// Colors are values of the custom properties of style.css.
export interface Colors {
  vars: Record<string, string>
  checks: Check[]
}

// defaults reads what style.css has: --name: light-dark(#light, #dark).
export function defaults(theme: Theme): Record<string, string> {
  const style = getComputedStyle(document.documentElement)
  const found: Record<string, string> = {}
  for (const name of ['back', 'card', 'hover', 'text', 'soft', 'line', 'accent', 'good', 'bad', 'wait', 'off']) {
    const both = /(#[0-9a-f]{6}), ?(#[0-9a-f]{6})/i.exec(style.getPropertyValue('--' + name))!
    found[name] = theme === 'light' ? both[1]! : both[2]!
  }
  return found
}

// colorsOf works out the colours of a theme: those of the palette, adjusted where they can't be read.
export function colorsOf(palette: Palette, base: Record<string, string>): Colors {
  const checks: Check[] = []
  const vars: Record<string, string> = {}
  const given = (...names: ColorName[]) => names.find((n) => palette[n])
  const set = (property: string, used: string, name: ColorName | undefined, contrast = 21) => {
    vars[property] = used
    if (name) checks.push({ name, given: palette[name]!, used, contrast })
  }

  // One text colour must be readable on all backgrounds, so they must be alike.
  const back = palette.backgroundPrimary ?? base.back!
  set('back', back, given('backgroundPrimary'))
  const surfaces = [back]
  for (const [property, name] of [['card', 'backgroundSecondary'], ['hover', 'backgroundHover']] as const) {
    const wanted = palette[name] ?? (palette.backgroundPrimary ? back : base[property]!)
    const fits = Math.max(worst('#000000', [...surfaces, wanted]), worst('#ffffff', [...surfaces, wanted]))
    const used = fits >= enough ? wanted : back
    set(property, used, given(name), fits >= enough ? 21 : fits)
    surfaces.push(used)
  }

  const foregrounds: [property: string, names: ColorName[]][] = [
    ['text', ['textPrimary']], ['soft', ['textSecondary']], ['accent', ['interactiveAccent', 'primary']], ['nav', ['navigationAccent', 'primary']],
    ['bad', ['textDanger']], ['good', []], ['wait', []], ['off', []],
  ]
  for (const [property, names] of foregrounds) {
    const name = given(...names)
    const wanted = name ? palette[name]! : base[property] ?? base.accent!
    const used = readable(wanted, surfaces)
    const seen = name && !checks.some((c) => c.name === name) ? name : undefined
    set(property, used, seen, worst(wanted, surfaces))
  }
  const button = given('buttonPrimary', 'primary')
  set('button', button ? palette[button]! : vars.accent!, button === 'buttonPrimary' ? button : undefined)
  vars['on-button'] = contrast(vars.button!, '#ffffff') >= enough ? '#ffffff' : onColor(vars.button!)
  set('line', palette.borderPrimary ?? (palette.backgroundPrimary ? mix(vars.text!, back, 0.2) : base.line!), given('borderPrimary'))
  return { vars, checks }
}

// readable moves a colour towards black or white, whichever is nearer, until it can be read on all
// surfaces.
function readable(color: string, surfaces: string[]): string {
  for (let part = 0; part < 1; part += 0.05) {
    for (const end of ['#000000', '#ffffff']) {
      const moved = mix(end, color, part)
      if (worst(moved, surfaces) >= enough) return moved
    }
  }
  return worst('#000000', surfaces) >= worst('#ffffff', surfaces) ? '#000000' : '#ffffff'
}

const onColor = (color: string): string => (contrast(color, '#ffffff') >= contrast(color, '#000000') ? '#ffffff' : '#000000')
const worst = (color: string, surfaces: string[]): number => Math.min(...surfaces.map((s) => contrast(color, s)))
const channels = (color: string): number[] => [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16))

function mix(a: string, b: string, part: number): string {
  const [x, y] = [channels(a), channels(b)]
  return '#' + x.map((c, i) => Math.round(c * part + y[i]! * (1 - part)).toString(16).padStart(2, '0')).join('')
}

// contrast is that of WCAG 2.2.
function contrast(a: string, b: string): number {
  const luminance = (color: string) => {
    const [r, g, bl] = channels(color).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4) as [number, number, number]
    return 0.2126 * r + 0.7152 * g + 0.0722 * bl
  }
  const [x, y] = [luminance(a), luminance(b)].sort((m, n) => n - m) as [number, number]
  return (x + 0.05) / (y + 0.05)
}

// applyLook makes the whole page look so.
export function applyLook(look: Look): void {
  const root = document.documentElement.style
  const light = colorsOf(look.colorPaletteLight, defaults('light')).vars, dark = colorsOf(look.colorPaletteDark, defaults('dark')).vars
  for (const name of Object.keys(light)) root.setProperty('--' + name, `light-dark(${light[name]!}, ${dark[name]!})`)
  if (look.customFontFamily) root.setProperty('--font', fontOf(look.customFontFamily))
  brand.name = look.displayName ?? t.webhooks
  brand.logo = look.customLogoUrl ?? ''
  brand.logoDark = look.customLogoUrlDark ?? brand.logo
}

// fontOf names a font of the reader's system: none is loaded.
export const fontOf = (family: string): string => `"${family}", system-ui, sans-serif`
