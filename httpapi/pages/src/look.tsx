// How the portal looks to customers: name, logos, font and colours, with a preview of both themes.

import { useState } from 'preact/hooks'
import { getTagged, sendTagged, type Settings, type Tagged } from './api'
import { Conflict, saveOver, type Fields } from './conflict'
import { useReader } from './context'
import { number } from './format'
import { useAction, useLoad } from './load'
import { LogoInput } from './logo'
import { t } from './text'
import { colorsOf, defaults, fontOf, type Check, type ColorName, type Look, type Palette, type Theme } from './theme'
import { Badge, Button, Card, Content, Failure, Field, Form, TextInput, Title, toast } from './ui'

const themes = ['light', 'dark'] as const
const palettes = { light: 'colorPaletteLight', dark: 'colorPaletteDark' } as const
const colorNames: ColorName[] = [
  'primary', 'backgroundPrimary', 'backgroundSecondary', 'textPrimary', 'textSecondary', 'buttonPrimary',
  'interactiveAccent', 'navigationAccent', 'borderPrimary', 'backgroundHover', 'textDanger',
]
const valid = /^#[0-9a-f]{6}$/i

export function LookPage() {
  const settings = useLoad((signal) => getTagged<Settings>('/environment/settings', signal), [])
  return (
    <>
      <Title>{t.look}</Title>
      <p>{t.lookText}</p>
      <Content of={settings}>{(s) => <LookForm of={s} />}</Content>
    </>
  )
}

function fieldsOf(look: Look): Fields {
  const colors = themes.flatMap((theme) => colorNames.map((n) => [`${t.colorsOf[theme]}: ${t.colorNames[n]}`, look[palettes[theme]][n] ?? '']))
  return {
    [t.displayName]: look.displayName ?? '', [t.logo]: look.customLogoUrl ?? '', [t.logoDark]: look.customLogoUrlDark ?? '', [t.font]: look.customFontFamily ?? '',
    ...(Object.fromEntries(colors) as Fields),
  }
}

function LookForm({ of }: { of: Tagged<Settings> }) {
  const { may } = useReader()
  const [began, begin] = useState(of)
  const [look, set] = useState<Look>(of.data)
  const [theirs, setTheirs] = useState<Tagged<Settings> | undefined>()
  const { busy, problem, run } = useAction()
  const change = (part: Partial<Look>) => set((before) => ({ ...before, ...part }))
  const wrong = (theme: Theme) => colorNames.filter((n) => look[palettes[theme]][n] && !valid.test(look[palettes[theme]][n]!))
  const complete = wrong('light').length + wrong('dark').length === 0
  const text = (field: 'displayName' | 'customFontFamily', label: string, hint: string) => (
    <TextInput label={label} value={look[field] ?? ''} set={(v) => change({ [field]: v || null })} hint={hint} error={problem?.fields[field]} />
  )
  const showAs = (now: Tagged<Settings>) => {
    begin(now)
    set(now.data)
    setTheirs(undefined)
  }
  const save = (from = began) => run(async () => {
    setTheirs(undefined)
    const path = '/environment/settings'
    const body = {
      displayName: look.displayName, customLogoUrl: look.customLogoUrl, customLogoUrlDark: look.customLogoUrlDark, customFontFamily: look.customFontFamily,
      colorPaletteLight: look.colorPaletteLight, colorPaletteDark: look.colorPaletteDark,
    }
    const { now, clash } = await saveOver<Settings>({
      began: from, mine: fieldsOf(look), fields: fieldsOf, write: (tag) => sendTagged('PUT', path, body, tag), read: () => getTagged(path),
    })
    if (clash) return setTheirs(now)
    toast(t.saved)
    showAs(now)
  })
  return (
    <Form submit={() => complete && save()}>
      <div class="columns">
        {themes.map((theme) => <Preview key={theme} theme={theme} look={look} />)}
      </div>
      <fieldset disabled={!may('ManageEndpoint')} class="bare">
        <Card title={t.nameAndLogo}>
          {text('displayName', t.displayName, t.displayNameHint)}
          <LogoInput label={t.logo} value={look.customLogoUrl} set={(v) => change({ customLogoUrl: v })} error={problem?.fields.customLogoUrl} />
          <LogoInput label={t.logoDark} value={look.customLogoUrlDark} set={(v) => change({ customLogoUrlDark: v })} error={problem?.fields.customLogoUrlDark} />
          {text('customFontFamily', t.font, t.fontHint)}
        </Card>
        <div class="columns">
          {themes.map((theme) => (
            <Card key={theme} title={t.colorsOf[theme]}>
              <Colors theme={theme} palette={look[palettes[theme]]} set={(palette) => change({ [palettes[theme]]: palette })} />
            </Card>
          ))}
        </div>
        <Failure problem={problem} />
        {theirs && <Conflict mine={fieldsOf(look)} theirs={fieldsOf(theirs.data)} at={theirs.data.updatedAt} busy={busy} keep={() => save(theirs)} take={() => showAs(theirs)} />}
        {may('ManageEndpoint') && <Button submit kind="main" busy={busy} disabled={!complete}>{t.save}</Button>}
      </fieldset>
    </Form>
  )
}

function Colors({ theme, palette, set }: { theme: Theme; palette: Palette; set: (palette: Palette) => void }) {
  const { checks, vars } = usable(palette, theme)
  const input = (name: ColorName) => {
    const value = palette[name] ?? ''
    const change = (v: string) => set({ ...palette, [name]: v === '' ? null : v })
    return <ColorInput key={name} label={t.colorNames[name]} value={value} fallback={shownAs(name, vars)} set={change} check={checks.find((c) => c.name === name)} />
  }
  return (
    <>
      {colorNames.slice(0, 3).map(input)}
      <details open={colorNames.slice(3).some((n) => palette[n])}>
        <summary>{t.moreColors}</summary>
        {colorNames.slice(3).map(input)}
      </details>
    </>
  )
}

// usable works out a palette without what is not a colour yet.
function usable(palette: Palette, theme: Theme) {
  const kept = Object.entries(palette).filter(([, value]) => value && valid.test(value))
  return colorsOf(Object.fromEntries(kept) as Palette, defaults(theme))
}

const properties: Record<ColorName, string> = {
  primary: 'accent', backgroundPrimary: 'back', backgroundSecondary: 'card', backgroundHover: 'hover', textPrimary: 'text', textSecondary: 'soft',
  buttonPrimary: 'button', interactiveAccent: 'accent', navigationAccent: 'nav', borderPrimary: 'line', textDanger: 'bad',
}

const shownAs = (name: ColorName, vars: Record<string, string>): string => vars[properties[name]]!

interface ColorInputProps {
  label: string
  value: string
  fallback: string // that is used without one
  set: (value: string) => void
  check: Check | undefined
}

function ColorInput({ label, value, fallback, set, check }: ColorInputProps) {
  const wrong = value !== '' && !valid.test(value)
  return (
    <Field label={label} hint={<Verdict of={check} />} error={wrong ? t.colorFormat : undefined}>
      {(props) => (
        <span class="color">
          <input type="color" aria-label={t.pick(label)} value={wrong || value === '' ? fallback : value} onInput={(e) => set(e.currentTarget.value)} />
          <input type="text" value={value} placeholder={fallback} maxLength={7} spellcheck={false} autocomplete="off" onInput={(e) => set(e.currentTarget.value.trim())} {...props} />
          {value !== '' && <Button onClick={() => set('')} aria-label={t.clearNamed(label)}>{t.clear}</Button>}
        </span>
      )}
    </Field>
  )
}

// Verdict says whether a colour can be read, and what is used instead if not.
function Verdict({ of }: { of: Check | undefined }) {
  if (!of || (of.used === of.given && of.contrast === 21)) return null
  const ratio = number(Math.floor(of.contrast * 10) / 10)
  return <span role="status">{of.used === of.given ? t.contrastOf(ratio) : (of.name.startsWith('background') ? t.contrastClash : t.contrastLow)(ratio, of.used)}</span>
}

// Preview is the portal in small.
function Preview({ theme, look }: { theme: Theme; look: Look }) {
  const { vars } = usable(look[palettes[theme]], theme)
  const style: Record<string, string> = { colorScheme: theme, fontFamily: look.customFontFamily ? fontOf(look.customFontFamily) : 'inherit' }
  for (const [name, value] of Object.entries(vars)) style['--' + name] = value
  const logo = (theme === 'dark' && look.customLogoUrlDark) || look.customLogoUrl
  return (
    <section class="preview" style={style} aria-label={t.previewOf[theme]}>
      <div class="top">
        <span class="brand" dir="auto">
          {logo && (shownHere(logo) ? <img src={logo} alt="" /> : <small>{t.logoLater}</small>)}
          <span>{look.displayName ?? t.webhooks}</span>
        </span>
        <span class="nav"><b>{t.endpoints}</b> <span>{t.messages}</span></span>
      </div>
      <div class="card">
        <p><b>{t.endpoint}</b> <span class="link">https://example.com/hook</span></p>
        <p class="soft">{t.previewText}</p>
        <p class="actions"><Badge tone="good">{t.outcome.success}</Badge> <Badge tone="wait">{t.outcome.pending}</Badge> <Badge tone="bad">{t.outcome.fail}</Badge></p>
        <p class="actions"><span class="button main">{t.addEndpoint}</span> <span class="button">{t.cancel}</span> <span class="button danger">{t.remove}</span></p>
      </div>
    </section>
  )
}

// shownHere reports whether this page may show an image. The console asks no other host for any.
const shownHere = (logo: string): boolean => logo.startsWith('data:')
